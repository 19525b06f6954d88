"""One subscription's place in its group: stored, then live, without a gap or a repeat.

A reader is a position, not a queue. While its socket takes bytes it is live and owns no task. When the socket would
block, or when it comes back with a cursor, a task walks it forward from where it is: through the group's ring, and
through the log where the ring has moved on. Live delivery, resume and catching up are thus one path.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from roomcast.realtime.group import Group
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.ports import Failure, FeedEntry
from roomcast.realtime.replay_cache import Shown
from roomcast.realtime.retry import retry_until_success

HELD_BYTES = 64 * 1024
"""Payloads that are kept for a reader whose socket takes none. It gets the rest from where it is by then."""

_log = logging.getLogger("roomcast.hub")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who reads: a socket's way out, the person (`audience`) it belongs to, what stands before and after a payload for
    this subscription (`head`, `tail`), who is told when the server ends it (`over`), and who when it ends with an error
    (`failed`; `over` where it is left out)."""

    outbox: Outbox
    audience: Hashable
    head: bytes
    tail: bytes
    over: Callable[[], None]
    failed: Callable[[Failure], None] | None = None


class Reader:
    """`after`: the position that it will start after, if that is not the present one."""

    def __init__(self, group: Group, listener: Subscriber, after: int | None = None) -> None:
        self.audience = listener.audience
        self._group, self._outbox = group, listener.outbox
        self._head, self._tail = listener.head, listener.tail
        self._over, self._failed = listener.over, listener.failed
        self._position = group.position if after is None else after
        self._wish: tuple[int | None, bool] | None = None
        self._has_begun = self._is_stale = False
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        group.readers.add(self)

    @property
    def is_open(self) -> bool:
        """Whether it is neither stopped nor ended."""
        return self in self._group.readers

    @property
    def position(self) -> int:
        """All up to this seq has been taken by the outbox, or is not shown by this stream."""
        return self._position

    # ------------------------------------------------------------------ beginning

    def start_live(self) -> None:
        """From the present on: nothing stored is wanted."""
        self._start(None)

    def start_after(self, seq: int) -> None:
        """From a cursor on: what was missed first."""
        if self._is_stale:
            self.start_anew()
        else:
            self._position = seq
            self._start(seq)

    def start_whole(self) -> None:
        """All of a state as it is now, and then what changes."""
        self.start_after(self._group.position - 1)

    def start_anew(self) -> None:
        """From the present on, having said that what was missed cannot be had any more. A stream without words for that
        fails."""
        if self._group.script.ready(self._group.position, recovered=False, replayed_count=0) is None:
            self.fail(Failure.EXPIRED)
        else:
            self._start(None, recovered=False)

    def _start(self, after: int | None, *, recovered: bool = True) -> None:
        self._wish = after, recovered
        if not self._group.is_suspended:
            self._has_begun = True
            self._position = self._group.position if after is None else after
            self._run(partial(self._begin, after, recovered=recovered))

    async def _begin(self, after: int | None, *, recovered: bool) -> None:
        script, goal = self._group.script, self._group.position
        await self._tell(script.ready(self._position, recovered=recovered, replayed_count=0))
        if after is not None:
            count = await self._replay(goal)
            await self._tell(script.ready(max(goal, after), recovered=True, replayed_count=count))
        await self._catch_up()

    async def _replay(self, goal: int) -> int:
        count = 0
        while self._position < goal:
            count += await self._walk(await self._stored(goal))
        return count

    # ------------------------------------------------------------------ when the log has lost events

    def suspend(self) -> None:
        """Show nothing more until `restart`."""
        self._group.unfollow(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def restart(self) -> None:
        """The log has become another one: what this reader was shown, or would begin with, may not be in it."""
        if self._wish is None:
            self._is_stale = True
        elif self._has_begun or self._wish[0] is not None:
            self.start_anew()
        else:
            self._start(None, recovered=self._wish[1])

    # ------------------------------------------------------------------ going on

    def send_event(self, seq: int, payload: bytes) -> None:
        """The next payload while live. A socket that would block stops being live and costs nothing."""
        if seq <= self._position:  # it fell behind and came back while others were being shown the same
            return
        if self._outbox.offer(self._head, payload, self._tail) or self._outbox.closed:
            self._position = seq
            return
        self._group.unfollow(self)
        self._position = seq - 1
        self._run(self._catch_up)

    def send_signal(self, payload: bytes) -> None:
        """A signal while live. A socket that would block misses it: nothing is owed."""
        self._outbox.offer(self._head, payload, self._tail)

    async def _catch_up(self) -> None:
        while not self._outbox.closed:
            if self._position == self._group.position:
                self._group.follow(self)  # no wait since the comparison: nothing can have come between
                self._task = None
                return
            if self._position > self._group.position:  # a cursor from an answer that overtook the events
                await self._group.moved()
                continue
            await self._walk(await self._missing())

    async def _missing(self) -> list[Shown]:
        shown = self._group.since(self._position)
        return await self._stored(self._group.position) if shown is None else shown

    async def _stored(self, goal: int) -> list[Shown]:
        return await retry_until_success(lambda: self._group.replay(self._position, goal, self.audience))

    async def _walk(self, shown: list[Shown]) -> int:
        """Show these, or at least the first ones. How many it were."""
        said = number = 0
        while number < len(shown):
            seq, payload = shown[number]
            if payload is None or self._offer(payload):
                said += payload is not None
                self._position = seq
                number += 1
            else:
                shown, number = _first(shown[number:]), 0
                await self._outbox.idle()
        return said

    def _offer(self, payload: bytes) -> bool:
        """Whether the socket took it, or takes nothing any more."""
        return self._outbox.offer(self._head, payload, self._tail) or self._outbox.closed

    async def _tell(self, words: FeedEntry | None) -> None:
        if payload := await self._group.control_payload(words, self.audience):
            await self._say(payload)

    async def _say(self, payload: bytes) -> None:
        while not self._offer(payload):
            await self._outbox.idle()

    def _run(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = asyncio.create_task(self._guarded(steps), name="reader")

    async def _guarded(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await steps()
        except Exception:
            _log.exception("a stream of %s failed", self._group.topic_name)
            self._task = None
            self.fail(Failure.INTERNAL)

    # ------------------------------------------------------------------ ending

    def stop(self) -> None:
        """The client is not interested any more, or is gone."""
        self._group.unfollow(self)
        self._group.readers.discard(self)
        for task in (self._task, self._ending):
            if task is not None:
                task.cancel()
        self._task = self._ending = None

    def fail(self, failure: Failure) -> None:
        """It cannot go on: end it with an error, so that its client can subscribe again."""
        if not self.is_open:
            return
        self.stop()
        if self._failed is None:
            self._over()
        else:
            self._failed(failure)

    def end(self, reason: Any) -> asyncio.Task[None]:
        """The server ends it: nothing more of the topic, only the last words, which name the position up to which this
        reader has been given everything. The task is done when they are out."""
        if self._ending is None:
            self.stop()
            self._ending = asyncio.create_task(self._last_words(self._position, reason), name="reader ends")
        return self._ending

    async def _last_words(self, seq: int, reason: Any) -> None:
        try:
            words = self._group.script.ended(seq, reason)
            if payload := await self._group.control_payload(words, self.audience):
                self._outbox.put(self._head + payload + self._tail)
        except Exception:  # the stream is over, with or without them
            _log.exception("the end of a stream of %s could not be told", self._group.topic_name)
        self._over()


def _first(shown: list[Shown]) -> list[Shown]:
    """As many as come to HELD_BYTES; one at least."""
    size = 0
    for number, (_, payload) in enumerate(shown):
        size += len(payload or b"")
        if size > HELD_BYTES:
            return shown[: max(1, number)]
    return shown
