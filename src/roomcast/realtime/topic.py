"""A topic in this process: its events in the order of the log, even if the bus loses, repeats or reorders frames."""

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

from roomcast.realtime.group import Group
from roomcast.realtime.per_viewer_group import PerViewerGroup
from roomcast.realtime.ports import Failure, FeedEntry, GroupMember, Renderer, Source
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.ring import ByteBudget, Ring

RING = 256
"""Events that a topic keeps for groups that are still executing, within the bytes of a `Ring`."""

EARLY = 256
"""Events that wait for an earlier one. With more, the log is read instead."""

GRACE_SECONDS = 0.02
"""Frames may overtake each other by this much. A gap that lasts longer is filled from the log."""

PAGE = 200
"""Events of one read that fills a gap."""

logger = logging.getLogger("roomcast.hub")


class Topic:
    """`on_diverged` is called when the log no longer holds an event that this topic has sent. `budget` limits the bytes
    that all topics and groups of the process hold."""

    def __init__(
        self,
        name: str,
        position: int,
        source: Source,
        on_diverged: Callable[[], None] = lambda: None,
        budget: ByteBudget | None = None,
    ) -> None:
        self._budget = budget or ByteBudget()
        self.name, self.position = name, position
        self._on_diverged = on_diverged
        self._is_suspended = False
        self.groups: dict[Hashable, Group] = {}
        self._source = source
        self._ring: Ring[FeedEntry] = Ring(RING, self._budget)
        self._early: dict[int, FeedEntry] = {}
        self._known_tail = position
        self._must_recheck_rights = False
        self._rights_seq = position
        self._task: asyncio.Task[None] | None = None
        self.refills = 0
        """Times that it read the log because frames were missing."""

    def group(self, key: Hashable, make_renderer: Callable[[], Renderer]) -> Group:
        """The group with this key. `make_renderer` is called for its first reader."""
        if key not in self.groups:
            renderer = make_renderer()
            kind = PerViewerGroup if renderer.is_personal else Group
            state = renderer.state
            group = self.groups[key] = kind(key, state or self, renderer, state or self._source, self._budget)
            if state is not None:
                state.follow(group)
        return self.groups[key]

    def remove_group(self, key: Hashable) -> Group:
        """Take the group with this key out of the topic. The caller closes it."""
        group = self.groups.pop(key)
        if group.renderer.state is not None:
            group.renderer.state.unfollow(group)
        return group

    def entries_after(self, seq: int) -> list[FeedEntry] | None:
        return self._ring.last(self.position - seq)

    @property
    def reached(self) -> int:
        """The log has reached this seq for certain: an event was sent, or a reader has started behind it."""
        return max([self.position, *(group.expected for group in self._groups_of_log())])

    def has_groups_of(self, audience: Hashable, count: int) -> bool:
        """Whether at least `count` groups have a reader of this audience. Cheap while there are few groups at all."""
        if len(self.groups) < count:
            return False
        return sum(any(each.audience == audience for each in group.readers) for group in self.groups.values()) >= count

    # ------------------------------------------------------------------ events from the bus

    def on_entry(self, entry: FeedEntry) -> None:
        """An event from the bus: the next one, a repeated one, or one that has overtaken others."""
        if entry.seq <= self.position or self._is_suspended:
            return
        # The usual case needs no task. With a task running, an event may not overtake what the task is about to send;
        # an event that may end readers has to ask the log first.
        if entry.seq == self.position + 1 and self._task is None and not entry.rights:
            self._advance(entry)
            self._schedule_groups()
            return
        if len(self._early) < EARLY:
            self._early[entry.seq] = entry
        self.on_tail(entry.seq)

    def on_signal(self, signal: Any) -> None:
        """Something that is in no log: send it to the readers that are live now."""
        for group in self.groups.values():
            group.send_signal(signal)

    def on_tail(self, tail: int) -> None:
        """The log reaches up to `tail` at least: read what is missing."""
        self._known_tail = max(self._known_tail, tail)
        if self._known_tail > self.position:
            self._schedule()

    def recheck_all_rights(self) -> None:
        """Check every reader, although no event says that one has lost access: after a ban or a deleted room."""
        self._must_recheck_rights = True
        self._schedule()

    async def recheck_rights(self, reader: GroupMember, seq: int) -> None:
        """End a newly attached reader if it has lost access since its right was checked, at the log's position `seq`.

        The event that took the right may have been handled between that check and the attachment, when the reader was
        not among the readers that it ended.
        """
        if self._rights_seq <= seq:
            return
        self._end_readers(await retry_until_success(lambda: self._source.lost(self.name, {reader.audience})), [reader])

    def contradicts(self, entry: FeedEntry) -> bool:
        """Whether the ring holds another event with the same seq."""
        known = self.entries_after(entry.seq - 1)
        return known is not None and known[:1] != [] and known[0].mark != entry.mark

    # ------------------------------------------------------------------ when the log has lost events

    def suspend(self) -> None:
        """The log is another one from now on: send no event until `restart`."""
        self._is_suspended = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for group in self._groups_of_log():
            group.suspend()

    def restart(self, tail: int) -> None:
        """Continue from `tail`. Every stream is informed, and every right is checked again: the lost events may have
        changed memberships."""
        self._is_suspended = False
        self.position = self._known_tail = self._rights_seq = tail
        self._ring.clear()
        self._early.clear()
        for group in self._groups_of_log():
            group.restart()
        self.recheck_all_rights()

    def _groups_of_log(self) -> list[Group]:
        return [group for group in self.groups.values() if group.renderer.state is None]

    def fail(self) -> None:
        """End every stream with an error."""
        for reader in self._readers():
            reader.fail(Failure.INTERNAL)

    # ------------------------------------------------------------------ reading what is missing

    def _schedule(self) -> None:
        if self._task is None and not self._is_suspended:
            self._task = asyncio.create_task(self._run(), name=f"topic {self.name}")

    async def _run(self) -> None:
        try:
            while self._must_recheck_rights or self._known_tail > self.position:
                if self._must_recheck_rights:
                    # Reset before the query: a request that comes while it runs needs another one.
                    self._must_recheck_rights = False
                    await self._end_readers_without_access()
                elif self.position + 1 in self._early:
                    await self._apply(self._early.pop(self.position + 1))
                else:
                    await self._fill_gap()
        except Exception:  # without this the streams would wait for ever
            logger.exception("cannot read the events of %s; its streams end with an error", self.name)
            self.fail()
        finally:
            if self._task is asyncio.current_task():  # `suspend` may have given the place to a later task
                self._task = None

    async def _fill_gap(self) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        if self.position + 1 in self._early:
            return
        # The last event is read once more: another event in its place shows that the log has lost events.
        self.refills += 1
        known = next(iter(self._ring.last(1) or ()), None)
        overlap = int(known is not None)
        entries = await retry_until_success(lambda: self._source.after(self.name, self.position - overlap, PAGE))
        if known is not None and entries and entries[0].mark != known.mark:
            entries = []
            self._on_diverged()
        if not entries[overlap:]:
            # The topic is deleted, or the expected event was never committed. Without this reset the loop in `_run`
            # would read for ever.
            self._known_tail = self.position
            self._early.clear()
            self._must_recheck_rights = True
        for entry in entries:
            if entry.seq == self.position + 1:
                await self._apply(entry)

    async def _apply(self, entry: FeedEntry) -> None:
        if entry.rights:
            # `_rights_seq` first: `recheck_rights` of a reader that is attached during the query has to see it. Readers
            # without access end before the event reaches any group.
            self._rights_seq = entry.seq
            await self._end_readers_without_access()
        self._advance(entry)
        self._schedule_groups()

    def _advance(self, entry: FeedEntry) -> None:
        self.position = entry.seq
        self._early.pop(entry.seq, None)
        self._ring.append(entry, entry.size)
        if entry.rewrites:
            for group in self.groups.values():
                group.forget_replays()

    def _schedule_groups(self) -> None:
        for group in self.groups.values():
            group.schedule()

    # ------------------------------------------------------------------ rights

    def _readers(self) -> list[GroupMember]:
        return [reader for group in self.groups.values() for reader in group.readers]

    async def _end_readers_without_access(self) -> None:
        readers = self._readers()
        audience = {reader.audience for reader in readers}
        if not audience:
            return
        self._end_readers(await retry_until_success(lambda: self._source.lost(self.name, audience)), readers)

    def _end_readers(self, lost: Mapping[Hashable, Any], readers: Collection[GroupMember]) -> None:
        if self._is_suspended:  # the end would name a position in the replaced log; `restart` checks all rights again
            return
        for reader in readers:
            # A reader may have stopped during the query. Its operation id may belong to another stream by now, so
            # nothing may be sent for it.
            if reader.is_open and reader.audience in lost:
                reader.end(lost[reader.audience])

    async def close(self) -> None:
        self._ring.clear()
        tasks = [self._task] if self._task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(group.close() for group in self.groups.values()), return_exceptions=True)
