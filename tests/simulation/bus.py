"""Buses between the simulated processes."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from roomcast.realtime.bus.bus import Frame
from tests.simulation.broker import SimulatedBroker
from tests.simulation.faults import Faults


class LossyBus:
    """One process's place on a bus that loses, repeats, delays and reorders frames, mostly in silence.

    It keeps the one promise of the real one: the first join of a topic is followed by a resync of it.
    """

    def __init__(
        self, faults: Faults, on_frame: Callable[[Frame], None], on_resync: Callable[[Collection[str]], None]
    ) -> None:
        self._faults = faults
        self._joined: dict[str, int] = {}
        self.on_frame, self.on_resync = on_frame, on_resync

    def join(self, topic: str) -> None:
        self._joined[topic] = self._joined.get(topic, 0) + 1
        if self._joined[topic] == 1:
            self._later(self._resync, topic)

    def leave(self, topic: str) -> None:
        self._joined[topic] -= 1
        if not self._joined[topic]:
            del self._joined[topic]

    async def start(self) -> None:
        """Nothing has to be connected."""

    async def stop(self) -> None:
        """Nothing was connected."""

    def carry(self, frame: Frame) -> None:
        """A frame that some process published is on its way to this one."""
        while True:
            if self._faults.happens(self._faults.losing):
                if self._faults.happens(0.2):  # mostly nobody knows that it was lost
                    self._later(self._resync, frame.topic)
            else:
                self._later(self._deliver, frame)
            if not self._faults.happens(0.1):  # repeated
                return

    def _later(self, step: "Callable[[Frame], None] | Callable[[str], None]", what: "Frame | str") -> None:
        late = self._faults.random.choice([0, 0, 0.001, 0.03, 1.0]) if self._faults.is_active else 0.001
        asyncio.get_running_loop().call_later(late * self._faults.random.random(), step, what)  # type: ignore[arg-type]

    def _deliver(self, frame: Frame) -> None:
        if frame.topic in self._joined:
            self.on_frame(frame)

    def _resync(self, topic: str) -> None:
        if topic in self._joined:
            self.on_resync([topic])


class Buses:
    """The buses of all processes: in some runs the product's own over a broker that cuts, in others lossy ones."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._broker = SimulatedBroker(faults) if faults.random.random() < 0.3 else None
        self._places: list[Any] = []

    def place(self, on_frame: Callable[[Frame], None], on_resync: Callable[[Collection[str]], None]) -> Any:
        """One process's bus: it has `join`, `leave`, `start` and `stop`."""
        if self._broker is not None:
            self._places.append(self._broker.bus(on_frame, on_resync))
        else:
            self._places.append(LossyBus(self._faults, on_frame, on_resync))
        return self._places[-1]

    def publish(self, frames: Sequence[Frame]) -> None:
        """Some process publishes what it has committed."""
        if self._broker is not None:
            self._faults.random.choice(self._places).publish(frames)
            return
        for place in self._places:
            for frame in frames:
                place.carry(frame)
