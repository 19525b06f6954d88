"""Invalid input over HTTP and WebSocket gets a coded error, changes nothing and logs no warning."""

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

UNKNOWN_ROOM = f"room_{uuid.UUID(int=7)}"
HISTORY = "query History($id: ID!) { messages(roomId: $id) { streamCursor nodes { " + MESSAGE + " } } }"

BAD_SENDS: list[tuple[Json, str]] = [
    ({"body": ""}, "VALIDATION_FAILED"),
    ({"body": " \n\t"}, "VALIDATION_FAILED"),
    ({"body": "a\x00b"}, "VALIDATION_FAILED"),
    ({"body": "x" * 4001}, "MESSAGE_TOO_LONG"),
    ({"body": 5}, "BAD_USER_INPUT"),
    ({"body": None}, "VALIDATION_FAILED"),
    ({"body": ["a"]}, "BAD_USER_INPUT"),
    ({"roomId": UNKNOWN_ROOM}, "NOT_FOUND"),
    ({"roomId": ""}, "NOT_FOUND"),
    ({"roomId": "room_"}, "NOT_FOUND"),
    ({"roomId": "user_" + str(uuid.UUID(int=7))}, "NOT_FOUND"),
    ({"roomId": {"id": "x"}}, "BAD_USER_INPUT"),
    ({"clientMessageId": "not a uuid"}, "BAD_USER_INPUT"),
    ({"clientMessageId": 7}, "BAD_USER_INPUT"),
    ({"colour": "red"}, "BAD_USER_INPUT"),
]


@pytest.fixture(autouse=True)
def _no_warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """Fail if a test logs a warning: mistakes of clients are not problems of the server."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def error_codes(response: Json) -> list[str]:
    """The codes of a response's errors, at the top level or in its payload."""
    if "errors" in response:
        return [error["extensions"]["code"] for error in response["errors"]]
    [payload] = response["data"].values()
    return [error["code"] for error in payload["errors"]]


async def execute(client: AnonymousClient, transport: str, document: str, variables: Json) -> Json:
    """The whole response, errors included, over HTTP or WebSocket."""
    if transport == "http":
        return dict((await client.post({"query": document, "variables": variables})).json())
    async with client.connect() as socket:
        operation = await socket.subscribe(document, **variables)
        message = await operation.next_message()
        return {"errors": message["payload"]} if message["type"] == "error" else dict(message["payload"])


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_an_invalid_message_is_refused_with_a_code_and_not_stored(ann: UserClient, transport: str) -> None:
    room_id = await ann.create_room("den")
    before = await ann.execute(HISTORY, id=room_id)
    for change, code in BAD_SENDS:
        variables = {"input": {"roomId": room_id, "body": "hello", **change}}
        assert error_codes(await execute(ann, transport, SEND, variables)) == [code], change
    assert await ann.execute(HISTORY, id=room_id) == before


async def test_a_lone_surrogate_is_stored_as_a_replacement_character(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    body = json.dumps({"query": SEND, "variables": {"input": {"roomId": room_id, "body": "so \ud83d"}}})
    headers = {"content-type": "application/json", "authorization": f"Bearer {ann.token}"}
    response = (await ann.http.post("/graphql", content=body, headers=headers)).json()
    assert response["data"]["sendMessage"]["message"]["body"] == "so \ufffd"
    async with ann.connect() as socket:
        assert (await socket.execute(SEND, input={"roomId": room_id, "body": "\ude00"}))["data"]["sendMessage"][
            "errors"
        ] == []


@pytest.mark.parametrize("transport", ["http", "socket"])
@pytest.mark.parametrize(
    ("document", "variables"),
    [(SEND, {"input": {"roomId": UNKNOWN_ROOM, "body": "a"}}), (JOIN, {"input": {"roomId": UNKNOWN_ROOM}})],
)
async def test_a_mutation_without_a_token_fails_with_unauthenticated(
    anonymous: AnonymousClient, transport: str, document: str, variables: Json
) -> None:
    assert error_codes(await execute(anonymous, transport, document, variables)) == ["UNAUTHENTICATED"]


async def test_a_stream_with_an_unknown_room_a_bad_cursor_or_no_token_is_refused(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    for bad_id in (UNKNOWN_ROOM, "", "den", "room_x"):
        assert error_codes(await execute(ann, "socket", ROOM_MESSAGES, {"roomId": bad_id})) == ["NOT_FOUND"]
    assert error_codes(await execute(anonymous, "socket", ROOM_MESSAGES, {"roomId": UNKNOWN_ROOM})) == [
        "UNAUTHENTICATED"
    ]
    room_id = await ann.create_room("den")
    for cursor in ("", "x", "AAAA", "=" * 4000):
        response = await execute(ann, "socket", ROOM_MESSAGES, {"roomId": room_id, "after": cursor})
        assert error_codes(response) == ["BAD_USER_INPUT"], cursor


# ------------------------------------------------------------------ tokens


def expired_token(client: UserClient) -> str:
    user_id = local_id("user", client.id)
    assert user_id is not None
    return Tokens([SECRET.encode()], -5).issue_access_token(user_id, uuid7())[0]


async def test_an_expired_token_has_another_code_than_an_invalid_one(app: RunningApp, ann: UserClient) -> None:
    async with AnonymousClient(app, expired_token(ann)) as expired, AnonymousClient(app, "nonsense") as invalid:
        for client, code in ((expired, "TOKEN_EXPIRED"), (invalid, "UNAUTHENTICATED")):
            response = await client.post({"query": "{ me { id } }"})
            assert (response.status_code, error_codes(response.json())) == (401, [code])
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["errors"][0]["extensions"]["retryable"] is (code == "TOKEN_EXPIRED")


@pytest.mark.parametrize("accept", ["application/json", "multipart/mixed", "text/event-stream"])
async def test_a_request_with_an_unknown_authorization_scheme_is_refused(
    anonymous: AnonymousClient, accept: str
) -> None:
    document = "{ me { id } }" if accept == "application/json" else "subscription { inboxEvents { __typename } }"
    for scheme in ("Basic YW5uOnNlY3JldA==", "Token abc", "Digest username=ann", "eyJhbGciOiJub25lIn0.e30."):
        response = await anonymous.post({"query": document}, authorization=scheme, accept=accept)
        assert (response.status_code, error_codes(response.json())) == (401, ["UNAUTHENTICATED"])
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer"])
async def test_a_request_with_an_empty_authorization_header_is_anonymous(
    anonymous: AnonymousClient, header: str
) -> None:
    response = await anonymous.post({"query": "{ me { id } }"}, authorization=header)
    assert (response.status_code, response.json()) == (200, {"data": {"me": None}})


async def test_close_codes_of_sockets_with_expired_and_invalid_tokens(app: RunningApp, ann: UserClient) -> None:
    for token, code in ((expired_token(ann), 4403), ("nonsense", 4401)):
        async with SocketClient(app.ws_url) as socket:
            await socket.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
            assert (await socket.closed())[0] == code
