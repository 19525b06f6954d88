"""Decodes pictures in child processes with limits, so that a decoder that loops, crashes or uses too much memory does
not affect the server.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from roomcast.core.errors import FileTooLarge, RequestTimedOut, UnsupportedMediaType
from roomcast.uploads.child_process import Child

WORKERS = 2
"""Child processes per server process. Each user has at most one at a time, so no user can occupy all."""

_ERRORS = {refused.code: refused for refused in (UnsupportedMediaType, FileTooLarge)}


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Limits for one picture. `pictures`: how many a child prepares before it is replaced."""

    cpu_seconds: int = 4
    wall_seconds: float = 10.0
    memory_bytes: int = 1024**3
    bytes_per_second: int = 10 * 1024**2
    """Large files get more time: this many bytes a second are read, written and hashed."""
    start_seconds: float = 20.0
    """Extra time for the first picture of a child, which has to start."""
    pictures: int = 200


@dataclass(frozen=True, slots=True)
class Picture:
    """The displayed size in pixels of a picture that has a thumbnail."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Job:
    """A request to prepare the file at `path`.

    `stripped`: where to write it without metadata, None to leave it as it is. `small`: where to write a thumbnail, None
    for none.
    """

    path: Path
    content_type: str
    byte_size: int
    stripped: Path | None
    thumbnail: Path | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The digest and size of the file without metadata, and the picture; None for what the job did not request."""

    sha256: str | None
    byte_size: int | None
    picture: Picture | None


class PicturePool:
    """A pool of child processes. They start with the first pictures."""

    def __init__(self, limits: PictureLimits = PictureLimits()) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="pictures")
        self._slots = asyncio.Semaphore(WORKERS)
        self._user_locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._idle: list[Child] = []
        self._children: set[Child] = set()

    @property
    def pids(self) -> list[int]:
        """The process ids of the children that have started."""
        return [child.pid for child in self._children if child.pid is not None]

    async def prepare(self, owner_id: UUID, job: Job) -> Prepared:
        """Prepare one picture. Each user has one picture at a time; users wait in order of arrival.

        Raises UnsupportedMediaType if it cannot be read within the limits of CPU time and memory, RequestTimedOut,
        FileTooLarge for too many pixels, OSError where the disk is at fault.
        """
        turn = self._user_locks.setdefault(owner_id, asyncio.Lock())
        async with turn, self._slots:
            child, is_reusable = self._take_child(), False
            try:
                reply = await self._request(child, job)
                is_reusable = child.answer_count < self.limits.pictures
            except TimeoutError:  # with CPU time left: the machine is busy
                raise RequestTimedOut("Reading this picture took too long.") from None
            finally:  # after a cancellation too: the next reply would be for this job
                if is_reusable:
                    self._idle.append(child)
                else:
                    self._discard(child)
            answer: dict[str, Any] = json.loads(reply)
            if "refused" in answer:
                raise _ERRORS[answer["refused"]](answer["message"])
            if "errno" in answer:
                raise OSError(answer["errno"], answer["message"])
            picture = Picture(*answer["picture"]) if answer["picture"] else None
            return Prepared(answer["sha256"], answer["byte_size"], picture)

    async def close(self) -> None:
        """Kill all children, including those that are working."""
        for child in self._children:
            child.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in list(self._children):
            await asyncio.to_thread(child.reap)

    def _take_child(self) -> Child:
        """An idle one, or a new one. Idle ones that have ended, as when the system ran out of memory, are replaced."""
        while self._idle:
            child = self._idle.pop()
            if not child.has_ended:
                return child
            self._discard(child)
        child = Child(self.limits.memory_bytes)
        self._children.add(child)
        return child

    async def _request(self, child: Child, job: Job) -> bytes:
        """Raises UnsupportedMediaType when the child was ended by its limits or by a crash, TimeoutError."""
        limits, extra = self.limits, job.byte_size / self.limits.bytes_per_second
        line = json.dumps({**asdict(job), "cpu_seconds": int(limits.cpu_seconds + extra)}, default=str).encode()
        start = 0 if child.answer_count else limits.start_seconds
        async with asyncio.timeout(start + limits.wall_seconds + 2 * extra):
            reply = await asyncio.get_running_loop().run_in_executor(self._threads, child.request, line + b"\n")
        if not reply:
            child.kill()
            code = await asyncio.to_thread(child.reap)
            if code > 0:  # no signal ended it: it cannot run here
                raise RuntimeError(f"the picture worker ended with exit code {code}")
            raise UnsupportedMediaType("This picture takes too much time or memory to read.")
        return reply

    def _discard(self, child: Child) -> None:
        self._children.discard(child)
        child.kill()
        Thread(target=child.reap, daemon=True).start()  # a killed process ends soon, but not at once
