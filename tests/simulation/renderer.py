"""The documents of the simulated streams: what one shows of an entry of the log."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from roomcast.realtime.ports import FeedEntry
from tests.simulation.database import SimulatedEpoch
from tests.simulation.faults import Faults
from tests.simulation.truth import Fact


class SimulatedRenderer:
    """What a document shows of an entry (`realtime.Renderer`). `has_control_events`: it also sends Ready and Ended."""

    state = None

    def __init__(self, faults: Faults, epoch: SimulatedEpoch, *, is_personal: bool, has_control_events: bool) -> None:
        self._faults, self._epoch, self.is_personal, self._has_control_events = (
            faults,
            epoch,
            is_personal,
            has_control_events,
        )

    @asynccontextmanager
    async def render(self, entries: Sequence[FeedEntry], *, replayed: bool) -> AsyncIterator["SimulatedRenderer.Pass"]:
        self._faults.maybe_defect()
        yield self.Pass(self._faults, self._epoch, entries)

    class Pass:
        def __init__(self, faults: Faults, epoch: SimulatedEpoch, entries: Sequence[FeedEntry]) -> None:
            self._faults, self._epoch, self._entries = faults, epoch, entries

        async def payloads_for(self, people: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
            await asyncio.sleep(self._faults.random.choice([0, 0, 0.001]))
            if self._faults.happens(0.05):
                await asyncio.sleep(self._faults.random.uniform(0, 1))
            self._faults.maybe_defect()
            epoch = self._epoch.current.int
            return {person: [_payload(entry.event, person, epoch) for entry in self._entries] for person in people}

    def signal(self, signal: Any, seq: int) -> FeedEntry:
        return FeedEntry(seq, signal)

    def ready(self, seq: int, *, recovered: bool, replayed_count: int) -> FeedEntry | None:
        return (
            FeedEntry(seq, {"ready": seq, "recovered": recovered, "count": replayed_count})
            if self._has_control_events
            else None
        )

    def ended(self, seq: int, reason: Any) -> FeedEntry | None:
        return FeedEntry(seq, {"ended": seq, "reason": reason}) if self._has_control_events else None


def _payload(event: Any, person: Hashable, epoch: int) -> bytes | None:
    """Each names the epoch, as cursors do."""
    if not isinstance(event, Fact):
        return json.dumps(event | {"epoch": epoch}).encode()
    if event.kind == "hidden":
        return None
    return json.dumps({"seq": event.seq, "id": event.id, "for": person, "epoch": epoch}).encode()
