"""The memory of live delivery is bounded in bytes, for payloads of any size."""

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomcast.realtime import replay_cache
from roomcast.realtime.bundle import BUNDLE_BYTES
from roomcast.realtime.group import BLOCK, BLOCK_BYTES, Group
from roomcast.realtime.outbox import LARGE_BYTES, MAX_WAITING_BYTES, Outbox, UnsentBytes
from roomcast.realtime.pacer import Pacer
from roomcast.realtime.ports import EVERYBODY, Failure, FeedEntry
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.ring import RING_BYTES, ByteBudget, Ring
from roomcast.realtime.snapshot_feed import SnapshotFeed

KIBIBYTE = 1024


class Room:
    """A topic, its log and its renderer in one. Each payload has `payload_bytes` bytes."""

    name, is_personal = "room", False
    state: SnapshotFeed | None = None

    def __init__(self, payload_bytes: int, position: int = 0) -> None:
        self.payload = b"x" * payload_bytes
        self.position = position
        self.fails = False
        self.largest_batch = 0

    def entries_after(self, seq: int) -> Sequence[FeedEntry]:
        return [FeedEntry(at, at) for at in range(seq + 1, self.position + 1)]

    async def after(self, _topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        return self.entries_after(seq)[:limit]

    @asynccontextmanager
    async def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AsyncIterator["Room.Pass"]:
        if self.fails:
            raise ZeroDivisionError
        self.largest_batch = max(self.largest_batch, len(entries))
        yield self.Pass([self.payload] * len(entries))

    class Pass:
        def __init__(self, payloads: Sequence[bytes]) -> None:
            self._payloads = payloads

        async def payloads_for(self, viewers: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
            return dict.fromkeys(viewers, self._payloads)

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        return FeedEntry(seq, signal)

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return None

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return None


class Peer:
    """A socket that accepts bytes while `awake` is set."""

    def __init__(self, unsent: UnsentBytes | None = None) -> None:
        self.accepted = 0
        self.awake = asyncio.Event()
        self.awake.set()
        self.is_dropped = False
        self.outbox = Outbox(self._send, self._drop, unsent=unsent or UnsentBytes())

    async def _send(self, message: Any) -> None:
        await self.awake.wait()
        self.accepted += len(message["text"])

    def _drop(self) -> None:
        self.is_dropped = True

    async def accepts(self, size: int) -> None:
        async with asyncio.timeout(10):
            while self.accepted < size:  # noqa: ASYNC110 (the loop only has to turn)
                await asyncio.sleep(0)


async def passes(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# ------------------------------------------------------------------ rings


def test_a_ring_is_bounded_in_number_and_in_bytes() -> None:
    budget = ByteBudget()
    ring = Ring[int](10, budget, limit=100)
    for number in range(20):
        ring.append(number, 1)
    assert (ring.last(10), ring.last(11)) == ([*range(10, 20)], None)
    ring.append(20, 95)
    assert (ring.last(6), ring.last(7)) == ([*range(15, 21)], None)
    ring.append(21, 101)  # too large to be kept
    assert (ring.last(0), ring.last(1), ring.held, budget.used) == ([], None, 0, 0)


def test_all_rings_share_a_budget_and_the_idle_ones_shed_first() -> None:
    budget = ByteBudget(100)
    idle, busy = Ring[int](10, budget), Ring[int](10, budget)
    for ring in (idle, busy):
        for number in range(5):
            ring.append(number, 10)
    busy.append(5, 25)
    assert (budget.used, idle.last(2), idle.last(3)) == (95, [3, 4], None)
    assert busy.last(6) == [0, 1, 2, 3, 4, 5]
    busy.clear()
    idle.clear()
    assert budget.used == 0


async def test_a_group_of_large_payloads_keeps_few_and_every_reader_gets_all() -> None:
    room, budget = Room(512 * KIBIBYTE), ByteBudget(2 * RING_BYTES)
    budget.pacer = Pacer(2**30)
    group, awake, asleep = Group("key", room, room, room, budget), Peer(), Peer()
    readers = [Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None)) for peer in (awake, asleep)]
    for reader in readers:
        reader.start_live()
    await passes()
    asleep.awake.clear()
    for _ in range(100):
        room.position += 1
        group.schedule()
        await awake.accepts(room.position * len(room.payload))
        assert budget.used <= RING_BYTES
    asleep.awake.set()
    await asleep.accepts(100 * len(room.payload))
    await passes()
    assert budget.used <= 2 * RING_BYTES
    for reader in readers:
        reader.stop()
    await group.close()
    assert budget.used == 0


async def test_groups_with_large_payloads_share_a_rate_and_others_do_not_wait() -> None:
    rooms, small, budget = [Room(256 * KIBIBYTE) for _ in range(2)], Room(KIBIBYTE), ByteBudget()
    budget.pacer = Pacer(1024 * KIBIBYTE)
    rooms.append(small)
    groups, peers = [Group("key", room, room, room, budget) for room in rooms], [Peer() for _ in rooms]
    readers = [
        Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None))
        for group, peer in zip(groups, peers, strict=True)
    ]
    for reader in readers:
        reader.start_live()
    await passes()
    began = asyncio.get_running_loop().time()
    for number in range(1, 4):  # the size of the first payload is not known before it is made
        for room, group in zip(rooms, groups, strict=True):
            room.position = number
            group.schedule()
        await peers[2].accepts(number * KIBIBYTE)
    assert asyncio.get_running_loop().time() - began < 0.25
    for peer in peers[:2]:
        await peer.accepts(3 * 256 * KIBIBYTE)
    assert asyncio.get_running_loop().time() - began >= 0.75  # three times 256 KiB before the last of four
    for reader, group in zip(readers, groups, strict=True):
        reader.stop()
        await group.close()


# ------------------------------------------------------------------ replays


@pytest.mark.parametrize(
    ("payload_bytes", "count"), [(100, 3 * BLOCK + 5), (100 * KIBIBYTE, BLOCK + 5), (2 * BLOCK_BYTES, 9)]
)
async def test_a_replay_is_read_in_blocks_of_bounded_size(
    payload_bytes: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_cache, "SHARED_SECONDS", 0.05)
    budget = ByteBudget()
    budget.pacer = Pacer(2**30)
    room = Room(payload_bytes, count)
    group, peers = Group("key", room, room, room, budget), [Peer() for _ in range(5)]
    readers = [Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None)) for peer in peers]
    for start, reader in enumerate(readers):
        reader.start_after(start)
    for start, peer in enumerate(peers):
        await peer.accepts((count - start) * payload_bytes)
    assert group.executions <= 2 * count  # shared by readers that replay the same events
    assert room.largest_batch <= max(4, BLOCK_BYTES // payload_bytes)
    assert budget.used <= RING_BYTES + 2 * BLOCK_BYTES
    await asyncio.sleep(0.1)
    assert budget.used == 0
    for reader in readers:
        reader.stop()
    await group.close()


async def test_a_blocked_reader_holds_little_of_a_replay() -> None:
    room = Room(8 * KIBIBYTE, BLOCK)
    group, peer = Group("key", room, room, room), Peer()
    reader = Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None))
    peer.awake.clear()
    reader.start_after(0)
    await passes()
    [sending] = [task for task in asyncio.all_tasks() if task.get_name() == "reader"]
    held = _locals_of(sending, "_send_events")
    assert "events" not in held
    assert 0 < len(held["rest"]) * len(room.payload) <= BUNDLE_BYTES
    peer.awake.set()
    await peer.accepts(BLOCK * len(room.payload))
    reader.stop()
    await group.close()


def _locals_of(task: asyncio.Task[Any], function: str) -> dict[str, Any]:
    coroutine: Any = task.get_coro()
    while coroutine.cr_code.co_name != function:
        coroutine = coroutine.cr_await
    return dict(coroutine.cr_frame.f_locals)


# ------------------------------------------------------------------ what waits for sockets


async def test_unsent_bytes_of_all_sockets_are_bounded_and_the_largest_is_dropped() -> None:
    unsent = UnsentBytes(10_000)
    small, large = Peer(unsent), Peer(unsent)
    for peer in (small, large):
        peer.awake.clear()
    small.outbox.put(b"x" * 4_000)
    for _ in range(6):
        large.outbox.put(b"x" * 1_000)
    assert (unsent.total, large.is_dropped) == (10_000, False)
    small.outbox.put(b"x")
    assert (large.is_dropped, small.is_dropped, unsent.total) == (True, False, 4_001)
    small.awake.set()
    await small.accepts(4_001)
    await passes()
    assert unsent.total == 0
    for peer in (small, large):
        await peer.outbox.close()


async def test_a_large_frame_counts_until_the_socket_accepts_bytes() -> None:
    unsent, drained = UnsentBytes(), asyncio.Event()

    async def send(_message: Any) -> None:
        """Accepted at once, into the buffers of the server."""

    outbox = Outbox(send, lambda: None, drained=drained.wait, unsent=unsent)
    outbox.put(b"x" * MAX_WAITING_BYTES)
    assert unsent.total == MAX_WAITING_BYTES
    assert not outbox.offer(b"next")
    drained.set()
    await outbox.idle()
    assert (unsent.total, outbox.offer(b"next")) == (0, True)


async def test_only_frames_that_are_not_large_are_written_directly() -> None:
    written, sent = list[bytes](), list[int]()

    async def send(message: Any) -> None:
        sent.append(len(message["text"]))

    def write(frames: bytes) -> bool:
        written.append(frames)
        return True

    outbox = Outbox(send, lambda: None, write=write, unsent=UnsentBytes())
    for size in (5, LARGE_BYTES - 1, LARGE_BYTES):
        assert outbox.offer(b"x" * (size - 2), b"yz")
    assert (written[0], len(written[1]), sent) == (b"\x81\x05xxxyz", LARGE_BYTES + 3, [LARGE_BYTES])


# ------------------------------------------------------------------ failures


async def test_a_group_that_fails_ends_every_reader_with_an_error() -> None:
    room, failures = Room(1), list[Failure]()
    group, peer = Group("key", room, room, room), Peer()
    readers = [
        Reader(group, Subscriber(peer.outbox, EVERYBODY, b"", b"", lambda: None, failures.append)) for _ in range(3)
    ]
    for reader in readers:
        reader.start_live()
    await passes()
    room.fails = True
    room.position += 1
    group.schedule()
    await passes()
    assert failures == [Failure.INTERNAL] * 3
    assert not any(reader.is_open for reader in readers)
    await group.close()
