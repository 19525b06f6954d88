"""The files for systemd, Caddy and platforms: checked by their own tools, and the commands of the Procfile run."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from roomcast.core import migrations
from roomcast.environment import PREFIX
from roomcast.settings import Settings
from tests import servers
from tests.children import free_port
from tests.deployment import programs
from tests.deployment.containers import ROOT

DEPLOY = ROOT / "deploy"
UNITS = ("roomcast.service", "roomcast@.service")
MOST_EXPOSED = 2.0
"""systemd rates from 0 (nothing allowed) to 10; below 2.5 is its best class."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine with the units and something to start."""
    units, program = tmp_path / "etc" / "systemd" / "system", tmp_path / "opt" / "roomcast" / "bin" / "roomcast"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units.mkdir(parents=True)
    for target in ("multi-user.target", "basic.target", "sysinit.target", "shutdown.target", "network-online.target"):
        (units / target).write_text("[Unit]\n")
    for unit in UNITS:
        shutil.copy(DEPLOY / unit, units)
    return tmp_path


def verify(machine: Path, unit: str) -> str:
    """What systemd has to say about a unit. It says so, and does not fail, about an unknown option."""
    command = [programs.find("systemd-analyze"), "verify", f"--root={machine}", "--man=no", unit]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("unit", ["roomcast.service", "roomcast@8001.service"])
def test_systemd_knows_all_that_the_units_say(machine: Path, unit: str) -> None:
    assert verify(machine, unit) == ""
    file = machine / "etc" / "systemd" / "system" / re.sub("@.*", "@.service", unit)
    file.write_text(file.read_text().replace("KillMode=", "KillMod="))
    assert "KillMod" in verify(machine, unit)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_rates_the_units_as_hardly_exposed(unit: str) -> None:
    arguments = ("security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", "--no-pager")
    assert "Overall exposure level" in programs.run("systemd-analyze", *arguments, DEPLOY / unit)


def test_units_differ_in_the_port_only_and_let_threads_lower_their_priority() -> None:
    one, several = ((DEPLOY / unit).read_text().partition("[Unit]")[2] for unit in UNITS)
    assert several.replace(" on port %i", "").replace(" ROOMCAST_PORT=%i", "") == one
    assert "@resources" in programs.run("systemd-analyze", "syscall-filter", "@system-service")
    assert "SystemCallFilter=~@privileged\nSystemCallErrorNumber=EPERM\n" in one


def test_every_setting_of_the_environment_file_exists() -> None:
    names = re.findall(r"^#?ROOMCAST_(\w+)=", (DEPLOY / "roomcast.env").read_text(), re.MULTILINE)
    assert len(names) == 6
    assert set(map(str.lower, names)) <= Settings.model_fields.keys()


def test_caddy_accepts_its_file() -> None:
    arguments = ("--config", DEPLOY / "Caddyfile", "--adapter", "caddyfile")
    programs.run("caddy", "validate", *arguments)
    [route] = json.loads(programs.run("caddy", "adapt", *arguments))["apps"]["http"]["servers"]["srv0"]["routes"]
    assert route["match"] == [{"host": ["chat.example.org"]}]
    assert programs.run("caddy", "fmt", DEPLOY / "Caddyfile").strip() == (DEPLOY / "Caddyfile").read_text().strip()


# ------------------------------------------------------------------ platforms


def platform_environment(port: int, database_url: str, redis_url: str) -> dict[str, str]:
    """What a platform sets: PORT, DATABASE_URL, REDIS_URL, and what app.json and the operator ask for."""
    asked = json.loads((ROOT / "app.json").read_text())["env"]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        **{name: entry["value"] for name, entry in asked.items() if "value" in entry},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORT": str(port),
        "DATABASE_URL": database_url.replace("postgresql://", "postgres://"),
        "REDIS_URL": redis_url,
        "ROOMCAST_PUBLIC_URL": "https://chat.example.org",
        "ROOMCAST_SECRET_KEY": "0" * 64,
    }


def test_the_commands_for_platforms_migrate_and_serve(tmp_path: Path, postgres_server: servers.Server) -> None:
    url = asyncio.run(servers.create_database(postgres_server.url, f"platform_{os.urandom(6).hex()}"))
    commands = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    for name in ("src", "alembic"):
        (tmp_path / name).symlink_to(ROOT / name)
    with servers.redis() as redis:
        port = free_port()
        environment = platform_environment(port, url, redis.url)
        release = subprocess.run(
            ["sh", "-c", commands["release"]], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert release.stdout == f"The database is at revision {migrations.head()}.\n", release.stderr
        # Platforms replace the shell by the command, which then gets their signal.
        web = subprocess.Popen(["sh", "-c", f"exec env {commands['web']}"], cwd=tmp_path, env=environment)
        try:
            ready = until_ready(f"http://127.0.0.1:{port}", web)
            assert (ready["database"], ready["bus"]) == ("ok", "ok")
            web.terminate()
            assert web.wait(30) in (0, -signal.SIGTERM)
        finally:
            web.kill()
            web.wait()


def until_ready(url: str, process: subprocess.Popen[bytes]) -> dict[str, str]:
    """The report of /health/ready, once the server answers."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with suppress(httpx.TransportError):
            return dict(httpx.get(f"{url}/health/ready", timeout=5).json())
        time.sleep(0.1)
    raise AssertionError("the server does not answer")
