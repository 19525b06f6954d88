"""A topic in this process: its events in the order of the log, whatever the bus loses, repeats or mixes up."""

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

from roomcast.realtime.group import Group
from roomcast.realtime.per_viewer_group import PerViewerGroup
from roomcast.realtime.ports import Failure, FeedEntry, Renderer, Source
from roomcast.realtime.reader import Reader
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.ring import ByteBudget, Ring

RING = 256
"""Events a topic keeps for groups that are still executing, within the bytes of a `Ring`."""

EARLY = 256
"""Events that may wait for one before them. More: the log is read instead."""

GRACE_SECONDS = 0.02
"""Frames overtake each other by a moment; a hole that lasts longer is filled from the log."""

PAGE = 200

_log = logging.getLogger("roomcast.hub")


class Topic:
    """`diverged` is called when the log is seen not to be the one that was shown. `budget`: of the bytes that all
    topics and groups of the process hold."""

    def __init__(
        self,
        name: str,
        position: int,
        source: Source,
        diverged: Callable[[], None] = lambda: None,
        budget: ByteBudget | None = None,
    ) -> None:
        self._budget = budget or ByteBudget()
        self.name, self.position = name, position
        self._diverged = diverged
        self._is_suspended = False
        self.groups: dict[Hashable, Group] = {}
        self._source = source
        self._ring: Ring[FeedEntry] = Ring(RING, self._budget)
        self._early: dict[int, FeedEntry] = {}
        self._known_tail = position
        self._doubts_rights = False
        self._rights_seq = position
        self._task: asyncio.Task[None] | None = None

    def group(self, key: Hashable, script: Callable[[], Renderer]) -> Group:
        """The group of that key; made for its first reader."""
        if key not in self.groups:
            written = script()
            kind = PerViewerGroup if written.is_personal else Group
            state = written.state
            group = self.groups[key] = kind(key, state or self, written, state or self._source, self._budget)
            if state is not None:
                state.follow(group)
        return self.groups[key]

    def drop(self, key: Hashable) -> Group:
        """The group of that key, which is none of this topic's any more and has to be closed."""
        group = self.groups.pop(key)
        if group.script.state is not None:
            group.script.state.unfollow(group)
        return group

    def since(self, seq: int) -> list[FeedEntry] | None:
        return self._ring.last(self.position - seq)

    # ------------------------------------------------------------------ what comes in

    def on_entry(self, entry: FeedEntry) -> None:
        """An event from the bus: the next one, a repeat, or one that came before its turn."""
        if entry.seq <= self.position or self._is_suspended:
            return
        if entry.seq == self.position + 1 and self._task is None and not entry.rights:
            self._advance(entry)
            self._wake_groups()
            return
        if len(self._early) < EARLY:
            self._early[entry.seq] = entry
        self.on_tail(entry.seq)

    def signal(self, signal: Any) -> None:
        """Something that is in no log: for those who listen at this moment."""
        for group in self.groups.values():
            group.signal(signal)

    def on_tail(self, tail: int) -> None:
        """The log is known to reach up to `tail`: get there."""
        self._known_tail = max(self._known_tail, tail)
        if self._known_tail > self.position:
            self._settle()

    def recheck_all_rights(self) -> None:
        """Somebody may not read this any more, although no event in the log says so: a ban, a deleted room."""
        self._doubts_rights = True
        self._settle()

    async def recheck_rights(self, reader: Reader, seq: int) -> None:
        """The reader was attached, and its right to read is known as of `seq`: end it if that was lost since."""
        if self._rights_seq <= seq:
            return
        self._end(await retry_until_success(lambda: self._source.lost(self.name, {reader.audience})), [reader])

    def contradicts(self, entry: FeedEntry) -> bool:
        """Whether another event is remembered at this one's place."""
        known = self.since(entry.seq - 1)
        return known is not None and known[:1] != [] and known[0].mark != entry.mark

    # ------------------------------------------------------------------ when the log has lost events

    def suspend(self) -> None:
        """The log has become another one: show nothing more of it until `restart`."""
        self._is_suspended = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for group in self._groups_of_log():
            group.suspend()

    def restart(self, tail: int) -> None:
        """Go on from here. Every stream is told; who may read is asked anew, as memberships are others, too."""
        self._is_suspended = False
        self.position = self._known_tail = self._rights_seq = tail
        self._ring.clear()
        self._early.clear()
        for group in self._groups_of_log():
            group.restart()
        self.recheck_all_rights()

    def _groups_of_log(self) -> list[Group]:
        return [group for group in self.groups.values() if group.script.state is None]

    def fail(self) -> None:
        """Nothing can be shown of it: end every stream with an error."""
        for reader in self._readers():
            reader.fail(Failure.INTERNAL)

    # ------------------------------------------------------------------ getting there

    def _settle(self) -> None:
        if self._task is None and not self._is_suspended:
            self._task = asyncio.create_task(self._run(), name=f"topic {self.name}")

    async def _run(self) -> None:
        try:
            while self._doubts_rights or self._known_tail > self.position:
                if self._doubts_rights:
                    self._doubts_rights = False
                    await self._end_lost()
                elif self.position + 1 in self._early:
                    await self._settle_next(self._early.pop(self.position + 1))
                else:
                    await self._fill()
        except Exception:  # its streams would wait for ever
            _log.exception("%s failed", self.name)
            self.fail()
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _fill(self) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        if self.position + 1 in self._early:
            return
        known = next(iter(self._ring.last(1) or ()), None)
        overlap = int(known is not None)
        entries = await retry_until_success(lambda: self._source.after(self.name, self.position - overlap, PAGE))
        if known is not None and entries and entries[0].mark != known.mark:
            entries = []  # of another log
            self._diverged()
        if not entries[overlap:]:  # nothing there: the room is gone, or what we expected was never committed
            self._known_tail = self.position
            self._early.clear()
            self._doubts_rights = True
        for entry in entries:
            if entry.seq == self.position + 1:
                await self._settle_next(entry)

    async def _settle_next(self, entry: FeedEntry) -> None:
        if entry.rights:
            self._rights_seq = entry.seq
            await self._end_lost()
        self._advance(entry)
        self._wake_groups()

    def _advance(self, entry: FeedEntry) -> None:
        self.position = entry.seq
        self._early.pop(entry.seq, None)
        self._ring.append(entry, entry.size)
        if entry.rewrites:
            for group in self.groups.values():
                group.forget_replays()

    def _wake_groups(self) -> None:
        for group in self.groups.values():
            group.schedule()

    # ------------------------------------------------------------------ who may listen

    def _readers(self) -> list[Reader]:
        return [reader for group in self.groups.values() for reader in group.readers]

    async def _end_lost(self) -> None:
        """End the streams of those who may not read any more, before anything further is shown to them."""
        readers = self._readers()
        audience = {reader.audience for reader in readers}
        if not audience:
            return
        self._end(await retry_until_success(lambda: self._source.lost(self.name, audience)), readers)

    def _end(self, lost: Mapping[Hashable, Any], readers: Collection[Reader]) -> None:
        """A reader that was stopped while the log was asked is left alone: the id of its subscription may be another
        one's by now."""
        for reader in readers:
            if reader.is_open and reader.audience in lost:
                reader.end(lost[reader.audience])

    async def close(self) -> None:
        self._ring.clear()
        tasks = [self._task] if self._task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(group.close() for group in self.groups.values()), return_exceptions=True)
