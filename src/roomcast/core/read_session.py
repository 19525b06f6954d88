"""A read-only transaction on one snapshot, for reads through the driver and for reads of SQLAlchemy.

The hot reads of an operation go straight to the driver. Building a session of SQLAlchemy, and running its steps in
greenlets, took a third of the time of a page. So it is built by the first read that needs it; it then joins the
transaction that is open, and sees the same state.
"""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.core import postgres, sqlite

Driver = sqlite.Connection | postgres.Driver


class ReadSession(AsyncSession):
    """`open` begins the transaction; `end_at_once`, `close` or `invalidate` end it.

    Until SQLAlchemy's session is needed, the initialization of the base class is left out.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self.driver: Driver | None = None

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    def __getattr__(self, name: str) -> Any:
        """Called for attributes that the initialization of the base class would set: does it now."""
        if name not in {"sync_session", "_proxied"} or self._connection is None:
            raise AttributeError(name)
        super().__init__(AsyncConnection(self._engine, self._connection), expire_on_commit=False, autoflush=False)
        return self.__dict__[name]

    async def open(self) -> None:
        """Take a connection from the pool and begin the transaction. After an error the session must be closed."""
        self._connection = await greenlet_spawn(self._engine.sync_engine.connect)
        adapted: Any = self._connection.connection.dbapi_connection
        if self.dialect.name == "sqlite":
            sqlite_driver: sqlite.Connection = adapted.driver_connection
            sqlite_driver.begin("BEGIN")
            self.driver = sqlite_driver
        else:
            self.driver = await postgres.begin_snapshot(adapted)

    def end_at_once(self) -> bool:
        """End the transaction without waiting, if that is possible: SQLite's rollback is queued in its thread."""
        if not isinstance(self.driver, sqlite.Connection) or "sync_session" in self.__dict__:
            return False
        self.driver.queue_rollback()
        self._release()
        return True

    async def close(self) -> None:
        """Roll back and return the connection to the pool."""
        await greenlet_spawn(self._roll_back)

    async def invalidate(self) -> None:
        """Close the connection, whose state is unknown."""
        if self._connection is not None:
            await greenlet_spawn(self._connection.invalidate)
            self._release()

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        if "sync_session" in self.__dict__:
            self.sync_session.close()
        if not self._connection.invalidated:
            cast("Any", self._connection.connection).rollback()
        self._release()

    def _release(self) -> None:
        connection, self._connection, self.driver = self._connection, None, None
        if connection is not None:
            connection.close()
