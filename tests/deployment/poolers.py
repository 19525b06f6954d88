"""A real pgbouncer in front of a PostgreSQL of the tests."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

from tests.children import LIMIT_SECONDS, Scratch, free_port, hand_over
from tests.deployment import programs

CONFIGURATION = """
[databases]
* = host={host} port={server_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
default_pool_size = {connections}
max_client_conn = 200
"""


@contextmanager
def pgbouncer(database_url: str, pool_mode: str = "transaction", connections: int = 3) -> Iterator[str]:
    """Run pgbouncer with this many connections to the database. Yields the address through it."""
    program, server, port = programs.find("pgbouncer"), urlsplit(database_url), free_port()
    scratch = Scratch()
    try:
        values = {"host": server.hostname, "server_port": server.port, "port": port, "pool_mode": pool_mode}
        configuration = scratch.path / "pgbouncer.ini"
        configuration.write_text(CONFIGURATION.format(connections=connections, **values))
        hand_over(configuration)
        process = scratch.spawn([program, str(configuration)])
        try:
            _wait_until_it_listens(port, scratch)
            yield server._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()
        finally:
            scratch.end(process, kill=True)
    finally:
        scratch.remove()


def _wait_until_it_listens(port: int, scratch: Scratch) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return
        time.sleep(0.02)
    raise RuntimeError(f"pgbouncer did not start:\n{scratch.log()}")
