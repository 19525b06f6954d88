"""Addresses of databases and brokers, and what the parameters of an address of PostgreSQL mean to asyncpg.

asyncpg sends a parameter that it does not know to the server, which then refuses every connection. SQLAlchemy passes it
to a function that raises TypeError. So all parameters are read here, and unknown ones are refused with a sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

DATABASES = ("sqlite", "postgresql", "postgres")
BROKERS = ("memory", "redis", "rediss", "redis-cluster", "postgresql", "postgres", "nats")

PLACE = ("host", "port", "user", "password", "passfile", "database", "dbname")
TLS = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
FOR_DRIVER = (*PLACE, *TLS, "target_session_attrs", "krbsrvname", "gsslib")
"""asyncpg reads these from the address itself, as libpq does."""

FOR_SERVER = ("application_name", "options")
"""Settings of the session, which are sent when it begins."""

CACHE_SIZES = ("statement_cache_size", "prepared_statement_cache_size")
OWN = ("connect_timeout", *CACHE_SIZES, "pgbouncer")
KNOWN = frozenset({*FOR_DRIVER, *FOR_SERVER, *OWN, "ssl"})


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """An address of PostgreSQL.

    `dsn`: the address without the parameters that the driver does not read. `options`: arguments of `asyncpg.connect`.
    `is_pooled`: a pooler in between gives each transaction another connection of the database (`?pgbouncer=true`).
    """

    dsn: str
    is_pooled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def check_url(url: str, schemes: Sequence[str]) -> str:
    """The address itself. Raises ValueError with a sentence if it has none of these schemes or is not complete."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in schemes:
        raise ValueError(f"the URL has to begin with one of {', '.join(f'{s}://' for s in schemes)}")
    if scheme == "sqlite" and not rest.strip("/"):
        raise ValueError("the URL has to name a file, for example sqlite:///data/roomcast.db")
    _ = urlsplit(url).port  # raises ValueError with a message for an invalid port
    if scheme.startswith("postgres"):
        read_postgres_url(url)
    return url


def check_replicas(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of PostgreSQL, all different. Raises ValueError."""
    if len(set(urls)) < len(urls):
        raise ValueError("an address is given twice")
    for url in urls:
        check_url(url, DATABASES[1:])
    return urls


def read_postgres_url(url: str) -> PostgresUrl:
    """Read an address `postgresql://`. Raises ValueError with a sentence for parameters that are unknown or wrong."""
    scheme, _, rest = url.partition("://")
    parts = urlsplit(f"{scheme.partition('+')[0]}://{rest}")  # SQLAlchemy's postgresql+asyncpg
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(given.keys() - KNOWN):
        raise ValueError(
            f"{unknown[0]!r} is not a parameter that is supported in an address of PostgreSQL; remove it. These are: "
            + ", ".join(sorted(KNOWN))
        )
    if "ssl" in given:  # asyncpg's name for libpq's sslmode
        given.setdefault("sslmode", given.pop("ssl"))
    sizes = {name: _number(given, name) for name in CACHE_SIZES if name in given}
    is_pooled = _is_true(given, "pgbouncer") or 0 in sizes.values()
    options: dict[str, Any] = {}
    if is_pooled:
        options["statement_cache_size"] = 0
    elif sizes:
        options["statement_cache_size"] = max(sizes.values())
    if "connect_timeout" in given:
        options["timeout"] = max(_number(given, "connect_timeout"), 1)
    if server_settings := {name: given[name] for name in FOR_SERVER if name in given}:
        options["server_settings"] = server_settings
    query = urlencode({name: value for name, value in given.items() if name in FOR_DRIVER})
    return PostgresUrl(parts._replace(query=query).geturl(), is_pooled, options)


def sqlite_path(url: str) -> Path:
    """The file of a database `sqlite:///…`."""
    return Path(url.partition("://")[2].partition("?")[0].removeprefix("/"))


def same_place(one: str, other: str) -> bool:
    """Whether two addresses differ in their parameters at most."""
    return one.partition("?")[0] == other.partition("?")[0]


def _is_true(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise ValueError(f"the parameter {name!r} has to be true or false")
    return value in ("true", "1")


def _number(given: Mapping[str, str], name: str) -> int:
    if not given[name].isdecimal():
        raise ValueError(f"the parameter {name!r} has to be a whole number")
    return int(given[name])
