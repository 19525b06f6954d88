"""The interfaces between live delivery and the rest: the log, the right to read it, rendering, and groups.

The product implements `Source`, `Epoch`, `Renderer` and `RenderPass`. `Feed`, `FeedListener` and `GroupMember` let the
modules of this package refer to each other without importing each other.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from roomcast.realtime.bundle import Bundle, FrameShape
from roomcast.realtime.outbox import Outbox

EVERYBODY = None
"""The viewer of a payload that is the same for all readers of a group."""


class Failure(StrEnum):
    """Why a stream ends with an error."""

    INTERNAL = "INTERNAL"
    """An unexpected exception."""

    EXPIRED = "RESUME_EXPIRED"
    """The log has lost the events after the stream's position, and the stream has no control event that says so."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One event of a topic's log. `seq` rises by one.

    `rights`: a reader may have lost access to the topic by it. `rewrites`: earlier events look different from now on.
    `mark` tells it from another event at the same seq, which the log may hold after it has lost events. `size`: the
    bytes that it holds in memory beyond the few of every event, approximately. `at`: the Unix time of the event, 0
    where it has none. `trace`: the context of the span that has published it, if it is recorded.
    """

    seq: int
    event: Any
    rights: bool = False
    rewrites: bool = False
    mark: Hashable = None
    size: int = 0
    at: float = 0.0
    trace: str | None = None


class EventStore(Protocol):
    """Stored events. May raise: the caller tries again later."""

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        """The topic's entries above seq, oldest first, without a gap."""


class Source(EventStore, Protocol):
    """The log. Every method may raise: the caller tries again later, or gives up after a few tries if the exception is
    one of `retry.DEFECTS`."""

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        """The newest seq of each of these topics. A deleted topic is missing."""

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        """Those of `audience` that may not read the topic any more, each with the reason for `Renderer.ended`."""

    def decode(self, seq: int, body: str) -> FeedEntry:
        """The entry of a frame, or the signal of a frame whose seq is 0.

        Raises ValueError or KeyError for a body that no release of ours made.
        """


class Epoch(Protocol):
    """Which incarnation of the log is valid. Both methods may raise: the caller tries again later. When another epoch
    has begun, its owner calls `Hub.restart`."""

    @property
    def current(self) -> Any:
        """The identity of the present epoch."""

    async def poll(self) -> None:
        """Adopt an epoch that another process has begun."""

    async def renew(self, since: Any) -> None:
        """The log has lost events that were there during `since`: begin another epoch, unless one has begun already."""


class RenderPass(Protocol):
    """The rendering of some entries."""

    async def payloads_for(self, viewers: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        """For each viewer the encoded payload of each entry, None where the stream does not show the entry."""


class Feed(Protocol):
    """What a group renders: the entries of a topic, or the changes of a `SnapshotFeed`."""

    name: str
    position: int

    def entries_after(self, seq: int) -> Sequence[FeedEntry] | None:
        """The entries above seq that are in memory. None if some of them are not."""


class FeedListener(Protocol):
    """What a feed needs of its groups."""

    def schedule(self) -> None:
        """The feed has a new position."""


class WatchedFeed(Feed, EventStore, Protocol):
    """A feed that a group renders in place of the topic's log."""

    def follow(self, group: FeedListener) -> None:
        """Call the group's `schedule` after each change."""

    def unfollow(self, group: FeedListener) -> None:
        """Stop calling it."""


class GroupMember(Protocol):
    """What a topic and a group need of their readers. `audience` is the viewer. `prefix` comes before each payload on
    the wire. `sent`: the outbox has accepted every event up to this seq that the stream shows."""

    audience: Hashable
    outbox: Outbox
    prefix: bytes
    shape: FrameShape
    sent: int

    @property
    def is_open(self) -> bool:
        """Whether it is neither stopped nor ended."""

    def send(self, bundle: Bundle) -> None:
        """The next events of a live reader, of which it may have some."""

    def send_signal(self, payload: bytes) -> None:
        """A payload that is in no log."""

    def suspend(self) -> None:
        """Send nothing until `restart`."""

    def restart(self) -> None:
        """The log is another one from now on."""

    def fail(self, failure: Failure) -> None:
        """End with an error."""

    def end(self, reason: Any) -> object:
        """End with the control event that names the reason."""


class Renderer(Protocol):
    """Turns entries into payloads. `is_personal`: the payloads differ for each viewer; otherwise the only viewer is
    EVERYBODY."""

    is_personal: bool

    @property
    def state(self) -> WatchedFeed | None:
        """The feed that is rendered in place of the topic's log, if any."""

    def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AbstractAsyncContextManager[RenderPass]:
        """All payloads made inside the block show the data of one moment."""

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        """The entry of a signal, at the position `seq` of the log."""

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        """The control event "you are live from here". None for streams without it."""

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        """The control event of a stream that the server ends. None for streams without it."""
