"""Migrates a database to the current schema. A lock makes it safe for many processes to start at once."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import text

from roomcast.core.db import Database
from roomcast.core.direct_queries import fetch

if TYPE_CHECKING:
    from alembic.config import Config


class UnusableDatabase(Exception):
    """The database cannot be used. The message is that of its driver, or names what made the database."""


LOCK = 0x726F6F6D
"""The advisory lock of all migrations of a database: any number that no other program uses there."""

_PACKAGE = Path(__file__).resolve().parent.parent


def driver_errors() -> tuple[type[Exception], ...]:
    """What the drivers raise for a database that cannot be used. A function, so that it is only called for an error."""
    from asyncpg import PostgresError  # noqa: PLC0415 (not loaded with SQLite)

    return (OSError, DBAPIError, PostgresError)


def scripts() -> Path:
    """The folder of the migrations: inside an installed wheel, or at the top of a checkout."""
    packaged = _PACKAGE / "alembic"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "alembic"


def head() -> str:
    """The revision that this release expects: the highest number in the file names of the migrations."""
    return max(_revisions())


def _revisions() -> list[str]:
    found = [path.name.partition("_")[0] for path in scripts().glob("versions/*.py")]
    if not found:
        raise RuntimeError("the package contains no migrations")
    return found


def _check_revision(found: str | None) -> None:
    """Raise UnusableDatabase for a revision that this release does not know."""
    known = _revisions()
    if found is None or found in known:
        return
    if len(found) == len(head()) and found.isdecimal() and found > head():
        raise UnusableDatabase(
            f"a newer release has migrated it to revision {found}, and this release knows only those up to {head()}: "
            "run the newer release, or restore a backup from before its migration"
        )
    raise UnusableDatabase(
        f"it is at revision {found[:40]!r}, which is none of roomcast: it probably belongs to another application, "
        "so give roomcast a database of its own"
    )


async def current(db: Database) -> str | None:
    """The revision of the database. None if it is empty."""
    async with db.read() as session:
        connection = await session.connection()
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        rows = await fetch(session, text("SELECT version_num FROM alembic_version"))
        return str(rows[0][0]) if rows else None


async def revision(url: str) -> str | None:
    """The revision of the database at this address. None if it is empty. Raises UnusableDatabase, also for a revision
    of a newer release or of another application."""
    _check_folder(url)
    db = Database(url)
    try:
        found = await current(db)
        _check_revision(found)
        return found
    except driver_errors() as error:
        raise UnusableDatabase(first_line(error)) from error
    finally:
        await db.close()


def is_model(_object: object, name: str | None, _kind: str, *_: object) -> bool:
    """Whether Alembic compares an object of the database with the models. The search index is different on each
    database and made by hand in a migration, so it is left out."""
    return not (name or "").startswith("message_search")


async def upgrade(url: str) -> None:
    """Migrate to the newest revision. Alembic runs its own event loop, so it runs in a thread. Raises
    UnusableDatabase."""
    from alembic import command  # noqa: PLC0415 (a tenth of all imports, and most starts need no migration)

    await revision(url)
    try:
        await asyncio.to_thread(command.upgrade, config(url), "head")
    except driver_errors() as error:
        raise UnusableDatabase(first_line(error)) from error


def _check_folder(url: str) -> None:
    """Raise UnusableDatabase if SQLite's folder is missing: its driver does not create it, and its error does not say
    so."""
    target = make_url(url)
    folder = Path(target.database or "").parent
    if target.get_backend_name() == "sqlite" and not folder.is_dir():
        raise UnusableDatabase(f"{folder} is not a folder")


def first_line(error: Exception) -> str:
    """What the driver says, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0] or type(error).__name__


def config(url: str) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 (as above)

    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.attributes["url"] = url
    return made
