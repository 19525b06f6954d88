"""What `roomcast doctor` warns of: settings with which a server runs, but is unsafe or will fail."""

import json
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from roomcast import doctor
from roomcast.doctor import Level, run_checks, weakness
from roomcast.operator_commands import app as command
from tests import servers
from tests.running_app import settings_for

KEY = secrets.token_urlsafe(48)

WARNINGS: list[tuple[str, dict[str, Any], str]] = [
    ("limits", {"rate_limits": "off"}, "ROOMCAST_RATE_LIMITS: off"),
    ("proxies", {"trusted_proxies": "*"}, "ROOMCAST_TRUSTED_PROXIES: with *"),
    ("proxies", {"public_url": "https://chat.example.org"}, "ROOMCAST_TRUSTED_PROXIES: not set"),
    ("address", {"public_url": "http://chat.example.org"}, "ROOMCAST_PUBLIC_URL: http://chat.example.org is not"),
    ("profile", {"profile": "development", "host": "192.0.2.7"}, "other machines can reach this server"),
]


async def findings(folder: Path, **changes: Any) -> dict[str, tuple[Level, str]]:
    """Level and text of each subject."""
    chosen = {"profile": "production", "secret_key": KEY, **changes}
    url = chosen.pop("database_url", f"sqlite:///{folder}/roomcast.db")
    found = await run_checks(settings_for(url, folder, **chosen))
    return {subject: (level, text) for subject, level, text in found}


async def test_a_production_server_with_good_settings_has_no_warning(tmp_path: Path) -> None:
    found = await findings(tmp_path, public_url="https://chat.example.org", trusted_proxies="10.0.0.1")
    assert {subject for subject, (level, _) in found.items() if level is not Level.OK} <= {"migrations"}


@pytest.mark.parametrize(("subject", "changes", "text"), WARNINGS)
async def test_unsafe_settings_are_warned_of(tmp_path: Path, subject: str, changes: dict[str, Any], text: str) -> None:
    level, said = (await findings(tmp_path, **changes))[subject]
    assert level is Level.WARNING
    assert text in said


@pytest.mark.parametrize(
    "key",
    [
        "change-me-change-me-change-me-change-me",
        "my-very-own-secret-key-for-chat-0123456789",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "q7Rz-xW0q7Rz-xW0q7Rz-xW0q7Rz-xW0",
        "0101010101110101010010101010101101010101",
        f"{KEY},{KEY}",
    ],
)
async def test_a_weak_key_is_wrong_in_production_and_a_warning_in_development(tmp_path: Path, key: str) -> None:
    level, said = (await findings(tmp_path, secret_key=key))["secret"]
    assert level is Level.WRONG
    assert said.startswith("ROOMCAST_SECRET_KEY: ")
    assert key not in said
    assert (await findings(tmp_path, secret_key=key, profile="development"))["secret"][0] is Level.WARNING


def test_random_keys_are_not_weak() -> None:
    makers = (secrets.token_urlsafe, secrets.token_hex)
    assert [weakness(make(32).encode()) for make in makers for _ in range(500)] == [None] * 1000


async def test_a_full_disk_is_wrong(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert (await findings(tmp_path, min_free_disk_bytes=free * 2))["disk"][0] is Level.WRONG
    assert (await findings(tmp_path, min_free_disk_bytes=free // 2))["disk"][0] is Level.WARNING
    assert (await findings(tmp_path, min_free_disk_bytes=0))["disk"][0] is Level.OK


async def test_few_descriptors_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "RECOMMENDED_DESCRIPTORS", 10**9)
    assert (await findings(tmp_path))["descriptors"][0] is Level.WARNING


async def test_sessions_of_another_release_are_noticed(tmp_path: Path, postgres_server: servers.Server) -> None:
    url = await servers.create_database(postgres_server.url, "two_releases")
    other = await asyncpg.connect(url, server_settings={"application_name": "roomcast/0.0.7"})
    found = await findings(tmp_path, database_url=url)
    await other.close()
    level, said = found["processes"]
    assert level is Level.WARNING
    assert "roomcast/0.0.7" in said
    assert found["clock"] == (Level.OK, "agrees with that of the database")


async def test_a_wrong_clock_is_a_warning(
    tmp_path: Path, postgres_server: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await servers.create_database(postgres_server.url, "clocks")
    now = time.time
    monkeypatch.setattr("roomcast.doctor.time.time", lambda: now() + 90)
    level, said = (await findings(tmp_path, database_url=url))["clock"]
    assert level is Level.WARNING
    assert "differ by 90 s" in said


def test_the_findings_are_printed_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMCAST_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ROOMCAST_HOST", "192.0.2.7")
    printed = CliRunner().invoke(command, ["doctor", "--json"])
    found = json.loads(printed.stdout)
    assert printed.exit_code == 0
    assert [finding["subject"] for finding in found] == list(doctor.CHECKS)
    assert {finding["level"] for finding in found} == {"ok", "warning"}
    assert all(finding["text"] for finding in found)
