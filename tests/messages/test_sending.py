"""Sending a message: once, in order, and only where one may."""

import asyncio
import uuid

import pytest

from tests.api_clients import ROOM_MESSAGES, UserClient
from tests.messages.documents import EDIT, codes


async def test_a_message_sent_is_heard_by_those_who_listen(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    async with bob.connect() as wire:
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await ann.app.wait_for_streams(1)
        sent = await ann.send(den, "hello")
        heard = await watching.next_event()
    assert heard["message"]["id"] == sent["message"]["id"]
    assert heard["message"]["body"] == "hello"
    assert heard["message"]["author"] == {"username": "ann"}
    assert heard["cursor"] == sent["cursor"]
    assert heard["replayed"] is False


async def test_the_same_send_ten_times_at_once_makes_one_message(ann: UserClient) -> None:
    den = await ann.create_room("den")
    key = str(uuid.uuid4())
    payloads = await asyncio.gather(*(ann.send(den, "once", clientMessageId=key) for _ in range(10)))
    assert {payload["message"]["id"] for payload in payloads} == {f"msg_{key}"}
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 9
    assert (await ann.send(den, "again", clientMessageId=key))["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_fifty_senders_at_once_leave_no_hole_in_the_sequence(ann: UserClient) -> None:
    den = await ann.create_room("den")
    payloads = await asyncio.gather(*(ann.send(den, f"number {n}") for n in range(50)))
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
async def test_a_body_is_kept_as_it_was_written_in_any_script(ann: UserClient, body: str) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, body)
    assert message["body"] == body
    assert (await ann.mutate(EDIT, messageId=message["id"], body=body + "!"))["message"]["body"] == body + "!"


@pytest.mark.parametrize(
    "body", ["", " \n\u00a0\u3000", "\u200d\u200b", "\ufe0f", "\u3164", "a\0b", "\x1b[31m", "a\x85b"]
)
async def test_a_body_shows_something_and_controls_nothing(ann: UserClient, body: str) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, "words")
    assert codes(await ann.send(den, body)) == ["VALIDATION_FAILED"]
    assert codes(await ann.mutate(EDIT, messageId=message["id"], body=body)) == ["VALIDATION_FAILED"]
