"""The commands of this package: `roomcast backup`, `roomcast restore` and `roomcast copy`."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from roomcast.components import open_storage
from roomcast.core.migrations import UnusableDatabase
from roomcast.data_folder import data_folder, incoming_folder
from roomcast.maintenance import backup as backups
from roomcast.maintenance import copying, following
from roomcast.maintenance import files as stored_files
from roomcast.maintenance import restore as restores
from roomcast.maintenance.postgres_tools import ToolFailed
from roomcast.maintenance.targets import CopyFailed
from roomcast.settings import Settings, WrongSetting, load_settings
from roomcast.uploads.storage import Folder, Storage

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
    rows = made.manifest.rows
    _say(
        f"{target}: messages {rows['messages']:,}, accounts {rows['users']:,}, stored files {made.uploads:,}, "
        f"bytes {made.size:,}\nSHA-256 {made.sha256}"
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
        f"Restored the backup of {restored.manifest.created_at}: messages {rows['messages']:,}, accounts "
        f"{rows['users']:,}, stored files {restored.uploads:,}. Cursors from before it are no longer valid."
    )


def copy(
    source: Annotated[str, typer.Option("--from", help="The database to copy: sqlite:///… or postgresql://….")],
    target: Annotated[str, typer.Option("--to", help="An empty database, or the same copy in progress.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Copy while the servers of the source run.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Undo what --follow did to the source.")] = False,
    from_storage: Annotated[str, typer.Option(help="The uploads: a folder or s3://…. Empty: as in the settings.")] = "",
    to_storage: Annotated[str, typer.Option(help="Where to copy the uploads. Empty: they stay where they are.")] = "",
) -> None:
    """Copy a whole installation into another database, also of the other kind.

    Ids, cursors and sessions stay valid. A copy that was interrupted continues when the command is run again."""
    if abort:
        _run(following.abort(source))
        _say("The source can be used again. Delete the database that it was copied to.")
        return
    if not target:
        raise WrongSetting("--to: name the database to copy to")
    files = _copier_of_files(load_settings(), from_storage, to_storage)
    try:
        if follow:
            followed = _run(following.follow(source, target, _say, files))
            locked = f"The source was locked for {followed.frozen_seconds:.2f} s."
            _say(f"Copied and verified {followed.rows:,} rows. {locked}")
        else:
            _say(f"Copied and verified {_run(copying.copy(source, target, _say, files)):,} rows.")
    except KeyboardInterrupt:
        _say(
            "Interrupted. Run the same command again to continue" + ("; --abort gives the copy up." if follow else ".")
        )
        raise
    except DBAPIError as error:
        raise WrongSetting(f"a database failed: {error.orig}. Run the same command again to continue") from None
    _say("Start the servers with the new ROOMCAST_DATABASE_URL and the same keys; see docs/backup.md.")


def _copier_of_files(settings: Settings, from_storage: str, to_storage: str) -> copying.CopyFiles:
    """Copies the uploads, or says which are missing where they stay."""
    source = _storage(settings, from_storage)

    async def check(database: AsyncEngine) -> None:
        missing = await stored_files.missing_files(database, source)
        _say(f"The uploads stay where they are; the new servers need them. Missing there: {len(missing)}.")

    async def copy_all(database: AsyncEngine) -> None:
        target = _storage(settings, to_storage)
        count, lost = await stored_files.copy_files(database, source, target, incoming_folder(settings))
        _say(f"Copied {count} stored files.")
        for name in lost:
            _say(f"warning: the bytes of {name} are missing in the storage, or are not those that were uploaded")

    return copy_all if to_storage else check


def _storage(settings: Settings, address: str) -> Storage:
    if address.startswith(("s3://", "s3+http://")):
        return open_storage(settings.model_copy(update={"storage_url": address}))
    return Folder(Path(address)) if address else open_storage(settings)


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
