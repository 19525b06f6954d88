"""The lanes that all tests of one process share, because opening an app takes longer than a trial."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests import servers
from tests.faults.lanes import Lane, open_lane

LANES = 6
"""How many run at once in one process. A trial with a muted connection mostly waits."""


class Lanes:
    """Opens the lanes, and replaces those in which a trial has failed."""

    def __init__(self, server_url: str, template: str, folder: Path) -> None:
        self._server_url, self._template, self._folder = server_url, template, folder
        self._open: list[tuple[Lane, AsyncExitStack]] = []
        self.broken: set[Lane] = set()

    async def all(self) -> list[Lane]:
        for lane, stack in list(self._open):
            if lane in self.broken:
                self._open.remove((lane, stack))
                await _close(stack)
        await asyncio.gather(*(self._add() for _ in range(LANES - len(self._open))))
        return [lane for lane, _ in self._open]

    async def _add(self) -> None:
        name = f"lane_{uuid.uuid4().hex}"
        url = await servers.create_database(self._server_url, name, self._template)
        stack = AsyncExitStack()
        lane = await stack.enter_async_context(open_lane(url, self._folder / name))
        self._open.append((lane, stack))

    async def close(self) -> None:
        for _, stack in self._open:
            await _close(stack)


async def _close(stack: AsyncExitStack) -> None:
    """Close a lane and ignore errors: a lane that failed has already reported it."""
    with suppress(Exception):
        await asyncio.wait_for(stack.aclose(), 20)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lanes(
    postgres_server: servers.Server, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lanes]:
    shared_lanes = Lanes(postgres_server.url, postgres_template, tmp_path_factory.mktemp("lanes"))
    yield shared_lanes
    await shared_lanes.close()
