"""Bad input, over HTTP and over a socket: a coded error each, nothing half done, and no word of it in the log."""

import json
import logging
import uuid
from typing import Any

import pytest

from roomcast.accounts.tokens import Tokens
from roomcast.core.ids import local_id, uuid7
from tests.api_clients import JOIN, MESSAGE, ROOM_MESSAGES, SEND, AnonymousClient, SocketClient, UserClient
from tests.running_app import SECRET, RunningApp

Json = dict[str, Any]

NOBODYS_ROOM = f"room_{uuid.UUID(int=7)}"
HISTORY = "query History($id: ID!) { messages(roomId: $id) { streamCursor nodes { " + MESSAGE + " } } }"

BAD_SENDS: list[tuple[Json, str]] = [
    ({"body": ""}, "VALIDATION_FAILED"),
    ({"body": " \n\t"}, "VALIDATION_FAILED"),
    ({"body": "a\x00b"}, "VALIDATION_FAILED"),
    ({"body": "x" * 4001}, "MESSAGE_TOO_LONG"),
    ({"body": 5}, "BAD_USER_INPUT"),
    ({"body": None}, "BAD_USER_INPUT"),
    ({"body": ["a"]}, "BAD_USER_INPUT"),
    ({"roomId": NOBODYS_ROOM}, "NOT_FOUND"),
    ({"roomId": ""}, "NOT_FOUND"),
    ({"roomId": "room_"}, "NOT_FOUND"),
    ({"roomId": "user_" + str(uuid.UUID(int=7))}, "NOT_FOUND"),
    ({"roomId": {"id": "x"}}, "BAD_USER_INPUT"),
    ({"clientMessageId": "not a uuid"}, "BAD_USER_INPUT"),
    ({"clientMessageId": 7}, "BAD_USER_INPUT"),
    ({"colour": "red"}, "BAD_USER_INPUT"),
]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """A client's mistake is not the server's trouble."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def codes(answer: Json) -> list[str]:
    """Of an answer's errors, at the top level or in its payload."""
    if "errors" in answer:
        return [error["extensions"]["code"] for error in answer["errors"]]
    [payload] = answer["data"].values()
    return [error["code"] for error in payload["errors"]]


async def ask(person: AnonymousClient, over: str, document: str, variables: Json) -> Json:
    """The whole answer, errors included, over either transport."""
    if over == "http":
        return dict((await person.post({"query": document, "variables": variables})).json())
    async with person.connect() as wire:
        watching = await wire.subscribe(document, **variables)
        message = await watching.next_message()
        return {"errors": message["payload"]} if message["type"] == "error" else dict(message["payload"])


@pytest.mark.parametrize("over", ["http", "socket"])
async def test_a_bad_message_is_refused_with_a_code_and_leaves_nothing(ann: UserClient, over: str) -> None:
    den = await ann.create_room("den")
    before = await ann.execute(HISTORY, id=den)
    for change, code in BAD_SENDS:
        variables = {"input": {"roomId": den, "body": "hello", **change}}
        assert codes(await ask(ann, over, SEND, variables)) == [code], change
    assert await ann.execute(HISTORY, id=den) == before


async def test_half_an_emoji_is_a_message_with_a_replacement_character(ann: UserClient) -> None:
    den = await ann.create_room("den")
    body = json.dumps({"query": SEND, "variables": {"input": {"roomId": den, "body": "so \ud83d"}}})
    headers = {"content-type": "application/json", "authorization": f"Bearer {ann.token}"}
    answer = (await ann.http.post("/graphql", content=body, headers=headers)).json()
    assert answer["data"]["sendMessage"]["message"]["body"] == "so \ufffd"
    async with ann.connect() as wire:
        assert (await wire.execute(SEND, input={"roomId": den, "body": "\ude00"}))["data"]["sendMessage"][
            "errors"
        ] == []


@pytest.mark.parametrize("over", ["http", "socket"])
@pytest.mark.parametrize(
    ("document", "variables"),
    [(SEND, {"input": {"roomId": NOBODYS_ROOM, "body": "a"}}), (JOIN, {"input": {"roomId": NOBODYS_ROOM}})],
)
async def test_without_a_token_there_is_a_code_that_says_so(
    anonymous: AnonymousClient, over: str, document: str, variables: Json
) -> None:
    assert codes(await ask(anonymous, over, document, variables)) == ["UNAUTHENTICATED"]


async def test_a_stream_of_an_unknown_room_or_for_nobody_is_refused(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    for room in (NOBODYS_ROOM, "", "den", "room_x"):
        assert codes(await ask(ann, "socket", ROOM_MESSAGES, {"roomId": room})) == ["NOT_FOUND"]
    assert codes(await ask(anonymous, "socket", ROOM_MESSAGES, {"roomId": NOBODYS_ROOM})) == ["UNAUTHENTICATED"]
    den = await ann.create_room("den")
    for cursor in ("", "x", "AAAA", "=" * 4000):
        answer = await ask(ann, "socket", ROOM_MESSAGES, {"roomId": den, "after": cursor})
        assert codes(answer) == ["BAD_USER_INPUT"], cursor


# ------------------------------------------------------------------ tokens


def expired(person: UserClient) -> str:
    user = local_id("user", person.id)
    assert user is not None
    return Tokens([SECRET.encode()], -5).issue_access_token(user, uuid7())[0]


async def test_an_expired_token_is_told_from_a_bad_one(app: RunningApp, ann: UserClient) -> None:
    async with AnonymousClient(app, expired(ann)) as late, AnonymousClient(app, "nonsense") as never:
        for somebody, code in ((late, "TOKEN_EXPIRED"), (never, "UNAUTHENTICATED")):
            answer = await somebody.post({"query": "{ me { id } }"})
            assert (answer.status_code, codes(answer.json())) == (401, [code])
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["errors"][0]["extensions"]["retryable"] is (code == "TOKEN_EXPIRED")


@pytest.mark.parametrize("accept", ["application/json", "multipart/mixed", "text/event-stream"])
async def test_a_request_with_an_unknown_scheme_is_not_anonymous(anonymous: AnonymousClient, accept: str) -> None:
    document = "{ me { id } }" if accept == "application/json" else "subscription { inboxEvents { __typename } }"
    for scheme in ("Basic YW5uOnNlY3JldA==", "Token abc", "Digest username=ann", "eyJhbGciOiJub25lIn0.e30."):
        answer = await anonymous.post({"query": document}, authorization=scheme, accept=accept)
        assert (answer.status_code, codes(answer.json())) == (401, ["UNAUTHENTICATED"])
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer"])
async def test_an_empty_authorization_header_is_anonymous(anonymous: AnonymousClient, header: str) -> None:
    answer = await anonymous.post({"query": "{ me { id } }"}, authorization=header)
    assert (answer.status_code, answer.json()) == (200, {"data": {"me": None}})


async def test_a_socket_with_an_expired_token_may_come_back_and_one_with_a_bad_token_not(
    app: RunningApp, ann: UserClient
) -> None:
    for token, code in ((expired(ann), 4403), ("nonsense", 4401)):
        async with SocketClient(app.ws_url) as wire:
            await wire.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
            assert (await wire.closed())[0] == code
