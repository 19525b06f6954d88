"""A group whose payloads differ for each viewer. One render pass serves all of them, and no payload is kept.

The rows, and every field that does not depend on the viewer, are read and executed once for the whole group. A reader
that is behind reads the log again, so memory does not grow with the number of viewers.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any

from roomcast.realtime.bundle import EncodedEvent, bundles
from roomcast.realtime.fan_out import signal_to_all, write_to_all
from roomcast.realtime.group import Group
from roomcast.realtime.ports import EventStore, Feed, FeedEntry, GroupMember, Renderer
from roomcast.realtime.ring import ByteBudget

EXECUTIONS_PER_TURN = 100
"""Executions, one for each viewer and event, before other tasks get a turn on the event loop."""

MAX_EXECUTIONS = 1_000
"""Executions of one render pass. With more viewers than that, events are rendered one at a time: otherwise the last
viewer would wait until the first one has received a whole batch."""

ReadersByViewer = dict[Hashable, list[GroupMember]]
"""The readers of each viewer. A viewer with two devices is rendered once."""

SendPayloads = Callable[[Sequence[GroupMember], Sequence[bytes | None]], None]
"""Sends the payloads of a viewer to the live readers of that viewer."""


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

        def send(readers: Sequence[GroupMember], payloads: Sequence[bytes | None]) -> None:
            events = zip((entry.seq for entry in entries), payloads, strict=True)
            for bundle in bundles(events):
                write_to_all(bundle, readers)
                self.deliveries += len(readers) * bundle.shown

        try:
            await self._send_entries(readers, entries, send)
            self._observe_delivery(entries[0], began_ns)
        except BaseException:
            # The entries are sent again. Readers that have got them skip them by their own position. Not after
            # `suspend`: by now `position` may belong to another log.
            if not self.is_suspended and self._task is asyncio.current_task():
                self.position = before
            raise

    async def _render_signal(self, signal: Any) -> None:
        def send(readers: Sequence[GroupMember], payloads: Sequence[bytes | None]) -> None:
            for payload in filter(None, payloads):
                signal_to_all(payload, readers)
                self.deliveries += len(readers)

        entry = self.renderer.signal(signal, self.position)
        await self._send_entries(self._readers_by_viewer(), [entry], send)

    def _readers_by_viewer(self) -> ReadersByViewer:
        readers: ReadersByViewer = {}
        for reader in self._live:
            readers.setdefault(reader.audience, []).append(reader)
        return readers

    async def _send_entries(self, readers: ReadersByViewer, entries: Sequence[FeedEntry], send: SendPayloads) -> None:
        viewers = iter(readers)
        async with self.renderer.render(entries, replayed=False) as render_pass:
            while turn := list(islice(viewers, max(1, min(EXECUTIONS_PER_TURN, self._batch_size()) // len(entries)))):
                # Readers may have stopped or fallen behind while the viewers before them were rendered.
                present = [viewer for viewer in turn if any(reader in self._live for reader in readers[viewer])]
                self.executions += len(entries) * len(present)
                rendered = await render_pass.payloads_for(present)
                self._record_sizes(next(iter(rendered.values()), ()))
                for viewer, payloads in rendered.items():
                    send([reader for reader in readers[viewer] if reader in self._live], payloads)
