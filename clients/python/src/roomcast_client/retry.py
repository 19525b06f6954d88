"""Pauses between attempts."""

import asyncio
import random

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 15.0


class Backoff:
    """Pauses that double, with jitter: clients that lost one server do not return in step."""

    def __init__(self) -> None:
        self._seconds = FIRST_SECONDS

    def reset(self) -> None:
        self._seconds = FIRST_SECONDS

    def next(self, at_least: float | None = None) -> float:
        """The seconds to wait now; at least those that the server has asked for."""
        pause = random.uniform(self._seconds / 2, self._seconds)  # noqa: S311 (no secret)
        self._seconds = min(self._seconds * 2, LONGEST_SECONDS)
        return max(pause, at_least or 0)

    async def wait(self, at_least: float | None = None) -> None:
        await asyncio.sleep(self.next(at_least))
