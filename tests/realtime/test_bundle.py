"""Bundles: several events in one write, in order, and each once."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomcast.realtime.bundle import BUNDLE_BYTES, Bundle, bundles
from roomcast.realtime.fan_out import write_to_all
from roomcast.realtime.group import BLOCK, Group
from roomcast.realtime.outbox import LARGE_BYTES, Outbox
from roomcast.realtime.ports import EVERYBODY
from roomcast.realtime.reader import Reader, Subscriber
from roomcast.realtime.topic import Topic
from tests.realtime.test_group import Room, passes
from tests.simulation.connection import texts_of

PAYLOADS = st.lists(st.none() | st.integers(0, 70_000).map(lambda size: b"x" * size), min_size=1, max_size=8)


@given(PAYLOADS, st.text("a", max_size=300), st.sampled_from(["", "}"]))
def test_a_bundle_is_the_frames_of_its_payloads_or_is_not_written_at_once(
    payloads: list[bytes | None], prefix: str, suffix: str
) -> None:
    events = list(enumerate(payloads, 5))
    found = bundles(events)
    assert [event for bundle in found for event in bundle.events] == events
    for bundle in found:
        shown = [payload.decode() for _, payload in bundle.events if payload is not None]
        frames = prefix.encode().join(bundle.pieces[len(prefix), suffix.encode()])
        assert bundle.shown == len(shown)
        assert (bundle.first, bundle.last) == (bundle.events[0][0], bundle.events[-1][0])
        assert sum(map(len, shown)) <= BUNDLE_BYTES or bundle.shown == 1
        assert len(frames) < LARGE_BYTES
        if frames:
            assert list(texts_of(frames)) == [prefix + each + suffix for each in shown]
        else:
            assert not shown or sum(map(len, shown)) > BUNDLE_BYTES


class Socket:
    """A socket of our own server. `writes`: the texts of each write. While `is_full` it accepts nothing."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.is_full = False
        self.has_room = asyncio.Event()
        self.outbox = Outbox(self._send, lambda: None, write=self._write)

    @property
    def texts(self) -> list[str]:
        return [text for texts in self.writes for text in texts]

    async def _send(self, message: Any) -> None:
        if self.is_full:
            await self.has_room.wait()
        self.writes.append([message["text"]])

    def open(self, group: Group, viewer: Hashable = EVERYBODY, prefix: bytes = b"") -> Reader:
        return Reader(group, Subscriber(self.outbox, viewer, prefix, b"", lambda: None))

    def _write(self, frames: bytes) -> bool:
        if not self.is_full:
            self.writes.append(list(texts_of(frames)))
        return not self.is_full


@pytest.fixture
async def room() -> Room:
    return Room()


@pytest.mark.parametrize("is_personal", [False, True])
async def test_events_that_wait_together_leave_in_one_write(*, is_personal: bool) -> None:
    room, sockets = Room(is_personal=is_personal), [Socket() for _ in range(3)]
    topic = Topic("room", 0, room)
    group = topic.group("key", lambda: room)
    for number, socket in enumerate(sockets):
        socket.open(group, viewer=number, prefix=b"#" * number).start_live()
    await passes()
    room.hidden = {3}
    room.position = topic.position = 4
    group.schedule()
    await passes()
    assert [socket.writes for socket in sockets] == [[["1", "2", "4"]], [["#1", "#2", "#4"]], [["##1", "##2", "##4"]]]
    assert (group.deliveries, [socket.outbox.offered for socket in sockets]) == (9, [3, 3, 3])
    await topic.close()


async def test_a_replay_leaves_in_one_write_for_each_bundle(room: Room) -> None:
    room.position = 2 * BLOCK
    group, socket = Group("key", room, room, room), Socket()
    socket.open(group).start_after(0)
    await passes()
    assert socket.texts == [str(seq) for seq in range(1, 2 * BLOCK + 1)]
    assert len(socket.writes) <= 2 * BLOCK // group._block_size() + 2
    await group.close()


@pytest.mark.parametrize("accepted", range(4))
async def test_a_socket_that_is_blocked_in_a_bundle_gets_the_rest_later(room: Room, accepted: int) -> None:
    """The first event after the block waits in the outbox, the others in the ring."""
    group, socket, other = Group("key", room, room, room), Socket(), Socket()
    reader = socket.open(group)
    reader.start_live()
    other.open(group).start_live()
    await passes()
    for room.position, socket.is_full in ((accepted, False), (accepted + 5, True)):
        group.schedule()
        await passes()
    assert (len(socket.texts), reader.position, len(other.texts)) == (accepted, accepted + 1, accepted + 5)
    socket.is_full = False
    socket.has_room.set()
    await passes()
    assert socket.texts == other.texts == [str(seq) for seq in range(1, accepted + 6)]
    await group.close()


async def test_a_reader_with_a_part_of_a_bundle_gets_the_other_part(room: Room) -> None:
    group, socket = Group("key", room, room, room), Socket()
    reader = socket.open(group)
    for sent in (0, 2, 4, 5):
        socket.writes, reader.sent = [], sent
        write_to_all(Bundle([(1, b"1"), (2, None), (3, b"3"), (4, b"4")]), [reader])
        assert (socket.texts, reader.sent) == ([text for text in "134" if int(text) > sent], max(4, sent))
    await group.close()
