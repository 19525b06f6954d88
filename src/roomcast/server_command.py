"""`roomcast serve`, once it is known that this server may start: one process, or the supervisor of several workers."""

import asyncio
from collections.abc import Mapping
from typing import Any

from roomcast import systemd
from roomcast.http_server import HttpServer
from roomcast.serving import app_alone
from roomcast.settings import Settings
from roomcast.single_process import ProcessLock
from roomcast.startup import claim_storage, create_keys_and_folders, prepare_database, start_logs
from roomcast.supervisor import supervise


def run(settings: Settings, options: Mapping[str, Any], lock: ProcessLock) -> int:
    """Serve until a signal stops it. Returns the exit code. `options`: the settings of the command line. Raises
    WrongSetting."""
    start_logs(settings)
    lock.lock_file()  # before the migration, which another server may not be ready for
    create_keys_and_folders(settings)
    asyncio.run(_prepare(settings))
    if settings.workers > 1:
        return supervise(settings, options)
    app = app_alone(settings, lock, is_prepared=True)
    HttpServer(app, settings, on_listening=lambda: systemd.notify("READY=1")).run()
    return 0


async def _prepare(settings: Settings) -> None:
    await prepare_database(settings)
    await claim_storage(settings)
