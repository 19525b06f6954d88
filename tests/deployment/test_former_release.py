"""The former release and this one side by side, with the migration between them, while clients send and listen."""

import asyncio
import logging
import signal
from pathlib import Path

import pytest

from roomcast.core import migrations
from tests.delivery.resuming_clients import FULL
from tests.deployment.former_release import former_release
from tests.deployment.installation import load, open_installation

pytestmark = pytest.mark.chaos

SOCKETS, ROOMS = (500, 10) if FULL else (24, 2)

logger = logging.getLogger(__name__)


async def test_an_upgrade_with_a_migration_loses_and_fails_nothing(tmp_path: Path) -> None:
    former = former_release(tmp_path)
    async with open_installation(tmp_path, former) as installation:
        older = await migrations.revision(installation.database_url)
        async with load(installation, ROOMS, SOCKETS) as clients:
            *old, new = installation.processes
            await new.run("migrate")
            assert older != await migrations.revision(installation.database_url) == migrations.head()
            await clients.until_progress()
            await new.start()
            await clients.until_progress()
            for process in old:
                process.signal(signal.SIGTERM)
            await asyncio.gather(*(process.wait_for_end(60) for process in old))
            await clients.until_progress()
            assert not await clients.violations()
            logger.info("from %s to %s: %s", older, migrations.head(), clients.report())
