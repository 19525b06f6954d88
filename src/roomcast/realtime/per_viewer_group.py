"""A group that shows each person something else: one showing of an event for all of them, and nothing kept of it.

Rows and whatever does not depend on the person are read and executed once for everybody. Who falls behind reads the
log again, so memory does not grow with the number of people.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any

from roomcast.realtime.group import Feed, Group
from roomcast.realtime.ports import EventStore, FeedEntry, Renderer
from roomcast.realtime.reader import Reader
from roomcast.realtime.replay_cache import Shown
from roomcast.realtime.ring import ByteBudget

TURN = 100
"""Executions, one for each person and event, before others get their turn on the loop."""

SHOWING = 1_000
"""Executions of one showing. With more people than that events go one by one, so that the last person does not wait
for the first one's next hundred."""

Crowd = dict[Hashable, list[Reader]]
"""Each person's readers: a person with two devices is shown things once."""

Give = Callable[[Reader, int, bytes], None]


class PerViewerGroup(Group):
    def __init__(
        self, key: Hashable, feed: Feed, script: Renderer, source: EventStore, budget: ByteBudget | None = None
    ) -> None:
        super().__init__(key, feed, script, source, budget)
        self._replaying = asyncio.Lock()

    def since(self, seq: int) -> list[Shown] | None:
        """None: what was shown is not kept."""
        return None

    async def replay(self, seq: int, upto: int, person: Hashable) -> list[Shown]:
        """What the log holds after seq, as this person sees it, no more than a block at a time."""
        async with self._replaying:  # a block is work enough for one turn of the loop
            return await self._stored(seq, min(seq + self._block_size(), upto), person)

    async def control_payload(self, words: FeedEntry | None, person: Hashable) -> bytes | None:
        return (await self._show([words], person))[0] if words else None

    async def _show_next(self) -> None:
        entries, crowd, before = await self._next(), self._crowd(), self.position
        entries = entries[: max(1, min(SHOWING // max(1, len(crowd)), self._fitting()))]
        self._move(entries[-1].seq)  # from here on, who comes reads these from the log
        try:
            await self._show_all(crowd, entries, Reader.send_event)
        except BaseException:
            if not self.is_suspended and self._task is asyncio.current_task():
                self.position = before  # shown again, to those who have not got them
            raise

    async def _tell(self, signal: Any) -> None:
        entry = self.script.signal(signal, self.position)
        await self._show_all(self._crowd(), [entry], lambda reader, _seq, payload: reader.send_signal(payload))

    def _crowd(self) -> Crowd:
        crowd: Crowd = {}
        for reader in self._live:
            crowd.setdefault(reader.audience, []).append(reader)
        return crowd

    async def _show_all(self, crowd: Crowd, entries: Sequence[FeedEntry], give: Give) -> None:
        people = iter(crowd)
        async with self.script.render(entries, replayed=False) as showing:
            while turn := list(islice(people, max(1, min(TURN, self._fitting()) // len(entries)))):
                present = [person for person in turn if any(reader in self._live for reader in crowd[person])]
                self.executions += len(entries) * len(present)
                shown = await showing.payloads_for(present)
                self._measure(next(iter(shown.values()), ()))
                for person, payloads in shown.items():
                    for reader in crowd[person]:
                        self._hand(reader, entries, payloads, give)

    def _hand(self, reader: Reader, entries: Sequence[FeedEntry], payloads: Sequence[bytes | None], give: Give) -> None:
        for entry, payload in zip(entries, payloads, strict=True):
            if payload is not None and reader in self._live:
                self.deliveries += 1
                give(reader, entry.seq, payload)
