"""Transactions that go straight to the driver, and that sessions of SQLAlchemy join.

The hot reads of an operation, and groups of sends, use the driver. Building a session of SQLAlchemy, and running its
steps in greenlets, took a third of the time of a page and a sixth of that of a lone send. So the session is built by
the first statement that needs it; it then joins the transaction that is open, and sees the same state.
"""

from typing import Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core import postgres, sqlite

Driver = sqlite.Connection | postgres.Driver


class DriverSession(AsyncSession):
    """A transaction that may write. `open` begins it; `commit`, `close` or `invalidate` end it.

    Until SQLAlchemy's session is needed, the initialization of the base class is left out.
    """

    sqlite_begin: ClassVar = "BEGIN IMMEDIATE"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._info: dict[Any, Any] = {}
        self._connection: sa.Connection | None = None
        self.driver: Driver | None = None

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    @property
    def info(self) -> dict[Any, Any]:
        return self._info

    @property
    def is_joined(self) -> bool:
        """Whether SQLAlchemy's session has been built."""
        return "sync_session" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        """Called for attributes that the initialization of the base class would set: does it now."""
        if name not in {"sync_session", "_proxied"} or self._connection is None:
            raise AttributeError(name)
        super().__init__(AsyncConnection(self._engine, self._connection), expire_on_commit=False)
        return self.__dict__[name]

    async def open(self) -> None:
        """Take a connection from the pool and begin the transaction. After an error the session must be closed."""
        self._connection = await greenlet_spawn(self._engine.sync_engine.connect)
        adapted: Any = self._connection.connection.dbapi_connection
        if self.dialect.name == "sqlite":
            sqlite_driver: sqlite.Connection = adapted.driver_connection
            sqlite_driver.begin(self.sqlite_begin)
            self.driver = sqlite_driver
        else:
            self.driver = await self._begin_on_postgres(adapted)

    async def _begin_on_postgres(self, adapted: Any) -> postgres.Driver:
        return await postgres.driver(adapted)

    async def flush(self, objects: Any = None) -> None:
        if self.is_joined:
            await super().flush(objects)

    async def commit(self) -> None:
        """Commit what is open. Raises as the driver does, see `fetch_all`."""
        if self.is_joined:
            await super().commit()  # commits nothing if no statement has joined the transaction
        if self.driver is not None:
            await self.driver.commit_direct()

    def end_at_once(self) -> bool:
        """End the transaction without waiting, if that is possible: nothing is open any more, or SQLite's rollback is
        queued in its thread."""
        if self.driver is None or self.is_joined:
            return False
        if isinstance(self.driver, sqlite.Connection):
            self.driver.queue_rollback()
        elif self.driver.is_in_transaction:
            return False
        self._release()
        return True

    async def close(self) -> None:
        """Roll back and return the connection to the pool."""
        if self._connection is not None and not self.end_at_once():
            await greenlet_spawn(self._roll_back)

    async def invalidate(self) -> None:
        """Close the connection, whose state is unknown."""
        if self._connection is not None:
            await greenlet_spawn(self._connection.invalidate)
            self._release()

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        if self.is_joined:
            self.sync_session.close()
        if not self._connection.invalidated:
            cast("Any", self._connection.connection).rollback()
        self._release()

    def _release(self) -> None:
        connection, self._connection, self.driver = self._connection, None, None
        if connection is not None:
            connection.close()


class ReadSession(DriverSession):
    """A read-only transaction on one snapshot."""

    sqlite_begin = "BEGIN"

    async def _begin_on_postgres(self, adapted: Any) -> postgres.Driver:
        return await postgres.begin_snapshot(adapted)
