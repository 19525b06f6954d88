"""Starting and stopping a server process: a start that fails closes everything that it opened before."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from roomcast import app
from roomcast.accounts.passwords import Passwords
from roomcast.api.websocket.registry import ConnectionRegistry
from roomcast.app import Roomcast, open_roomcast
from roomcast.core.db import Database
from roomcast.core.epoch import Epoch
from roomcast.live.presence import PresenceService
from roomcast.realtime.bus.bus import Bus
from roomcast.realtime.hub import Hub
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.settings import WrongSetting
from roomcast.uploads.receiving import UploadReceiver
from tests.running_app import settings_for

CLOSING = (
    (Hub, "stop"),
    (WatcherRegistry, "stop"),
    (PresenceService, "stop"),
    (Bus, "stop"),
    (Passwords, "close"),
    (Database, "close"),
)


class Failure(Exception):
    """What a step of the start raises in these tests."""


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that were closed, in order."""
    names: list[str] = []
    for step in ("prepare_database", "claim_storage"):  # they open and close a database of their own
        monkeypatch.setattr(app, step, succeed)
    for part, method in (*CLOSING, (UploadReceiver, "close"), (ConnectionRegistry, "stop")):
        original = getattr(part, method)

        def record(self: Any, original: Any = original) -> Any:
            names.append(type(self).__name__)
            return original(self)

        monkeypatch.setattr(part, method, record)
    return names


async def succeed(*_: object) -> None: ...


async def fail(*_: object) -> None:
    raise Failure


def fail_at_once(*_: object) -> None:
    raise Failure


async def failed_start(database_url: str, folder: Path, expected: type[Exception] = Failure, **changes: Any) -> None:
    """Try to start; the start has to raise `expected` and to leave no task behind."""
    before = asyncio.all_tasks()
    with pytest.raises(expected):
        async with open_roomcast(settings_for(database_url, folder, **changes)):
            pytest.fail("the server has started")
    assert asyncio.all_tasks() == before


async def test_a_database_that_fails_is_closed_before_anything_else_is_started(
    database_url: str, tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Epoch, "load", fail)
    await failed_start(database_url, tmp_path)
    assert closed == ["Database", "Passwords"]


@pytest.mark.parametrize(
    ("part", "method"), [(PresenceService, "start"), (WatcherRegistry, "start"), (Hub, "start"), (Bus, "start")]
)
async def test_a_part_of_the_event_delivery_that_fails_stops_those_started_before(
    database_url: str,
    tmp_path: Path,
    closed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    part: type[Any],
    method: str,
) -> None:
    monkeypatch.setattr(part, method, fail)
    await failed_start(database_url, tmp_path)
    order = [cls.__name__ for cls, _ in CLOSING]
    assert closed[:-2] == order[order.index(part.__name__) : -2]
    assert sorted(closed[-2:]) == ["Database", "Passwords"]


async def test_a_storage_that_cannot_be_opened_stops_the_event_delivery(
    database_url: str, tmp_path: Path, closed: list[str]
) -> None:
    (tmp_path / "uploads").write_text("a file where a folder has to be")
    await failed_start(database_url, tmp_path, WrongSetting)
    assert closed[:4] == ["Hub", "WatcherRegistry", "PresenceService", "Bus"]
    assert sorted(closed[4:]) == ["Database", "Passwords"]


@pytest.mark.parametrize("where", ["sockets", "periodic tasks"])
async def test_a_late_failure_closes_everything(
    database_url: str, tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "sockets":
        monkeypatch.setattr(ConnectionRegistry, "start", fail)
    else:
        monkeypatch.setattr(Roomcast, "periodic_tasks", fail_at_once)
    await failed_start(database_url, tmp_path)
    assert closed[:2] == ["ConnectionRegistry", "UploadReceiver"]
    assert sorted(closed[2:]) == sorted(cls.__name__ for cls, _ in CLOSING)


async def test_an_unreachable_bus_does_not_stop_the_start(database_url: str, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with open_roomcast(settings_for(database_url, tmp_path, bus_url="redis://127.0.0.1:1")) as roomcast:
        assert await roomcast.working_parts() == {"database": True, "bus": False, "files": True}
    assert asyncio.all_tasks() == before


async def test_a_failure_while_stopping_does_not_keep_the_rest_open(
    database_url: str, tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UploadReceiver, "close", fail)
    with pytest.raises(Failure):
        async with open_roomcast(settings_for(database_url, tmp_path)) as roomcast:
            assert (await roomcast.working_parts())["database"]
    assert "UploadReceiver" not in closed
    assert sorted(closed) == sorted(["ConnectionRegistry", *(cls.__name__ for cls, _ in CLOSING)])
