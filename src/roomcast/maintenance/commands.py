"""The commands of this package: `roomcast backup` and `roomcast restore`."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from roomcast.core.migrations import UnusableDatabase
from roomcast.maintenance import backup as backups
from roomcast.maintenance import copying
from roomcast.maintenance import restore as restores
from roomcast.maintenance.postgres_tools import ToolFailed
from roomcast.maintenance.targets import CopyFailed
from roomcast.settings import WrongSetting, data_folder, load_settings

T = TypeVar("T")
REFUSALS = (backups.BackupFailed, restores.RestoreRefused, ToolFailed, UnusableDatabase, CopyFailed)


def backup(
    target: Annotated[Path, typer.Argument(help="The file to create; it must not exist. - for standard output.")],
    keys: Annotated[bool, typer.Option(help="Include secret.key and vapid.key of the data folder.")] = True,
) -> None:
    """Write the database and the uploads into one archive. The server may keep running."""
    settings = load_settings()
    if target == Path("-"):
        made = _run(backups.write(settings, sys.stdout.buffer, data_folder(settings), with_keys=keys))
    else:
        made = _run(backups.write_file(settings, target, with_keys=keys))
    for name in made.missing:
        _say(f"warning: the bytes of {name} are missing in the storage, or are not those that were uploaded")
    _say(
        f"{target}: {made.manifest.rows['messages']} messages, {made.manifest.rows['users']} accounts, {made.uploads} "
        f"stored files, {made.size} bytes\nSHA-256 {made.sha256}"
    )


def restore(
    source: Annotated[Path, typer.Argument(help="A file that `roomcast backup` has written.")],
    replace: Annotated[bool, typer.Option("--replace", help="Delete the data that is there.")] = False,
) -> None:
    """Put a backup in place of the database, the uploads and the keys. Stop all servers first.

    Clients load all rooms again, because they may know events that the backup does not have."""
    restored = _run(restores.restore(load_settings(), source, replaces=replace))
    rows = restored.manifest.rows
    _say(
        f"Restored the backup of {restored.manifest.created_at}: {rows['messages']} messages, "
        f"{rows['users']} accounts, {restored.uploads} stored files. Cursors from before it are no longer valid."
    )


def copy(
    source: Annotated[str, typer.Option("--from", help="The database to copy: sqlite:///… or postgresql://….")],
    target: Annotated[str, typer.Option("--to", help="An empty database, or the same copy in progress.")],
) -> None:
    """Copy a whole installation into another database. Stop its servers first.

    Ids, cursors and sessions stay valid. A copy that was interrupted continues when the command is run again."""
    count = _run(copying.copy(source, target, _say))
    _say(f"Copied and verified {count:,} rows. Start the server with the new ROOMCAST_DATABASE_URL.")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. Raises WrongSetting for what the operator has to know. SIGTERM ends it as Ctrl-C does, so that no
    unfinished files stay."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(work)
    except REFUSALS as error:
        raise WrongSetting(str(error)) from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
