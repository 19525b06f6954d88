"""Sending messages: idempotent, in order, and with valid bodies."""

import asyncio
import uuid

import pytest

from tests.api_clients import ROOM_MESSAGES, UserClient
from tests.messages.documents import EDIT, codes


async def test_a_sent_message_reaches_subscribers(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    async with bob.connect() as socket:
        subscription = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        sent = await ann.send(room_id, "hello")
        received = await subscription.next_event()
    assert received["message"]["id"] == sent["message"]["id"]
    assert received["message"]["body"] == "hello"
    assert received["message"]["author"] == {"username": "ann"}
    assert received["cursor"] == sent["cursor"]
    assert received["replayed"] is False


async def test_ten_concurrent_sends_with_one_key_make_one_message(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    key = str(uuid.uuid4())
    payloads = await asyncio.gather(*(ann.send(room_id, "once", clientMessageId=key) for _ in range(10)))
    assert {payload["message"]["id"] for payload in payloads} == {f"msg_{key}"}
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 9
    assert (await ann.send(room_id, "again", clientMessageId=key))["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_fifty_concurrent_sends_leave_no_gap_in_the_sequence(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    payloads = await asyncio.gather(*(ann.send(room_id, f"number {n}") for n in range(50)))
    assert sorted(payload["message"]["seq"] for payload in payloads) == list(range(2, 52))


@pytest.mark.parametrize(
    "body",
    [
        "\U0001fae8 newer than Python",
        "שלום\u200f!",
        "\u202bمرحبا\u202c",
        "\u2068א\u2069",
        "co\u00adop",
        "a\u200bb",
        "\uf8ff",
        "a\tb\r\nc",
    ],
)
async def test_a_body_in_any_script_is_stored_unchanged(ann: UserClient, body: str) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, body)
    assert message["body"] == body
    assert (await ann.mutate(EDIT, messageId=message["id"], body=body + "!"))["message"]["body"] == body + "!"


@pytest.mark.parametrize(
    "body", ["", " \n\u00a0\u3000", "\u200d\u200b", "\ufe0f", "\u3164", "a\0b", "\x1b[31m", "a\x85b"]
)
async def test_a_body_without_visible_text_or_with_control_characters_is_refused(ann: UserClient, body: str) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "words")
    assert codes(await ann.send(room_id, body)) == ["VALIDATION_FAILED"]
    assert codes(await ann.mutate(EDIT, messageId=message["id"], body=body)) == ["VALIDATION_FAILED"]
