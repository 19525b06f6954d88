"""Bringing a database to the present schema: under a lock, however many processes start at once."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from asyncpg import PostgresError
from sqlalchemy import inspect, make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import text

from roomcast.core.db import Database
from roomcast.core.direct_queries import fetch

if TYPE_CHECKING:
    from alembic.config import Config


class UnusableDatabase(Exception):
    """The database cannot be used; the text is its driver's."""


DRIVER_ERRORS = (OSError, DBAPIError, PostgresError)

_PACKAGE = Path(__file__).resolve().parent.parent


def scripts() -> Path:
    """Where the migrations are: inside an installed wheel, or at the top of a checkout."""
    packaged = _PACKAGE / "alembic"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "alembic"


def head() -> str:
    """The revision that this release expects: migrations are numbered by the names of their files."""
    found = [path.name.partition("_")[0] for path in scripts().glob("versions/*.py")]
    if not found:
        raise RuntimeError("no migrations found beside the package")
    return max(found)


async def current(db: Database) -> str | None:
    """The database's revision; None for an empty one."""
    async with db.read() as session:
        connection = await session.connection()
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        rows = await fetch(session, text("SELECT version_num FROM alembic_version"))
        return str(rows[0][0]) if rows else None


async def revision(url: str) -> str | None:
    """The revision of the database at this address; None for an empty one. Raises Unusable."""
    _check_folder(url)
    db = Database(url)
    try:
        return await current(db)
    except DRIVER_ERRORS as error:
        raise UnusableDatabase(_first_line(error)) from error
    finally:
        await db.close()


def is_model(_object: object, name: str | None, _kind: str, *_: object) -> bool:
    """Whether a thing of the database is one that the models know of: what finds words in messages is each
    database's own, made by hand in a migration."""
    return not (name or "").startswith("message_search")


async def upgrade(url: str) -> None:
    """To the newest revision. Alembic runs its own loop, so it gets a thread. Raises Unusable."""
    from alembic import command  # noqa: PLC0415 (a tenth of all that is imported, and most starts migrate nothing)

    _check_folder(url)
    try:
        await asyncio.to_thread(command.upgrade, config(url), "head")
    except DRIVER_ERRORS as error:
        raise UnusableDatabase(_first_line(error)) from error


def _check_folder(url: str) -> None:
    """SQLite's driver makes the file but no folder, and says nothing that would help."""
    target = make_url(url)
    folder = Path(target.database or "").parent
    if target.get_backend_name() == "sqlite" and not folder.is_dir():
        raise UnusableDatabase(f"{folder} is no folder")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0] or type(error).__name__


def config(url: str) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 (as above)

    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.attributes["url"] = url
    return made
