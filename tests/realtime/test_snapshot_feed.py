"""Snapshot feeds: a reader that has missed changes gets the whole present state."""

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from roomcast.realtime.group import RING, Group
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import EVERYBODY, FeedEntry
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.snapshot_feed import SnapshotFeed


class Number:
    """A number that rises, with a snapshot and a change for each step. It is its own renderer, too."""

    is_personal = False

    def __init__(self) -> None:
        self.value = self.snapshots = 0
        self.watched = True
        self.state: SnapshotFeed | None = SnapshotFeed("number", self._snapshot, self._on_unwatched)

    async def _snapshot(self) -> str:
        self.snapshots += 1
        return f"is {self.value};"

    def _on_unwatched(self) -> None:
        self.watched = False

    def rise(self) -> None:
        assert self.state is not None
        self.value += 1
        self.state.change(f"to {self.value};")

    @asynccontextmanager
    async def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AsyncIterator["Number.Pass"]:
        yield self.Pass(entries)

    class Pass:
        def __init__(self, entries: Sequence[FeedEntry]) -> None:
            self._payloads = [entry.event and entry.event.encode() for entry in entries]

        async def payloads_for(self, viewers: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
            return dict.fromkeys(viewers, self._payloads)

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        return FeedEntry(seq, signal)

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return None

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return None


class Peer:
    """The client of a socket. It accepts everything while `awake` is set."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.awake = asyncio.Event()
        self.awake.set()
        self.outbox = Outbox(self._send, lambda: None)

    async def _send(self, message: Any) -> None:
        await self.awake.wait()
        self.received += filter(None, message["text"].split(";"))

    async def until(self, text: str) -> None:
        async with asyncio.timeout(5):
            while not self.received or self.received[-1] != text:  # noqa: ASYNC110 (the loop only has to turn)
                await asyncio.sleep(0)


def group_of(number: Number) -> Group:
    assert number.state is not None
    group = Group("key", number.state, number, number.state)
    number.state.follow(group)
    return group


def reader_of(group: Group, peer: Peer) -> Reader:
    reader = Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None))
    reader.start_with_snapshot()
    return reader


async def test_a_snapshot_comes_first_and_then_each_change() -> None:
    number, peer = Number(), Peer()
    reader = reader_of(group_of(number), peer)
    await peer.until("is 0")
    number.rise()
    await peer.until("to 1")
    assert peer.received == ["is 0", "to 1"]
    reader.stop()


async def test_readers_that_start_together_share_one_snapshot() -> None:
    number, peers = Number(), [Peer() for _ in range(50)]
    group = group_of(number)
    readers = [reader_of(group, peer) for peer in peers]
    for peer in peers:
        await peer.until("is 0")
    assert number.snapshots == 1
    for reader in readers:
        reader.stop()


async def test_a_reader_blocked_for_long_gets_the_present_snapshot() -> None:
    number, sleeper, other = Number(), Peer(), Peer()
    group = group_of(number)
    readers = [reader_of(group, peer) for peer in (sleeper, other)]
    await sleeper.until("is 0")
    sleeper.awake.clear()
    for value in range(1, 2 * RING):
        number.rise()
        await other.until(f"to {value}")
    sleeper.awake.set()
    await sleeper.until(f"is {number.value}")
    assert len(sleeper.received) < RING
    number.rise()
    await sleeper.until(f"to {number.value}")
    for reader in readers:
        reader.stop()


async def test_a_group_that_is_behind_sends_a_snapshot_instead() -> None:
    number, peer = Number(), Peer()
    reader = reader_of(group_of(number), peer)
    await peer.until("is 0")
    for _ in range(1_000):
        number.rise()
    await peer.until("to 1000")
    assert len(peer.received) < 200
    assert "is 1000" in peer.received
    reader.stop()


async def test_a_feed_is_closed_when_its_last_group_leaves() -> None:
    number = Number()
    one, two = group_of(number), group_of(number)
    assert number.state is not None
    number.state.unfollow(one)
    assert number.watched
    number.state.unfollow(two)
    assert not number.watched
