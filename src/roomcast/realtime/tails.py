"""The ends of logs: what is read of them says whether a log has lost events."""

from collections.abc import Awaitable, Callable, Collection, Mapping

Tails = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Reads the newest seq of each of these topics; one that is gone is missing."""


async def has_lost(reached: Mapping[str, int], tails: Mapping[str, int], read: Tails) -> bool:
    """Whether a log lacks events that were there. `reached`: up to where logs were known to go before `tails` were
    read, so that all of it was committed by then. Read twice: a mistake would have every client fetch anew."""
    behind = {name: seq for name, seq in reached.items() if tails.get(name, seq) < seq}
    if not behind:
        return False
    again = await read(behind)
    return any(again.get(name, seq) < seq for name, seq in behind.items())
