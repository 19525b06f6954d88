"""What live delivery needs from the product, as callables: the log, and who may still read. It knows no more of it."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from roomcast.realtime.snapshot_feed import SnapshotFeed

EVERYBODY = None
"""Whom a group shows something that is the same for all in it."""


class Failure(StrEnum):
    """Why a stream ends with an error."""

    INTERNAL = "INTERNAL"
    """An exception that nobody expected."""

    EXPIRED = "RESUME_EXPIRED"
    """The log has lost what the stream would go on from, and the stream has no words to say so."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One event of a topic's log. `seq` rises by one.

    `rights`: somebody may have lost the topic by it. `rewrites`: what was shown before it looks different now. `mark`:
    what tells it from another event at the same place, after the log has lost the first one. `size`: about the bytes
    that it holds beyond the few of every event.
    """

    seq: int
    event: Any
    rights: bool = False
    rewrites: bool = False
    mark: Hashable = None
    size: int = 0


class EventStore(Protocol):
    """What can be read again. May raise: the caller tries again later."""

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[FeedEntry]:
        """The topic's entries above seq, oldest first, without a hole."""


class Source(EventStore, Protocol):
    """The log. Every method may raise: the caller tries again later; after a few tries if it is one of
    `retry.DEFECTS`."""

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        """The newest seq of each of these topics; one that is gone is missing."""

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        """Who of these may not read the topic any more, each with the reason that `Script.ended` will be given."""

    def decode(self, seq: int, body: str) -> FeedEntry:
        """A frame's entry, or the signal of one whose seq is 0.

        Raises ValueError or KeyError for a body that no release of ours made.
        """


class Epoch(Protocol):
    """Which incarnation of the log counts. Both may raise: it is tried again later. When another one has begun, its
    owner calls `Hub.restart`."""

    @property
    def current(self) -> Any:
        """What tells it from others."""

    async def poll(self) -> None:
        """Follow one that was begun elsewhere."""

    async def renew(self, since: Any) -> None:
        """The log has lost events that were there during `since`: begin another one, unless that is done."""


class RenderPass(Protocol):
    """Some entries, about to be shown."""

    async def payloads_for(self, people: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        """What each of these is shown: the encoded payload of each entry, None where this stream does not show it.
        Never raises."""


class Renderer(Protocol):
    """What a group is shown. `is_personal`: each person something else; otherwise all the same, as EVERYBODY. `state`:
    what it is shown of, if not of the topic's log."""

    is_personal: bool
    state: "SnapshotFeed | None"

    def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AbstractAsyncContextManager[RenderPass]:
        """All that is shown inside the block is of one moment."""

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        """What is in no log, as if it stood at the log's position `seq`."""

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        """What says 'you are live from here'; None for streams that do not say it."""

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        """The last words of a stream that the server ends; None for streams without any."""
