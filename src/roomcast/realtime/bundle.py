"""Bundles: consecutive events that leave a socket in one write.

A write costs the kernel some 3 µs, and each further frame in it less than one. So events that wait while others are
sent leave together, live and in replays.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from roomcast.realtime.outbox import LARGE_BYTES
from roomcast.websocket_frames import text_header

EncodedEvent: TypeAlias = tuple[int, bytes | None]
"""The seq of an event and its payload; None where the stream does not show the event."""

FrameShape: TypeAlias = tuple[int, bytes]
"""The length of what comes before each payload of a stream on the wire, and what comes after it."""


@lru_cache(maxsize=1_000)
def frame_shape(prefix_bytes: int, suffix: bytes) -> FrameShape:
    """Equal shapes are mostly the same object, so that a loop over many readers finds it in the processor's cache."""
    return prefix_bytes, suffix


BUNDLE_BYTES = 32 * 1024
"""Payloads of one bundle together, unless a single one is larger. With the rest of their frames they have less than
LARGE_BYTES. A blocked reader holds at most one bundle."""


class Bundle:
    """`events` in order, not empty. Those without a payload are not shown by the stream. `shown`: the number of
    payloads."""

    __slots__ = ("events", "first", "last", "pieces", "shown")

    def __init__(self, events: Sequence[EncodedEvent]) -> None:
        self.events = events
        self.first, self.last = events[0][0], events[-1][0]
        payloads = [payload for _, payload in events if payload is not None]
        self.shown = len(payloads)
        self.pieces = FramePieces(payloads)


class FramePieces(dict[FrameShape, Sequence[bytes]]):
    """The frames of some payloads, cut where the prefix of a reader comes: `prefix.join(pieces)` makes the frames.

    Made once for all readers with a prefix of the same length and the same suffix. Empty if there are no payloads, or
    the frames are too large to be written at once.
    """

    __slots__ = ("_payloads",)

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads

    def __missing__(self, shape: FrameShape) -> Sequence[bytes]:
        prefix_bytes, suffix = shape
        ends = [payload + suffix for payload in self._payloads]
        headers = [text_header(prefix_bytes + len(end)) for end in ends]
        pieces = [*headers[:1], *map(bytes.__add__, ends, headers[1:]), *ends[-1:]]
        is_small = sum(map(len, pieces)) + prefix_bytes * len(ends) < LARGE_BYTES
        self[shape] = pieces if is_small else ()
        return self[shape]


def bundles(events: Iterable[EncodedEvent]) -> list[Bundle]:
    """All of these events, in bundles of BUNDLE_BYTES."""
    found, size = list[list[EncodedEvent]](), 0
    for seq, payload in events:
        size += len(payload or b"")
        if not found or (size > BUNDLE_BYTES and payload is not None):
            found.append([])
            size = len(payload or b"")
        found[-1].append((seq, payload))
    return [Bundle(each) for each in found]
