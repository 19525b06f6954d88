"""Parameters of an address of PostgreSQL: what they mean to the driver, and that unknown ones are refused."""

from typing import Any

import pytest

from roomcast.core.engines import postgres_engine
from roomcast.database_urls import read_postgres_url
from tests.conftest import MakeApp


@pytest.mark.parametrize(
    ("query", "left_in_address", "is_pooled", "options"),
    [
        ("", "", False, {}),
        ("?sslmode=require&sslrootcert=ca.pem", "?sslmode=require&sslrootcert=ca.pem", False, {}),
        ("?ssl=require", "?sslmode=require", False, {}),
        ("?host=/var/run/postgresql", "?host=%2Fvar%2Frun%2Fpostgresql", False, {}),
        ("?application_name=chat", "", False, {"server_settings": {"application_name": "chat"}}),
        ("?connect_timeout=0", "", False, {"timeout": 1}),
        ("?statement_cache_size=20", "", False, {"statement_cache_size": 20}),
        ("?statement_cache_size=0", "", True, {"statement_cache_size": 0}),
        ("?prepared_statement_cache_size=0", "", True, {"statement_cache_size": 0}),
        ("?pgbouncer=true&sslmode=disable", "?sslmode=disable", True, {"statement_cache_size": 0}),
        ("?pgbouncer=false", "", False, {}),
    ],
)
def test_parameters(query: str, left_in_address: str, is_pooled: bool, options: dict[str, Any]) -> None:
    address = read_postgres_url(f"postgresql+asyncpg://ann:p%40ss@db.example:5433/chat{query}")
    assert address.dsn == f"postgresql://ann:p%40ss@db.example:5433/chat{left_in_address}"
    assert (address.is_pooled, address.options) == (is_pooled, options)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="'sslmod' is not a parameter that is supported"):
        read_postgres_url("postgresql://localhost/chat?sslmod=require")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_parameters_reach_the_server(database_url: str) -> None:
    engine = postgres_engine(f"{database_url}?application_name=chat&sslmode=prefer&connect_timeout=4", pool_size=1)
    try:
        async with engine.connect() as connection:
            shown = await connection.exec_driver_sql("SELECT current_setting('application_name')")
            assert shown.scalar_one() == "chat"
    finally:
        await engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_size_of_the_pool_is_a_setting(make_app: MakeApp) -> None:
    app = await make_app(database_pool_size=5)
    assert {name: pool.size() for name, pool in app.roomcast.db.pools.items()} == {"all": 5}
