"""Sending a message: once, in order, and only where one may."""

import asyncio
import uuid

from tests.people import ROOM_MESSAGES, Person


async def test_a_message_sent_is_heard_by_those_who_listen(ann: Person, bob: Person) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    async with bob.socket() as wire:
        watching = await wire.watch(ROOM_MESSAGES, roomId=den)
        await ann.house.listening(1)
        sent = await ann.send(den, "hello")
        heard = await watching.next()
    assert heard["message"]["id"] == sent["message"]["id"]
    assert heard["message"]["body"] == "hello"
    assert heard["message"]["author"] == {"username": "ann"}
    assert heard["cursor"] == sent["cursor"]
    assert heard["replayed"] is False


async def test_the_same_send_ten_times_at_once_makes_one_message(ann: Person) -> None:
    den = await ann.create_room("den")
    key = str(uuid.uuid4())
    payloads = await asyncio.gather(*(ann.send(den, "once", clientMessageId=key) for _ in range(10)))
    assert {payload["message"]["id"] for payload in payloads} == {f"msg_{key}"}
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 9
    assert (await ann.send(den, "again", clientMessageId=key))["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_fifty_senders_at_once_leave_no_hole_in_the_sequence(ann: Person) -> None:
    den = await ann.create_room("den")
    payloads = await asyncio.gather(*(ann.send(den, f"number {n}") for n in range(50)))
    assert sorted(payload["message"]["seq"] for payload in payloads) == list(range(2, 52))
