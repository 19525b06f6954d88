"""Bringing a database to the present schema: under a lock, however many processes start at once."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlmodel import text

from roomcast.core.db import Database
from roomcast.core.rows import fetch

_PACKAGE = Path(__file__).resolve().parent.parent


def scripts() -> Path:
    """Where the migrations are: inside an installed wheel, or at the top of a checkout."""
    packaged = _PACKAGE / "alembic"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "alembic"


def head() -> str:
    """The revision that this release expects."""
    found = ScriptDirectory(str(scripts())).get_current_head()
    if found is None:
        raise RuntimeError("no migrations found beside the package")
    return found


async def current(db: Database) -> str | None:
    """The database's revision; None for an empty one."""
    async with db.read() as session:
        connection = await session.connection()
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        rows = await fetch(session, text("SELECT version_num FROM alembic_version"))
        return str(rows[0][0]) if rows else None


async def upgrade(url: str) -> None:
    """To the newest revision. Alembic runs its own loop, so it gets a thread."""
    await asyncio.to_thread(command.upgrade, config(url), "head")


def config(url: str) -> Config:
    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.attributes["url"] = url
    return made
