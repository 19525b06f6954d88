"""Tails of logs: a tail that is lower than before shows that a log has lost events."""

from collections.abc import Awaitable, Callable, Collection, Mapping

Tails = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Reads the newest seq of each of these topics. A deleted topic is missing."""


async def has_lost(reached: Mapping[str, int], tails: Mapping[str, int], read: Tails) -> bool:
    """Whether a log lacks events that it held. `reached`: the seq that each log had reached before `tails` were read.

    A tail that is lower is read a second time, because a false alarm makes every client start again.
    """
    behind = {name: seq for name, seq in reached.items() if tails.get(name, seq) < seq}
    if not behind:
        return False
    again = await read(behind)
    return any(again.get(name, seq) < seq for name, seq in behind.items())
