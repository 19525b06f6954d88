"""The response size limit, for results, events and streams, and that large responses do not block the event loop."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from roomcast.api.context import Caller
from roomcast.api.execution.limits import Limits
from roomcast.api.execution.requests import Request
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import RunningApp

LIMIT = 64 * 1024
TOO_LARGE = f"a response of more than {LIMIT} bytes (maxResponseBytes)"
PAGE = "query ($room: ID!) { messages(roomId: $room, last: 100) { nodes { %s } } }"


@pytest_asyncio.fixture
async def small_limit_app(make_app: MakeApp) -> RunningApp:
    """An app whose responses have at most 64 KiB."""
    return await make_app(max_response_bytes=LIMIT)


@pytest_asyncio.fixture
async def member(small_limit_app: RunningApp) -> Any:
    async with await sign_up(small_limit_app, "ann") as user:
        yield user


async def error_message(user: UserClient, document: str, **variables: Any) -> str:
    """The message of the only error of a result without data."""
    answer = (await user.post({"query": document, "variables": variables})).json()
    assert answer["data"] is None
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    assert error["extensions"]["retryable"] is False
    return str(error["message"])


def aliased(field: str, count: int) -> str:
    return " ".join(f"a{number}: {field}" for number in range(count))


async def test_a_response_above_the_size_limit_is_an_error_and_one_below_is_not(member: UserClient) -> None:
    room = await member.create_room("den")
    await member.send_messages(room, *["x" * 3_000 for _ in range(20)])
    data = await member.execute(PAGE % "body", room=room)
    assert len(data["messages"]["nodes"]) == 20
    assert TOO_LARGE in await error_message(member, PAGE % "body again: body", room=room)
    assert TOO_LARGE in await error_message(member, PAGE % aliased("body", 20), room=room)


@pytest.mark.parametrize("body", ["é" * 1_600, '"' * 1_600, "\n" * 1_599 + "x"])
async def test_response_size_counts_the_bytes_after_json_escaping(member: UserClient, body: str) -> None:
    room = await member.create_room("den")
    await member.send_messages(room, *[body] * 22)
    assert TOO_LARGE in await error_message(member, PAGE % "body", room=room)


async def test_response_size_counts_field_names(member: UserClient) -> None:
    room = await member.create_room("den")
    await member.send_messages(room, *map(str, range(9)))
    assert TOO_LARGE in await error_message(member, PAGE % ("a" * 15_000 + ": seq"), room=room)


async def test_an_event_above_the_size_limit_is_an_error_and_the_stream_goes_on(member: UserClient) -> None:
    room = await member.create_room("den")
    watch = "subscription ($room: ID!) { roomMessages(roomId: $room) { message { seq %s } } }"
    personal = "viewerCanEdit " + aliased("body", 20)
    async with member.connect() as connection:
        streams = [await connection.subscribe(watch % fields, room=room) for fields in (aliased("body", 20), personal)]
        await member.app.wait_for_streams(2)
        await member.send_messages(room, "x" * 4_000, "short")
        for stream in streams:
            large, short = [(await stream.next_message())["payload"] for _ in range(2)]
            assert large["data"] is None
            assert TOO_LARGE in large["errors"][0]["message"]
            assert short["data"]["roomMessages"]["message"]["a0"] == "short"


async def test_a_stream_over_http_has_the_same_size_limit(member: UserClient) -> None:
    room = await member.create_room("den")
    [message] = await member.send_messages(room, "x" * 4_000)
    cursor = (await member.execute(PAGE.replace("nodes { %s }", "streamCursor"), room=room))["messages"]["streamCursor"]
    watch = (
        "subscription ($room: ID!, $after: Cursor) { roomMessages(roomId: $room, after: $after) { message { %s } } }"
    )
    body = {"query": watch % aliased("body", 20), "variables": {"room": room, "after": cursor}}
    headers = {"authorization": f"Bearer {member.token}", "accept": "text/event-stream"}
    async with member.http.stream("POST", "/graphql", json=body, headers=headers) as stream:
        await member.app.wait_for_streams(1)
        await member.send_messages(room, "y" * 4_000)
        async for text in stream.aiter_lines():
            if text.startswith("data: {"):
                assert TOO_LARGE in text
                break
    assert message["seq"] > 0


async def test_lists_longer_than_estimated_count_with_their_real_length(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    [message] = await ann.send_messages(room, "hello")
    add = "mutation ($input: AddReactionInput!) { addReaction(input: $input) { errors { code } } }"
    for number in range(30):
        assert (await ann.mutate(add, messageId=message["id"], emoji=chr(0x1F600 + number)))["errors"] == []
    document = "query ($id: ID!) { message(id: $id) { reactions { emoji count viewerHasReacted } } }"
    assert len((await ann.execute(document, id=message["id"]))["message"]["reactions"]) == 30
    app.roomcast.http._engine.limits = Limits(cost=80)  # its estimated size is lower
    assert "more than 80 fields in its lists" in await error_message(ann, document, id=message["id"])


async def test_server_info_has_the_response_size_limit(member: UserClient) -> None:
    document = "{ serverInfo { limits { maxResponseBytes } } }"
    assert (await member.execute(document))["serverInfo"]["limits"]["maxResponseBytes"] == LIMIT


async def test_a_large_response_does_not_block_the_event_loop(app: RunningApp, ann: UserClient) -> None:
    for number in range(60):
        await ann.create_room(f"room {number}")
    # A page of rooms has loaded the memberships already, so no field waits for a statement.
    viewer_field = "viewerMembership { role joinedAt lastReadSeq notificationLevel favourite mutedUntil }"
    request = Request("{ rooms(first: 60) { nodes { " + aliased(viewer_field, 40) + " } } }")
    engine = app.roomcast.http._engine
    viewer = await app.roomcast.backend.sessions.authenticate(ann.token or "")
    engine.limits = replace(Limits(), repeats=500)
    operation, longest = engine.operation(request), []
    for _ in range(3):
        gaps = asyncio.create_task(_longest_pass())
        await asyncio.sleep(0)
        answer = await engine.run(operation, request, viewer, Caller("test"))
        gaps.cancel()
        longest.append(await gaps)
        assert [len(node) for node in answer["data"]["rooms"]["nodes"]] == [40] * 60
    assert min(longest) < 0.03


async def _longest_pass() -> float:
    """Measure until cancelled. Returns the longest time, in seconds of CPU, that the loop was blocked."""
    longest, before = 0.0, time.thread_time()
    try:
        while True:
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
            before = time.thread_time()
    except asyncio.CancelledError:
        return longest
