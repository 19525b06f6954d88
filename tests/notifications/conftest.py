"""An app that sends pushes to a local push service. The tests make pushes due themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import MakeApp
from tests.notifications.browsers import PushService, push_service
from tests.running_app import RunningApp

LONG = 300
"""Seconds. No push becomes due by itself during a test."""


@pytest_asyncio.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PushService]:
    async with push_service(tmp_path) as service:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "service.pem"))
        yield service


@pytest_asyncio.fixture
async def app(make_app: MakeApp, service: PushService) -> RunningApp:
    return await make_app(push_delay_seconds=LONG, push_allowed_hosts=["localhost", "127.0.0.1"])
