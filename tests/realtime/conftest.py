"""Fixtures: the brokers, each started once, and listeners, which leave no task behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests import servers
from tests.realtime.broker_servers import KINDS, Broker
from tests.realtime.listener import Listener, Open


@pytest.fixture(scope="session", params=KINDS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(KINDS[request.param]())
        except servers.Unavailable as reason:
            servers.skip(reason)
        yield made


@pytest.fixture
async def listen() -> AsyncIterator[Open]:
    """Opens listeners. At the end each is stopped, and none of their tasks is left."""
    before = asyncio.all_tasks()
    opened: list[Listener] = []

    async def open_one(url: str, **options: Any) -> Listener:
        listener = Listener(url, **options)
        opened.append(listener)
        await listener.bus.start()
        return listener

    yield open_one
    for listener in opened:
        await listener.bus.stop()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
