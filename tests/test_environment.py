"""Settings from other places than their own variables: files with secrets, and variables of hosting platforms.

Mistyped names are refused.
"""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from roomcast.environment import ALIASES, PREFIX, may_hold_secret
from roomcast.settings import Settings, WrongSetting, load_settings

KEY = "k" * 32


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX) or name in ALIASES.values():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal() -> str:
    with pytest.raises(WrongSetting) as wrong:
        load_settings()
    return str(wrong.value)


# ------------------------------------------------------------------ files with secrets


def test_every_secret_and_every_address_with_a_password_can_come_from_a_file() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    urls = {name for name in Settings.model_fields if "url" in name}
    assert len(secrets) >= 3
    assert all(map(may_hold_secret, secrets | urls))


def test_a_secret_is_read_from_a_file_without_the_line_break_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "url").write_text("postgresql://ann:secret@localhost/chat\n")
    monkeypatch.setenv("ROOMCAST_SECRET_KEY_FILE", str(tmp_path / "key"))
    (tmp_path / ".env").write_text(f"ROOMCAST_DATABASE_URL_FILE={tmp_path / 'url'}\n")
    settings = load_settings()
    assert settings.secret_key == SecretStr(KEY)
    assert settings.database_url == settings.database_direct_url == "postgresql://ann:secret@localhost/chat"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not a text in UTF-8"),
    ],
)
def test_a_file_without_a_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("ROOMCAST_SECRET_KEY_FILE", str(path))
    assert refusal() == f"ROOMCAST_SECRET_KEY_FILE: the file {path} {expected}. See .env.example."


def test_a_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOMCAST_METRICS_TOKEN_FILE", str(tmp_path))
    assert f"the file {tmp_path} cannot be read (Is a directory)" in refusal()


def test_a_setting_and_its_file_are_not_both_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / ".env").write_text(f"ROOMCAST_SECRET_KEY={KEY}\n")
    monkeypatch.setenv("ROOMCAST_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert "ROOMCAST_SECRET_KEY is set, too; remove one of them" in refusal()
    monkeypatch.setenv("ROOMCAST_SECRET_KEY", "")  # an empty value counts as not set, also above one in .env
    (tmp_path / ".env").unlink()
    assert load_settings().secret_key == SecretStr(KEY)


def test_a_wrong_value_in_a_file_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://root:password@localhost/chat")
    monkeypatch.setenv("ROOMCAST_DATABASE_URL_FILE", str(tmp_path / "url"))
    sentence = refusal()
    assert sentence.startswith("ROOMCAST_DATABASE_URL (from ROOMCAST_DATABASE_URL_FILE): the URL has to begin with")
    assert "password" not in sentence


# ------------------------------------------------------------------ hosting platforms


def test_variables_of_platforms_count_where_ours_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    monkeypatch.setenv("DATABASE_URL", "postgres://ann:secret@db.example.org/chat?sslmode=require")
    monkeypatch.setenv("REDIS_URL", "rediss://:secret@redis.example.org:6380")
    monkeypatch.setenv("ROOMCAST_PORT", "")
    settings = load_settings()
    assert settings.port == 5000
    assert settings.database_url == settings.database_direct_url == os.environ["DATABASE_URL"]
    assert settings.bus_url == os.environ["REDIS_URL"]
    assert not settings.is_sqlite
    monkeypatch.setenv("ROOMCAST_PORT", "8001")
    monkeypatch.setenv("ROOMCAST_BUS_URL", "memory://")
    assert (load_settings().port, load_settings().bus_url) == (8001, "memory://")


def test_variables_of_platforms_are_not_read_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=5000\nDATABASE_URL=postgres://localhost/another_program\n")
    assert load_settings() == Settings(_env_file=None)


def test_a_wrong_value_of_a_platform_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost/chat")
    names = [line.partition(":")[0] for line in refusal().splitlines()]
    assert names == ["ROOMCAST_PORT (from PORT)", "ROOMCAST_DATABASE_URL (from DATABASE_URL)"]


# ------------------------------------------------------------------ mistyped names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ROOMCAST_DATABSE_URL", "did you mean ROOMCAST_DATABASE_URL?"),
        ("ROOMCAST_SECRETKEY", "did you mean ROOMCAST_SECRET_KEY?"),
        ("ROOMCAST_SECRET_KEY_FIEL", "did you mean ROOMCAST_SECRET_KEY_FILE?"),
        ("ROOMCAST_PORT_FILE", "did you mean ROOMCAST_PORT?"),
        ("ROOMCAST_QUIXOTIC", "remove it."),
    ],
)
def test_a_mistyped_name_is_refused_with_the_nearest_right_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, expected: str
) -> None:
    sentence = f"{name}: there is no such setting; {expected} See .env.example."
    monkeypatch.setenv(name, "1")
    assert refusal() == sentence
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=1\n")
    assert refusal() == sentence


def test_several_mistyped_names_are_reported_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOMCAST_PROT", "1")
    (tmp_path / ".env").write_text("ROOMCAST_WROKERS=1\n")
    assert [line.partition(":")[0] for line in refusal().splitlines()] == ["ROOMCAST_PROT", "ROOMCAST_WROKERS"]


def test_names_of_tests_and_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOMCAST_TEST_CHAOS", "ROOMCASTER", "OTHER_ROOMCAST_PORT"):
        monkeypatch.setenv(name, "1")
    assert load_settings() == Settings(_env_file=None)


def test_variables_that_kubernetes_sets_about_its_services_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""
    for service in ("ROOMCAST", "ROOMCAST_REDIS"):
        address = "tcp://10.0.0.7:8000"
        variables = {
            "SERVICE_HOST": "10.0.0.7",
            "SERVICE_PORT": "8000",
            "SERVICE_PORT_HTTP": "8000",
            "PORT": address,
            "PORT_8000_TCP": address,
            "PORT_8000_TCP_PROTO": "tcp",
            "PORT_8000_TCP_PORT": "8000",
            "PORT_8000_TCP_ADDR": "10.0.0.7",
        }
        for name, value in variables.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    assert load_settings() == Settings(_env_file=None)
    assert load_settings().port == 8000
