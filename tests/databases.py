"""PostgreSQL databases for tests. A test gets an empty one; it is cleaned and used again, because that takes a tenth of
the time in which PostgreSQL creates a database."""

import uuid
from urllib.parse import urlsplit

import asyncpg

from tests import servers

CATALOGS = ("pg_class", "pg_attribute", "pg_trigger", "pg_constraint", "pg_proc")
STATE = f"""
SELECT concat_ws(' ',
    {", ".join(f"(SELECT concat(count(*), ' ', max(xmin::text::bigint)) FROM {catalog})" for catalog in CATALOGS)},
    (SELECT count(*) FROM pg_db_role_setting),
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'))
"""  # noqa: S608 (our names)
"""Differs after a test that changed the schema or left a connection open."""

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


class Databases:
    """Copies of the database `template` on one server. `take` returns the URL of one, `give_back` takes it."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._states: dict[str, str] = {}
        self._free: list[str] = []
        self._clean = ""

    async def take(self) -> str:
        if self._free:
            return self._free.pop()
        url = await servers.create_database(self._server_url, f"test_{uuid.uuid4().hex}", self._template)
        connection = await asyncpg.connect(url)
        try:
            self._states[url] = await connection.fetchval(STATE)
            self._clean = self._clean or await _cleaning_statements(connection)
        finally:
            await connection.close()
        return url

    async def give_back(self, url: str) -> None:
        """Empty the database. One with another schema, open connections or locks is dropped."""
        try:
            connection = await asyncpg.connect(url, timeout=5)
            try:
                is_clean = await connection.fetchval(STATE) == self._states[url]
                if is_clean:
                    await connection.execute(self._clean)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError):
            is_clean = False
        if is_clean:
            self._free.append(url)
        else:
            await servers.drop_database(self._server_url, urlsplit(url).path[1:])


async def _cleaning_statements(connection: asyncpg.Connection) -> str:
    """Statements that bring all tables back to their present rows."""
    statements = ["SET lock_timeout = '1s'", "SET session_replication_role = replica"]  # no foreign keys are checked
    for (table,) in await connection.fetch(TABLES):
        statements.append(f'DELETE FROM "{table}"')  # noqa: S608 (a table of ours)
        if rows := await connection.fetchval(f'SELECT json_agg(rows) FROM "{table}" AS rows'):  # noqa: S608
            records = f"json_populate_recordset(NULL::\"{table}\", '{rows}')"
            statements.append(f'INSERT INTO "{table}" SELECT * FROM {records}')  # noqa: S608
    return "; ".join(statements)
