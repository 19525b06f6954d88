"""A limit of bytes per second: each caller waits until the bytes of the callers before it have had their time."""

import asyncio


class Pacer:
    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def wait(self, size: int) -> None:
        """Return when it is the caller's turn to spend `size` bytes."""
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + size / self._bytes_per_second
        await asyncio.sleep(begins - now)
