"""Ways to run roomcast: an installed wheel, uvicorn without the command, and `roomcast doctor`."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from roomcast.core import migrations
from roomcast.doctor import CHECKS
from tests import servers
from tests.api_clients import SIGNUP, Json, SocketClient
from tests.children import free_port

ROOT = Path(__file__).parent.parent
LIMIT_SECONDS = 60


def environment(**settings: object) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROOMCAST_", "PYTHONPATH"))}
    return inherited | {f"ROOMCAST_{name.upper()}": str(value) for name, value in settings.items()}


def run(*command: object, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env=environment(**settings) | ({"PYTHONPATH": str(ROOT / "src")} if command[0] == sys.executable else {}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


@contextmanager
def serving(command: list[str], port: int, path: str, output: Path, **settings: object) -> Iterator[None]:
    """Run a server process during the block, which starts when the server answers."""
    with output.open("w") as file:
        process = subprocess.Popen(
            command, env=environment(port=port, **settings) | {"PYTHONPATH": path}, cwd=output.parent, stderr=file
        )
    try:
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/health/ready")
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)


def query(port: int, document: str, **variables: object) -> Json:
    body = {"query": document, "variables": variables}
    answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json=body)
    return dict(answer.json()["data"])


# ------------------------------------------------------------------ the wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a virtual environment with this project's wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    result = run(sys.executable, "-m", "venv", "--without-pip", folder / "env")
    assert result.returncode == 0, result.stderr
    [site] = (folder / "env").glob("lib/python*/site-packages")
    put = run(sys.executable, "-m", "pip", "install", "-qq", "--no-index", "--no-deps", "--target", site, wheel)
    assert put.returncode == 0, put.stderr
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env" / "bin"


def roomcast(programs: Path) -> list[str]:
    """The arguments that run the command through the wheel's entry point."""
    return [str(programs / "python"), "-c", "from roomcast.cli import main; main()"]


def test_an_installed_wheel_runs_from_its_own_files(installed: Path) -> None:
    where = run(installed / "python", "-c", "import roomcast, roomcast.core.migrations as m; print(m.scripts())")
    assert where.stdout.startswith(str(installed.parent)), where.stderr
    printed = run(*roomcast(installed), "export-schema")
    assert printed.stdout == (ROOT / "schema.graphql").read_text()


def test_an_installed_wheel_migrates_serves_and_answers(installed: Path, tmp_path: Path) -> None:
    migrated = run(*roomcast(installed), "migrate", data_dir=tmp_path)
    assert migrated.stdout == f"The database is at revision {migrations.head()}.\n", migrated.stderr
    port = free_port()
    with serving([*roomcast(installed), "serve"], port, "", tmp_path / "output", data_dir=tmp_path):
        signed_up = query(port, SIGNUP, input={"username": "ann", "password": "a good long pass phrase"})
        assert signed_up["signup"]["user"]["role"] == "ADMIN"
        for path in ("/", "/docs", "/static/app/app.js", "/schema.graphql"):
            assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200


# ------------------------------------------------------------------ a server of one's own


async def test_uvicorn_without_the_command_works_and_logs_advice(tmp_path: Path) -> None:
    port, output = free_port(), tmp_path / "output"
    command = [sys.executable, "-m", "uvicorn", "roomcast.asgi:app", "--port", str(port)]
    with serving(command, port, str(ROOT / "src"), output, data_dir=tmp_path, log_format="json"):
        for _ in range(2):
            async with SocketClient(f"ws://127.0.0.1:{port}/graphql") as connection:
                await connection.init()
                assert (await connection.execute("{ __typename }"))["data"] == {"__typename": "Query"}
    advice = [line for line in await asyncio.to_thread(output.read_text) if line]
    assert advice
    lines = [line for line in "".join(advice).splitlines() if "roomcast serve" in line]
    assert len(lines) == 1
    assert "ws=roomcast.server.websocket_protocol:WebSocketProtocol" in lines[0]
    assert "http=roomcast.server.http_protocol:HttpProtocol" in lines[0]
    assert "ws_ping_interval=None" in lines[0]


def test_imported_objects_are_frozen_for_the_garbage_collector(tmp_path: Path) -> None:
    output = run(sys.executable, "-c", "import gc, roomcast.asgi; print(gc.get_freeze_count())", data_dir=tmp_path)
    assert int(output.stdout) > 100_000, output.stderr


def test_uvicorn_with_a_wrong_setting_prints_one_sentence() -> None:
    stopped = run(sys.executable, "-m", "uvicorn", "roomcast.asgi:app", log_level="chatty")
    assert stopped.stderr.startswith("ROOMCAST_LOG_LEVEL: 'chatty' is not valid")
    assert "Traceback" not in stopped.stderr


# ------------------------------------------------------------------ the doctor


def doctor(**settings: object) -> tuple[int, dict[str, str]]:
    """The exit code, and the line of each subject."""
    done = run(sys.executable, "-c", "from roomcast.cli import main; main()", "doctor", **settings)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {line.split()[1]: line for line in done.stdout.splitlines()}


def test_the_doctor_reports_a_healthy_server(tmp_path: Path) -> None:
    code, output = doctor(data_dir=tmp_path)
    assert code == 0
    assert {line.split()[0] for line in output.values()} == {"ok"}
    assert set(output) == set(CHECKS)


def test_the_doctor_reports_all_problems_with_their_remedy(tmp_path: Path, postgres_server: servers.Server) -> None:
    url = asyncio.run(servers.create_database(postgres_server.url, f"doctor_{os.getpid()}"))
    manifest = tmp_path / "documents.json"
    manifest.write_text("[]")
    code, output = doctor(
        data_dir=tmp_path, database_url=url, bus_url="redis://127.0.0.1:1", trusted_documents=manifest
    )
    assert code == 1
    assert output["profile"].startswith("wrong    profile     ROOMCAST_TRUSTED_DOCUMENTS: ")
    assert "run `roomcast migrate`" in output["migrations"]
    assert "ROOMCAST_BUS_URL: no redis server answers" in output["bus"]
    assert output["database"].split()[0] == "ok"


def test_the_doctor_reports_an_unreachable_database(tmp_path: Path) -> None:
    code, output = doctor(data_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/chat")
    assert code == 1
    assert "ROOMCAST_DATABASE_URL: the database cannot be used" in output["database"]
