"""A group whose payloads differ for each viewer. One render pass serves all of them, and no payload is kept.

The rows, and every field that does not depend on the viewer, are read and executed once for the whole group. A reader
that is behind reads the log again, so memory does not grow with the number of viewers.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any

from roomcast.realtime.group import Group
from roomcast.realtime.ports import EncodedEvent, EventStore, Feed, FeedEntry, GroupMember, Renderer
from roomcast.realtime.ring import ByteBudget

EXECUTIONS_PER_TURN = 100
"""Executions, one for each viewer and event, before other tasks get a turn on the event loop."""

MAX_EXECUTIONS = 1_000
"""Executions of one render pass. With more viewers than that, events are rendered one at a time: otherwise the last
viewer would wait until the first one has received a whole batch."""

ReadersByViewer = dict[Hashable, list[GroupMember]]
"""The readers of each viewer. A viewer with two devices is rendered once."""

Deliver = Callable[[GroupMember, int, bytes], None]


class PerViewerGroup(Group):
    def __init__(
        self, key: Hashable, feed: Feed, renderer: Renderer, source: EventStore, budget: ByteBudget | None = None
    ) -> None:
        super().__init__(key, feed, renderer, source, budget)
        self._replay_lock = asyncio.Lock()

    def encoded_after(self, seq: int) -> list[EncodedEvent] | None:
        """None: the payloads of the past are not kept."""
        return None

    async def replay(self, seq: int, upto: int, viewer: Hashable) -> list[EncodedEvent]:
        """The events after `seq` as this viewer sees them, at most one block."""
        async with self._replay_lock:  # one block is enough work for one turn of the event loop
            return await self._read_range(seq, min(seq + self._block_size(), upto), viewer)

    async def control_payload(self, entry: FeedEntry | None, viewer: Hashable) -> bytes | None:
        return (await self._render([entry], viewer))[0] if entry else None

    async def _send_next(self) -> None:
        began_ns = time.time_ns()
        entries = await self._next_entries()
        await self._pace()
        readers, before = self._readers_by_viewer(), self.position
        entries = entries[: max(1, min(MAX_EXECUTIONS // max(1, len(readers)), self._batch_size()))]
        # Moved before the first wait: a reader that joins during the render pass is not among `readers`, so it has to
        # read these entries from the log.
        self._set_position(entries[-1].seq)
        try:
            await self._send_entries(readers, entries, lambda reader, seq, payload: reader.send_event(seq, payload))
            self._observe_delivery(entries[0], began_ns)
        except BaseException:
            # The entries are sent again. Readers that have got them skip them by their own position. Not after
            # `suspend`: by now `position` may belong to another log.
            if not self.is_suspended and self._task is asyncio.current_task():
                self.position = before
            raise

    async def _render_signal(self, signal: Any) -> None:
        entry = self.renderer.signal(signal, self.position)
        readers = self._readers_by_viewer()
        await self._send_entries(readers, [entry], lambda reader, _seq, payload: reader.send_signal(payload))

    def _readers_by_viewer(self) -> ReadersByViewer:
        readers: ReadersByViewer = {}
        for reader in self._live:
            readers.setdefault(reader.audience, []).append(reader)
        return readers

    async def _send_entries(self, readers: ReadersByViewer, entries: Sequence[FeedEntry], deliver: Deliver) -> None:
        viewers = iter(readers)
        async with self.renderer.render(entries, replayed=False) as render_pass:
            while turn := list(islice(viewers, max(1, min(EXECUTIONS_PER_TURN, self._batch_size()) // len(entries)))):
                # Readers may have stopped or fallen behind while the viewers before them were rendered.
                present = [viewer for viewer in turn if any(reader in self._live for reader in readers[viewer])]
                self.executions += len(entries) * len(present)
                rendered = await render_pass.payloads_for(present)
                self._record_sizes(next(iter(rendered.values()), ()))
                for viewer, payloads in rendered.items():
                    for reader in readers[viewer]:
                        self._send_payloads(reader, entries, payloads, deliver)

    def _send_payloads(
        self, reader: GroupMember, entries: Sequence[FeedEntry], payloads: Sequence[bytes | None], deliver: Deliver
    ) -> None:
        for entry, payload in zip(entries, payloads, strict=True):
            if payload is not None and reader in self._live:
                self.deliveries += 1
                deliver(reader, entry.seq, payload)
