"""The lock of the only server process on a PostgreSQL database, for the bus `memory://`, which connects no others.

It is an advisory lock inside a transaction that stays open, on a connection of its own. PostgreSQL frees it when the
connection is lost. The lock of a session would stay behind on a pooler, which gives the same session to others.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from roomcast.core.process_lock import LOCK_SECONDS, RETRY_SECONDS, AlreadyRunning
from roomcast.database_urls import read_postgres_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

CHECK_SECONDS = 2.0
"""How often the server checks that it still holds the lock, and tries to get it again."""

ANSWER_SECONDS = 5.0

LOOK_SECONDS = 1.0
"""How long `is_taken` waits for the database."""

KEY = 0x726F6F6E
"""Any number that no other program uses on this database. The migrations use the number before it."""

# An open transaction is not idle by accident here. Before version 17 PostgreSQL does not know the second name.
_LIFT_LIMITS = """
    SELECT set_config(name, '0', true) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""

# In this form the number of rows tells the result, without a prepared statement, which some poolers do not take.
_TRY_LOCK = f"SELECT WHERE pg_try_advisory_xact_lock({KEY}, hashtext(current_schema()))"

logger = logging.getLogger("roomcast")


async def is_taken(database_url: str) -> bool:
    """Whether another process holds the lock. False as well if the database does not answer: `acquire` reports that.

    Runs before the other imports of a start, so it uses asyncpg alone."""
    import asyncpg  # noqa: PLC0415 (slow to import; `AdvisoryLock` gets it by its engine)

    address = read_postgres_url(database_url)
    try:
        connection = await asyncpg.connect(address.dsn, **{**address.options, "timeout": LOOK_SECONDS})
        try:
            end = time.monotonic() + LOCK_SECONDS
            # Each statement is a transaction of its own, so a lock that it gets is free again at once.
            while await connection.execute(_TRY_LOCK, timeout=LOOK_SECONDS) != "SELECT 1":
                if time.monotonic() > end:
                    return True
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            connection.terminate()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return False


class AdvisoryLock:
    """If the connection is lost, the server goes on, and this tries to get the lock again. It logs an error if another
    process has the lock by then."""

    def __init__(self, database_url: str) -> None:
        from roomcast.core.engines import postgres_engine  # noqa: PLC0415 (SQLAlchemy, which `is_taken` does without)

        self._engine = postgres_engine(database_url)
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        self._task: asyncio.Task[None] | None = None
        self._state = "held"

    async def acquire(self) -> None:
        """Raises AlreadyRunning, or the driver's error if the database does not answer. Call `close` in any case."""
        await self._connect()
        end = time.monotonic() + LOCK_SECONDS
        while not await self._try_lock():
            if time.monotonic() > end:
                raise AlreadyRunning
            await asyncio.sleep(RETRY_SECONDS)
        self._task = asyncio.create_task(self._keep(), name="advisory lock")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._disconnect()
        await self._engine.dispose()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self._state == "held":
                    await self._execute("SELECT 1")
                    continue
                if self._connection is None:
                    await self._connect()
                self._note("held" if await self._try_lock() else "taken")
            except Exception:  # drivers raise many kinds of errors
                self._note("lost")
                await self._disconnect()

    def _note(self, state: str) -> None:
        if state != self._state:
            self._state = state
            logger.log(*_ENTRIES[state])

    async def _connect(self) -> None:
        self._connection = await self._engine.connect()
        self._driver = (await self._connection.get_raw_connection()).driver_connection
        await self._execute("BEGIN")
        await self._execute(_LIFT_LIMITS)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._driver.terminate()  # a server that does not answer must not delay this
            await connection.invalidate()
            await connection.close()

    async def _try_lock(self) -> bool:
        return bool(await self._execute(_TRY_LOCK) == "SELECT 1")

    async def _execute(self, statement: str) -> Any:
        """The tag of the result, such as `SELECT 1`. By the driver: SQLAlchemy would begin a transaction of its own."""
        return await self._driver.execute(statement, timeout=ANSWER_SECONDS)


_ENTRIES = {
    "held": (logging.INFO, "this server has its lock on the database again"),
    "lost": (logging.WARNING, "the lock of this server on its database is lost, because the database does not answer"),
    "taken": (
        logging.ERROR,
        "another server process uses this database. Clients of one do not see the messages of the other: stop one of "
        "them, or set ROOMCAST_BUS_URL to a bus between processes",
    ),
}
