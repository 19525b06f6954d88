"""Each connection to PostgreSQL has our settings."""

from sqlalchemy import text

from roomcast.core.db import Database
from roomcast.core.direct_queries import fetch
from tests.storage.conftest import ON_POSTGRESQL


@ON_POSTGRESQL
async def test_no_statement_is_compiled_to_machine_code(database_url: str) -> None:
    db = Database(database_url)
    try:
        async with db.read() as session:
            assert (await fetch(session, text("SHOW jit")))[0][0] == "off"
        async with db.work() as work:
            assert (await fetch(work.session, text("SHOW jit")))[0][0] == "off"
    finally:
        await db.close()
