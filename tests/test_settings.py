"""Settings: wrong values are refused with a sentence that names the setting, and `.env.example` lists all settings."""

import re
from pathlib import Path

import pytest

from roomcast.data_folder import data_folder, incoming_folder, secret_keys, vapid_key
from roomcast.environment import PREFIX
from roomcast.limit_settings import Allowance, LimitSettings
from roomcast.settings import Settings, WrongSetting, load_settings

EXAMPLE = Path(".env.example").read_text()
SET = re.compile(r"^#(ROOMCAST_[A-Z_]+)=(.*)$")
KEY = "k" * 32

WRONG = {
    "HOST": ["two words", "http://localhost"],
    "PORT": ["http", "-1", "65536", "80.5"],
    "DATABASE_URL": [
        "mysql://localhost/chat",
        "roomcast.db",
        "sqlite://",
        "sqlite:///",
        "postgresql://localhost:many/x",
        "postgresql://localhost/chat?channel_binding=require",
        "postgresql://localhost/chat?pgbouncer=maybe",
        "postgresql://localhost/chat?statement_cache_size=none",
        "postgresql://localhost/chat?connect_timeout=soon",
    ],
    "DATABASE_DIRECT_URL": ["mysql://localhost/chat", "postgresql://localhost/chat"],
    "DATABASE_READ_URLS": ["sqlite:///copy.db", "postgresql://a/b?x=y", "postgresql://a/b, postgresql://a/b", "a"],
    "DATABASE_POOL_SIZE": ["0", "3", "1001", "many"],
    "BUS_URL": ["kafka://localhost", "memory", "redis://localhost:many", "postgresql://localhost/chat?sslmod=require"],
    "SECRET_KEY": ["short", f"{KEY},short", f"{KEY},"],
    "ACCESS_TOKEN_SECONDS": ["0", "-5", "soon", "99999999999"],
    "REFRESH_TOKEN_DAYS": ["0", "never", "99999999999"],
    "SESSION_DAYS": ["0", "never", "99999999999"],
    "SIGNUP_MODE": ["maybe"],
    "FIRST_USER_IS_ADMIN": ["perhaps"],
    "ROOM_CREATION": ["nobody"],
    "ALLOWED_ORIGINS": [
        "chat.example.org",
        "https://chat.example.org/page",
        "*",
        "https://good.example, ftp://bad.example",
    ],
    "ALLOWED_HEADERS": ["two words", "*", "X-One, X:Two"],
    "ALLOWED_HOSTS": ["https://chat.example.org", "chat.example.org:8000", "*"],
    "PROFILE": ["staging", "production"],  # the latter needs a secret, too
    "WORKERS": ["0", "many", "2", "5000"],  # 2: not on SQLite
    "DRAIN_SECONDS": ["-1", "soon", "3601"],
    "CLOSE_SECONDS": ["-1", "soon", "3601"],
    "MAX_CONNECTION_AGE_SECONDS": ["-1", "soon"],
    "MIGRATE_ON_START": ["later"],
    "PUBLIC_URL": ["chat.example.org", "https://", "https://chat.example.org/?a=b"],
    "TRUSTED_PROXIES": ["localhost", "10.0.0.1/8", "10.0.0.0/8, 300.1.1.1"],
    "INTROSPECTION": ["true"],
    "PLAYGROUND": ["sometimes"],
    "GET_QUERIES": ["yes"],
    "PERSISTED_QUERIES": ["1"],
    "TRUSTED_DOCUMENTS": ["nowhere/manifest.json", "."],
    "TRUSTED_NETWORKS": ["office.example.org", "10.0.0.1/8", "*", "10.0.0.0/8, 300.1.1.1"],
    "RATE_LIMITS": ["some"],
    "PRESENCE_GRACE_SECONDS": ["0", "a while", "3601"],
    "STORAGE_URL": ["/srv/files", "s3://bucket", "s3://key:secret@host", "s3://key:secret@host:many/bucket"],
    "MAX_UPLOAD_BYTES": ["0", "25MB", "2147483648"],
    "UPLOAD_QUOTA_BYTES": ["0", "5GB", "9007199254740993"],
    "MIN_FREE_DISK_BYTES": ["-1", "5%"],
    "KEEP_ORIGINALS": ["some"],
    "MAX_RESPONSE_BYTES": ["0", "65535", "4MB", "2147483648"],
    "METRICS_TOKEN": ["short"],
    "PUSH": ["sometimes"],
    "PUSH_DELAY_SECONDS": ["0", "301", "soon"],
    "PUSH_ALLOWED_HOSTS": ["https://push.example.org", "10.0.0.0/8", "push.example.org, two words"],
    "VAPID_PRIVATE_KEY": ["short", "A" * 43, "_" * 43],
    "VAPID_SUBJECT": ["admin@example.org", "http://chat.example.org", "mailto:nobody"],
    "LOG_LEVEL": ["chatty"],
    "LOG_FORMAT": ["xml"],
    **{
        name.upper(): ["0+1/s", "5+0/s", "500", "500+20", "500+20/day", "1e3+1/s", "none"]
        if isinstance(field.default, Allowance)
        else ["0", "-1", "2.5", "many", "1,000", "500+20/s"]
        for name, field in LimitSettings.model_fields.items()
    },
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_a_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(WrongSetting) as wrong:
        load_settings()
    sentence = str(wrong.value)
    assert PREFIX + name in sentence or name == "PROFILE"
    assert sentence.count("\n") == 0


def test_every_setting_has_a_wrong_value_in_this_test() -> None:
    assert {name.upper() for name in Settings.model_fields} - {"DATA_DIR"} == set(WRONG)


def test_several_wrong_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMCAST_PORT", "http")
    monkeypatch.setenv("ROOMCAST_LOG_LEVEL", "chatty")
    with pytest.raises(WrongSetting) as wrong:
        load_settings()
    assert [line.partition(":")[0] for line in str(wrong.value).splitlines()] == ["ROOMCAST_PORT", "ROOMCAST_LOG_LEVEL"]


def test_several_processes_need_a_bus_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMCAST_DATABASE_URL", "postgresql://localhost/chat")
    monkeypatch.setenv("ROOMCAST_WORKERS", "2")
    with pytest.raises(WrongSetting, match="ROOMCAST_BUS_URL"):
        load_settings()
    monkeypatch.setenv("ROOMCAST_BUS_URL", "redis://localhost")
    assert load_settings().workers == 2


def test_a_bus_on_the_database_listens_past_the_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMCAST_DATABASE_URL", "postgresql://localhost:6432/chat?pgbouncer=true")
    monkeypatch.setenv("ROOMCAST_BUS_URL", "postgresql://localhost:6432/chat")
    with pytest.raises(WrongSetting, match="ROOMCAST_DATABASE_DIRECT_URL: the bus listens on PostgreSQL"):
        load_settings()
    monkeypatch.setenv("ROOMCAST_DATABASE_DIRECT_URL", "postgresql://localhost:5432/chat")
    assert load_settings().bus_address == "postgresql://localhost:5432/chat"
    monkeypatch.setenv("ROOMCAST_BUS_URL", "postgresql://localhost:5433/bus")
    assert load_settings().bus_address == "postgresql://localhost:5433/bus"


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WrongSetting, match="ROOMCAST_DATA_DIR"):
        data_folder(load_settings(data_dir=tmp_path / "file"))
    (tmp_path / "secret.key").mkdir()
    with pytest.raises(WrongSetting, match="ROOMCAST_DATA_DIR"):
        secret_keys(load_settings(data_dir=tmp_path))
    (tmp_path / "uploads").touch()
    with pytest.raises(WrongSetting, match="ROOMCAST_DATA_DIR"):
        incoming_folder(load_settings(data_dir=tmp_path))


def test_the_secret_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "new")
    assert secret_keys(settings) == secret_keys(settings)
    assert (tmp_path / "new" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_push_key_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert vapid_key(settings) == vapid_key(settings)
    assert len(vapid_key(settings)) == 32
    assert (tmp_path / "vapid.key").stat().st_mode & 0o777 == 0o600
    stored_key = (tmp_path / "vapid.key").read_text()
    assert vapid_key(load_settings(vapid_private_key=stored_key)) == vapid_key(settings)
    (tmp_path / "vapid.key").write_text("nonsense")
    with pytest.raises(WrongSetting, match=r"vapid\.key"):
        vapid_key(settings)


def test_the_permissions_of_an_existing_data_folder_are_restricted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "uploads").mkdir(parents=True)
    (folder / "roomcast.db").touch()
    for path in (folder, folder / "roomcast.db"):
        path.chmod(0o755)
    data_folder(load_settings(data_dir=folder))
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "roomcast.db")] == [0o700, 0o600]


def test_the_permissions_of_a_shared_folder_are_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    data_folder(load_settings(data_dir=tmp_path))
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(PREFIX + name.upper(), "")
    everything_empty = load_settings()
    assert everything_empty == Settings(_env_file=None)


def test_neither_settings_nor_sentences_show_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEY not in repr(load_settings(secret_key=KEY))
    monkeypatch.setenv("ROOMCAST_SECRET_KEY", f"{KEY},too short")
    monkeypatch.setenv("ROOMCAST_DATABASE_URL", "mysql://root:password@localhost/chat")
    with pytest.raises(WrongSetting) as wrong:
        load_settings()
    assert not any(secret in str(wrong.value) for secret in (KEY, "too short", "password"))


# ------------------------------------------------------------------ .env.example


def test_the_example_names_every_setting_once_with_its_default(tmp_path: Path) -> None:
    named = [match[1] for line in EXAMPLE.splitlines() if (match := SET.match(line))]
    assert sorted(named) == sorted(PREFIX + name.upper() for name in Settings.model_fields)
    uncommented = tmp_path / "settings"
    uncommented.write_text("\n".join(line[1:] if SET.match(line) else line for line in EXAMPLE.splitlines()))
    assert Settings(_env_file=uncommented) == Settings(_env_file=None)


def test_the_example_gives_every_setting_a_reason_and_every_number_a_unit() -> None:
    before = ""
    for line in EXAMPLE.splitlines():
        if match := SET.match(line):
            assert before.startswith("# "), f"{match[1]} has no line of why"
            unit = re.search("_(SECONDS|DAYS|BYTES|MS)$", match[1])
            assert unit is None or unit[1].lower() in before.lower(), f"{match[1]} has no unit"
        before = line
