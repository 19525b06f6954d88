"""One `/metrics` for all workers of a supervisor: the worker that is asked adds the metrics of the others.

Each worker answers on a Unix socket in a folder of its supervisor, named after its number. A label `worker` tells the
series apart. A sum would fall when a worker is replaced, and Prometheus would take that for a restart of all of them.
"""

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

READ_SECONDS = 1.0
"""How long the other workers may take. A frozen one is left out."""

logger = logging.getLogger("roomcast")


class Families:
    """Metric families in the form that the encoders of prometheus_client take, which is that of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


class WorkerMetrics:
    """The metrics of one worker, number `own` of `count`, and of its siblings."""

    def __init__(self, folder: Path, own: int, count: int) -> None:
        self._folder, self._own, self._count = folder, own, count

    @asynccontextmanager
    async def shared(self, registry: CollectorRegistry) -> AsyncIterator[None]:
        """Answer the other workers during the block."""

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(_encode(registry.collect()))
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await writer.drain()
            except (OSError, TimeoutError):  # the other worker has ended
                pass
            finally:
                writer.close()

        path = self._path(self._own)
        path.unlink(missing_ok=True)  # of the worker that this one replaces
        try:
            server = await asyncio.start_unix_server(answer, path)
        except (OSError, AttributeError, NotImplementedError) as error:  # Windows; a folder whose path is too long
            logger.warning("/metrics shows one worker only: %s", error)
            yield
            return
        async with server:
            yield

    async def collect(self, registry: CollectorRegistry) -> Families:
        """The families of all workers. `roomcast_worker_up` is 0 for those that have not answered."""
        others = [number for number in range(self._count) if number != self._own]
        answers = await asyncio.gather(*(self._read(number) for number in others))
        up = GaugeMetricFamily(
            "roomcast_worker_up", "1 for a worker that has answered this scrape.", labels=("worker",)
        )
        merged: dict[str, Metric] = {up.name: up}
        for number, families in [(self._own, list(registry.collect())), *zip(others, answers, strict=True)]:
            up.add_metric((str(number),), int(bool(families)))
            for family in families:
                into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    into.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
        return Families(merged.values())

    def remove_folder(self) -> None:
        """The supervisor removes it, unless it has been killed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / str(number)

    async def _read(self, number: int) -> Sequence[Metric]:
        try:
            async with asyncio.timeout(READ_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path(number))
                try:
                    return _decode(await reader.read())
                finally:
                    writer.close()
        except (OSError, AttributeError, ValueError):  # it starts just now, is frozen, or has ended
            return []


def _encode(families: Iterable[Metric]) -> bytes:
    return json.dumps(
        [
            (family.name, family.documentation, family.type, [(s.name, s.labels, s.value) for s in family.samples])
            for family in families
        ]
    ).encode()


def _decode(answer: bytes) -> list[Metric]:
    """Raises ValueError for an answer that was cut off."""
    families = []
    written: list[tuple[str, str, str, list[tuple[str, dict[str, str], Any]]]] = json.loads(answer)
    for name, documentation, kind, samples in written:
        family = Metric(name, documentation, kind)
        for sample in samples:
            family.add_sample(*sample)
        families.append(family)
    return families
