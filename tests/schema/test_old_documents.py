"""A document of another version gets an error that names what is missing: the promise of docs/schema-evolution.md."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.api_clients import ROOM_MESSAGES, UserClient

INVALID, BAD_INPUT = "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"
DRAFT = "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } } }"
EVENTS = "subscription ($room: ID!) { roomEvents(roomId: $room) { ... on RoomPainted { colour } } }"
PEOPLE = "query ($filter: UserFilter) { users(filter: $filter) { totalCount } }"

OLD: list[tuple[str, dict[str, Any], str, str]] = [
    ("{ serverInfo { motto } }", {}, INVALID, "Cannot query field 'motto' on type 'ServerInfo'."),
    ("{ rooms(colour: 1) { totalCount } }", {}, INVALID, "Unknown argument 'colour' on field 'Query.rooms'."),
    (
        "{ rooms(orderBy: SIZE_ASC) { totalCount } }",
        {},
        INVALID,
        "Value 'SIZE_ASC' does not exist in 'RoomOrder' enum.",
    ),
    ("query ($f: PaintFilter) { users(filter: $f) { totalCount } }", {}, INVALID, "Unknown type 'PaintFilter'."),
    (
        "{ users(filter: {colour: 1}) { totalCount } }",
        {},
        INVALID,
        "Expected value of type 'UserFilter' not to include unknown field 'colour'",
    ),
    ("mutation { paintRoom { errors { code } } }", {}, INVALID, "Cannot query field 'paintRoom' on type 'Mutation'."),
    ("subscription { paint { colour } }", {}, INVALID, "Cannot query field 'paint' on type 'Subscription'."),
    (EVENTS, {"room": "room_1"}, INVALID, "Unknown type 'RoomPainted'."),
    (DRAFT, {"input": {"roomId": "room_1", "colour": 1}}, BAD_INPUT, "colour"),
    (PEOPLE, {"filter": {"role": "PAINTER"}}, BAD_INPUT, "PAINTER"),
]


def check(errors: list[dict[str, Any]], code: str, missing: str) -> None:
    assert [error["extensions"]["code"] for error in errors] == [code] * len(errors)
    assert [error["extensions"]["retryable"] for error in errors] == [False] * len(errors)
    assert all("locations" in error for error in errors) or code == BAD_INPUT
    assert any(missing in error["message"] for error in errors), errors


@pytest.mark.parametrize(("document", "variables", "code", "missing"), OLD)
async def test_over_http_the_answer_names_what_is_missing(
    ann: UserClient, document: str, variables: dict[str, Any], code: str, missing: str
) -> None:
    answer = (await ann.post({"query": document, "variables": variables})).json()
    assert "data" not in answer
    check(answer["errors"], code, missing)


async def test_on_a_socket_it_ends_one_operation_and_nothing_else(ann: UserClient) -> None:
    den = await ann.create_room("den")
    async with ann.connect() as socket:
        watching = await socket.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(1)
        for document, variables, code, missing in OLD:
            await socket.send(type="subscribe", id="old", payload={"query": document, "variables": variables})
            message = await socket.next_message("old")
            assert message["type"] == "error"
            check(message["payload"], code, missing)
        await ann.send_messages(den, "still here")
        assert (await watching.next_event())["message"]["body"] == "still here"


def test_the_page_has_a_message_that_is_tested_here() -> None:
    page = (Path(__file__).parents[2] / "docs" / "schema-evolution.md").read_text()
    (quoted,) = re.findall(r"`(Cannot query field [^`]+)`", page)
    assert re.sub(r"'\w+'", "''", quoted) == re.sub(r"'\w+'", "''", OLD[0][3])
