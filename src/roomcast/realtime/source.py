"""What live delivery needs from the product, as callables: the log, and who may still read. It knows no more of it."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a topic's log. `seq` rises by one.

    `rights`: somebody may have lost the topic by it. `rewrites`: what was shown before it looks different now.
    """

    seq: int
    event: Any
    rights: bool = False
    rewrites: bool = False


class Source(Protocol):
    """The log. Every method may raise: the caller tries again later."""

    async def after(self, topic: str, seq: int, limit: int) -> Sequence[Entry]:
        """The topic's entries above seq, oldest first, without a hole."""

    async def tails(self, topics: Collection[str]) -> Mapping[str, int]:
        """The newest seq of each of these topics; one that is gone is missing."""

    async def lost(self, topic: str, audience: Collection[Hashable]) -> Mapping[Hashable, Any]:
        """Who of these may not read the topic any more, each with the reason that `Script.ended` will be given."""

    def decode(self, seq: int, body: str) -> Entry:
        """A frame's entry, or the signal of one whose seq is 0.

        Raises ValueError or KeyError for a body that no release of ours made.
        """


class Script(Protocol):
    """What one group is shown. Everybody in a group gets the same bytes, so each is made once."""

    async def show(self, entries: Sequence[Entry], *, replayed: bool) -> Sequence[bytes | None]:
        """The encoded payload of each entry; None where this stream does not show it. Never raises."""

    async def signal(self, signal: Any, seq: int) -> bytes | None:
        """The encoded payload of what is in no log, said at the log's position `seq`; None where this stream does not
        show it. Never raises."""

    async def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> bytes | None:
        """What says 'you are live from here'; None for streams that do not say it."""

    async def ended(self, seq: int, reason: Any) -> bytes | None:
        """The last words of a stream that the server ends; None for streams without any."""
