"""Topics and groups: fairness between sockets, rights that no event announces, and tasks that end on close."""

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomcast.realtime import group as group_module
from roomcast.realtime.group import Group
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import EVERYBODY, FeedEntry
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.topic import Topic


class Room:
    """A log and its renderer in one. The payloads are the seqs. `hidden` events have none. `lost` are the viewers
    without access. Rendering waits for `may_render`."""

    name, state = "room", None

    def __init__(self, *, is_personal: bool = False) -> None:
        self.is_personal = is_personal
        self.hidden = set[int]()
        self.position = 0
        self.lost_viewers: dict[Hashable, str] = {}
        self.may_render = asyncio.Event()
        self.may_render.set()

    def entries_after(self, seq: int) -> Sequence[FeedEntry]:
        return [FeedEntry(at, at) for at in range(seq + 1, self.position + 1)]

    async def after(self, _topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        return self.entries_after(seq)[:limit]

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        return dict.fromkeys(topics, self.position)

    async def lost(self, _topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        return {viewer: reason for viewer, reason in self.lost_viewers.items() if viewer in audience}

    def decode(self, seq: int, body: str) -> FeedEntry:
        return FeedEntry(seq, body)

    @asynccontextmanager
    async def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AsyncIterator["Room.Pass"]:
        await self.may_render.wait()
        yield self.Pass([None if entry.seq in self.hidden else b"%d" % entry.seq for entry in entries])

    class Pass:
        def __init__(self, payloads: Sequence[bytes | None]) -> None:
            self._payloads = payloads

        async def payloads_for(self, viewers: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
            return dict.fromkeys(viewers, self._payloads)

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        return FeedEntry(seq, signal)

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return None

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return None


async def passes(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def subscriber(received: list[int], name: int = 0, viewer: Hashable = EVERYBODY) -> Subscriber:
    """A subscriber whose socket accepts everything and records its name for each payload."""

    async def send(_message: Any) -> None:
        received.append(name)

    return Subscriber(Outbox(send, lambda: None), viewer, b"", b"", lambda: None)


@pytest.mark.parametrize("is_signal", [False, True])
async def test_other_tasks_run_between_the_sockets_of_a_large_group(
    monkeypatch: pytest.MonkeyPatch, *, is_signal: bool
) -> None:
    monkeypatch.setattr(group_module, "SOCKETS_PER_TURN", 2)
    room, received = Room(), list[int]()
    group = Group("key", room, room, room)
    readers = [Reader(group, subscriber(received, number)) for number in range(6)]
    for reader in readers:
        reader.start_live()
    await passes()
    if is_signal:
        group.send_signal("typing")
    else:
        room.position += 1
        group.schedule()
    counts = set[int]()
    while len(received) < 6:
        await asyncio.sleep(0)
        counts.add(len(received))
    assert counts >= {2, 4, 6}
    await group.close()


async def test_a_closed_group_cancels_a_render_that_hangs() -> None:
    room = Room()
    group = Group("key", room, room, room)
    room.may_render.clear()
    room.position += 1
    group.schedule()
    await passes()
    async with asyncio.timeout(2):
        await group.close()


async def test_a_suspended_group_sends_nothing() -> None:
    room, received = Room(), list[int]()
    group = Group("key", room, room, room)
    reader = Reader(group, subscriber(received))
    reader.start_live()
    await passes()
    group.suspend()
    room.position += 1
    group.schedule()
    await passes()
    assert (group.executions, received) == (0, [])
    reader.stop()
    await group.close()


async def test_a_viewer_without_access_is_ended_without_an_event() -> None:
    room = Room()
    topic = Topic("room", 0, room)
    group = topic.group("key", lambda: room)
    lost, remaining = (Reader(group, subscriber([], viewer=viewer)) for viewer in ("lost", "remaining"))
    for reader in (lost, remaining):
        reader.start_live()
    await passes()
    room.lost_viewers["lost"] = "banned"
    topic.recheck_all_rights()
    await passes()
    assert (lost.is_open, remaining.is_open) == (False, True)
    await topic.close()


async def test_a_failed_topic_ends_every_reader() -> None:
    room = Room()
    topic = Topic("room", 0, room)
    readers = [Reader(topic.group(key, lambda: room), subscriber([])) for key in range(3)]
    topic.fail()
    assert not any(reader.is_open for reader in readers)
    await topic.close()
