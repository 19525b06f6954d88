"""Telling systemd about start and stop, and one `/metrics` for several workers."""

import asyncio
import socket
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from roomcast import systemd, worker_metrics
from roomcast.worker_metrics import WorkerMetrics


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(5)
        listener.bind(f"\0{tmp_path}" if is_abstract else str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}" if is_abstract else str(tmp_path / "notify"))
        systemd.notify("READY=1")
        assert listener.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")


# ------------------------------------------------------------------ the metrics of several workers


def registry_with(count: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("chats", "Chats.", ("kind",), registry=registry).labels("room").inc(count)
    return registry


async def scraped(metrics: WorkerMetrics, registry: CollectorRegistry) -> dict[str, float]:
    """The values that Prometheus reads, by name and worker."""
    text = generate_latest(await metrics.collect(registry)).decode()
    assert text.count("# TYPE chats_total counter") == 1
    return {
        f"{sample.name} {sample.labels['worker']}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_each_worker_shows_the_metrics_of_all(tmp_path: Path) -> None:
    workers = [WorkerMetrics(tmp_path, number, 3) for number in range(3)]
    registries = [registry_with(number) for number in range(3)]
    async with workers[0].shared(registries[0]), workers[1].shared(registries[1]):
        for number in range(2):
            shown = await scraped(workers[number], registries[number])
            assert (shown["chats_total 0"], shown["chats_total 1"]) == (0, 1)
            assert [shown[f"roomcast_worker_up {each}"] for each in range(3)] == [1, 1, 0]
        successor = WorkerMetrics(tmp_path, 0, 3)
        async with successor.shared(registry_with(7)):  # while the worker that it replaces drains
            assert (await scraped(workers[1], registries[1]))["chats_total 0"] == 7


async def test_a_frozen_worker_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_metrics, "READ_SECONDS", 0.05)
    accepted: list[asyncio.StreamWriter] = []
    frozen = await asyncio.start_unix_server(lambda _reader, writer: accepted.append(writer), tmp_path / "1")
    shown = await scraped(WorkerMetrics(tmp_path, 0, 2), registry_with(5))
    assert (shown["chats_total 0"], shown["roomcast_worker_up 1"]) == (5, 0)
    frozen.close()
    for writer in accepted:
        writer.close()
