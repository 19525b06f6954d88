"""Subscriptions over plain HTTP, as multipart responses and as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from roomcast.accounts.tokens import Tokens
from roomcast.core.ids import local_id, uuid7
from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, WAIT_SECONDS, Json, UserClient
from tests.running_app import SECRET, RunningApp

MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0, application/json"
EVENTS = "text/event-stream"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


class StreamReader:
    """An open stream, read result by result."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self._lines = response, response.aiter_lines()

    async def next(self) -> Json:
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in self._lines:
                found = line.removeprefix("data: ")
                if found.startswith("{") and found != "{}":
                    result: Json = json.loads(found)
                    return result["payload"] if result.get("payload") else result
        raise EOFError

    async def rest(self) -> list[str]:
        async with asyncio.timeout(WAIT_SECONDS):
            return [line async for line in self._lines if line]


@asynccontextmanager
async def stream(person: UserClient, accept: str, document: str, **variables: object) -> AsyncIterator[StreamReader]:
    headers = {"accept": accept, "authorization": f"Bearer {person.token}"}
    body = {"query": document, "variables": variables}
    async with person.http.stream("POST", "/graphql", json=body, headers=headers) as response:
        assert response.status_code == 200
        yield StreamReader(response)


@pytest.mark.parametrize("accept", [MULTIPART, EVENTS])
async def test_a_stream_delivers_messages_and_leaves_nothing_after_a_disconnect(
    app: RunningApp, ann: UserClient, accept: str
) -> None:
    room_id = await ann.create_room("den")
    [first] = await ann.send_messages(room_id, "before")
    async with stream(ann, accept, ROOM_MESSAGES, roomId=room_id) as reading:
        await app.wait_for_streams(1)
        await ann.send_messages(room_id, "one", "two")
        bodies = [(await reading.next())["data"]["roomMessages"]["message"]["body"] for _ in range(2)]
        assert bodies == ["one", "two"]
        assert reading.response.headers["content-type"].startswith(accept.partition(";")[0])
    await app.wait_for_streams(0)
    assert first["seq"] == 2


async def test_a_stream_resumes_from_a_cursor(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    sent = await ann.send(room_id, "seen")
    await ann.send_messages(room_id, "missed")
    async with stream(ann, MULTIPART, ROOM_EVENTS, roomId=room_id, after=sent["cursor"]) as reading:
        kinds = [(await reading.next())["data"]["roomEvents"]["__typename"] for _ in range(3)]
    assert kinds == ["StreamReady", "MessageCreated", "StreamReady"]


@pytest.mark.parametrize("accept", [MULTIPART, EVENTS])
async def test_a_rejected_stream_sends_its_error_and_ends(ann: UserClient, accept: str) -> None:
    async with stream(ann, accept, ROOM_MESSAGES, roomId="room_unknown") as reading:
        assert (await reading.next())["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        rest = await reading.rest()
    assert rest[-1] == "--graphql--" if accept == MULTIPART else rest[0] == "event: complete"


async def test_a_removed_member_gets_no_more_events(app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with stream(bob, MULTIPART, ROOM_EVENTS, roomId=room_id) as reading:
        assert (await reading.next())["data"]["roomEvents"]["__typename"] == "StreamReady"
        await bob.leave(room_id)
        while (event := (await reading.next())["data"]["roomEvents"])["__typename"] != "StreamEnded":
            assert event["__typename"] == "MemberChanged"
        assert (await reading.rest())[-1] == "--graphql--"
    await app.wait_for_streams(0)


async def test_queries_get_json_for_any_accept_header(ann: UserClient) -> None:
    for accept in (URQL, MULTIPART, EVENTS, "*/*"):
        answer = await ann.post({"query": "{ __typename }"}, accept=accept)
        assert answer.headers["content-type"].partition(";")[0].endswith("json")
    room_id = await ann.create_room("den")
    subscription = {"query": ROOM_MESSAGES, "variables": {"roomId": room_id}}
    refused = await ann.post(subscription, accept="application/json")
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")


async def test_a_bad_token_gets_a_401_before_the_stream_starts(ann: UserClient) -> None:
    user = local_id("user", ann.id)
    assert user is not None
    ann.token = Tokens([SECRET.encode()], -5).issue_access_token(user, uuid7())[0]
    answer = await ann.post({"query": ROOM_MESSAGES, "variables": {"roomId": "x"}}, accept=MULTIPART)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "TOKEN_EXPIRED")


@pytest.mark.parametrize("accept", [MULTIPART, EVENTS])
async def test_a_stream_for_another_origin_gets_forbidden(ann: UserClient, accept: str) -> None:
    headers = {"accept": accept, "origin": "https://evil.example.org", "authorization": f"Bearer {ann.token}"}
    async with ann.http.stream("POST", "/graphql", json={"query": ROOM_MESSAGES}, headers=headers) as response:
        [error] = (await StreamReader(response).next())["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("FORBIDDEN", False)
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]


async def test_heartbeats_are_sent_on_an_idle_stream(app: RunningApp, ann: UserClient) -> None:
    app.roomcast.sockets.timeouts = type(app.roomcast.sockets.timeouts)(tick=0.02, heartbeat=0.04)
    room_id = await ann.create_room("den")
    async with stream(ann, EVENTS, ROOM_MESSAGES, roomId=room_id) as reading, asyncio.timeout(WAIT_SECONDS):
        heartbeats = 0
        async for line in reading.response.aiter_lines():
            heartbeats += line == ":"
            if heartbeats == 5:
                break
        assert heartbeats == 5, "the stream ended before five heartbeats"
