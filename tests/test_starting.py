"""What a starting process imports, and when: a refusal before the server, and the server without what can wait."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from roomcast.core.advisory_lock import AdvisoryLock
from roomcast.core.process_lock import FileLock
from tests import servers

SERVE = "import sys; from roomcast.cli import main; sys.argv = ['roomcast', 'serve']; main()"
ASGI = "import roomcast.asgi"
WORKER = (
    "import asyncio; loop = asyncio.new_event_loop(); loop.call_soon(__import__, 'roomcast.asgi'); loop.run_forever()"
)
"""As the worker processes of uvicorn import the app: inside their event loop."""

REFUSED = """
import sys
try:
    {start}
except SystemExit as end:
    print(end.code, *(name for name in ("sqlalchemy", "graphql", "strawberry", "starlette") if name in sys.modules))
"""

ANSWERED = """
import asyncio, gc, sys
from roomcast.asgi import app

async def main():
    answers = []
    async def receive():
        return {"type": "http.request", "body": b'{"query": "{ __typename }"}'}
    async def send(message):
        answers.append(message)
    scope = {
        "type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    async with app.lifespan():
        await app(scope, receive, send)
    assert answers[1]["body"] == b'{"data":{"__typename":"Query"}}', answers
    assert gc.isenabled()

asyncio.run(main())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

FORKED = """
import asyncio, os
from roomcast.asgi import app

async def main():
    async with app.lifespan():
        print("started")

child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
asyncio.run(main())
"""

SUPERVISED = """
import gc, sys
from roomcast.cli import main

sys.argv = ["roomcast", "serve"]
try:
    main()
except SystemExit as end:
    print(end.code, gc.isenabled())
"""

NOT_YET = {
    *("alembic", "cryptography", "jwt", "emoji", "markdown_it", "PIL", "redis", "nats", "obstore", "httpcore"),
    *("asyncpg", "typer", "opentelemetry"),
}


def run(code: str, folder: Path, **settings: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    environment["ROOMCAST_DATA_DIR"] = str(folder)
    environment |= {f"ROOMCAST_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("start", "code"), [(SERVE, "2"), (ASGI, "3")])
def test_a_second_process_is_refused_before_it_imports_the_server(tmp_path: Path, start: str, code: str) -> None:
    with FileLock(tmp_path / "roomcast.db.lock"):
        assert run(REFUSED.format(start=start), tmp_path).split() == [code]


async def test_a_second_process_with_the_memory_bus_is_refused_before_it_imports_the_server(
    tmp_path: Path, postgres_server: servers.Server
) -> None:
    url = await servers.create_database(postgres_server.url, "early_refusal")
    lock = AdvisoryLock(url)
    try:
        await lock.acquire()
        for start, code in ((SERVE, "2"), (ASGI, "3"), (WORKER, "3")):
            said = await asyncio.to_thread(run, REFUSED.format(start=start), tmp_path, database_url=url)
            assert said.split() == [code]
    finally:
        await lock.close()


def test_a_process_that_is_forked_after_the_import_may_serve(tmp_path: Path) -> None:
    """As the worker of `gunicorn --preload`."""
    assert run(FORKED, tmp_path).split() == ["started"]


async def test_the_supervisor_of_workers_collects_garbage(tmp_path: Path, postgres_server: servers.Server) -> None:
    url = await servers.create_database(postgres_server.url, "supervised")
    settings = {"database_url": url, "bus_url": "redis://127.0.0.1:1", "migrate_on_start": "true", "workers": "2"}
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it ends before it starts workers
        settings |= {"host": "127.0.0.1", "port": str(taken.getsockname()[1])}
        assert (await asyncio.to_thread(run, SUPERVISED, tmp_path, **settings)).split() == ["3", "True"]


def test_the_first_answer_needs_no_library_that_can_be_loaded_later(tmp_path: Path) -> None:
    run(ANSWERED, tmp_path)  # creates the database
    assert set(run(ANSWERED, tmp_path).split()) & NOT_YET == set()
