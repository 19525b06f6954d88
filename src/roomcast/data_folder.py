"""The data folder: keys that are created on the first start, uploads that are being received, file permissions."""

import base64
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from roomcast.environment import PREFIX
from roomcast.settings import MIN_SECRET_BYTES, P256_ORDER, Settings, WrongSetting, configured_keys, is_vapid_key


def secret_keys(settings: Settings) -> list[bytes]:
    """The keys that sign and verify access tokens and links; the first one signs.

    Without ROOMCAST_SECRET_KEY, a key is created on the first start and stored in the data folder, where only the owner
    of the process can read it. Raises WrongSetting.
    """
    if keys := configured_keys(settings):
        return keys
    path = data_folder(settings) / "secret.key"
    key = _read_or_create(path, lambda: secrets.token_urlsafe(48))
    if len(key) < MIN_SECRET_BYTES:
        raise WrongSetting(
            f"{path} does not hold a key of at least {MIN_SECRET_BYTES} bytes; delete it to get a new one"
        )
    return [key]


def data_folder(settings: Settings) -> Path:
    """The data folder. It is created if missing, and other users get no access to it. Raises WrongSetting."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(settings.data_dir, 0o700)
        for path in settings.data_dir.iterdir():
            if path.is_file():
                _make_private(path, 0o600)
    except OSError as error:
        raise WrongSetting(
            f"{PREFIX}DATA_DIR: {settings.data_dir} is not usable as folder ({error.strerror})"
        ) from None
    return settings.data_dir


def set_private_umask() -> None:
    """Set the umask so that only their owner can open files that this process and its children create from now on.

    This covers files that libraries create: SQLite's database and journals, uploads, backups.
    """
    os.umask(0o077)


def _make_private(path: Path, mode: int) -> None:
    """Older releases created files that all users could read. Shared folders, such as /tmp, are not changed."""
    with suppress(FileNotFoundError, PermissionError):  # a deleted journal of SQLite; a volume that belongs to root
        found = path.stat()
        if found.st_mode & 0o077 and not found.st_mode & stat.S_ISVTX:
            path.chmod(mode)


def incoming_folder(settings: Settings) -> Path:
    """The folder for uploads that are still being received. It is created if missing. Raises WrongSetting."""
    folder = data_folder(settings) / "uploads" / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise WrongSetting(f"{PREFIX}DATA_DIR: {folder} cannot be written ({error.strerror})") from None


def vapid_key(settings: Settings) -> bytes:
    """The 32 bytes of the private key that signs web pushes. Created and stored like `secret_keys`."""
    if settings.vapid_private_key is not None:
        text = settings.vapid_private_key.get_secret_value()
    else:
        path = data_folder(settings) / "vapid.key"
        text = _read_or_create(path, lambda: _base64url((1 + secrets.randbelow(P256_ORDER - 1)).to_bytes(32))).decode()
        if not is_vapid_key(text):
            raise WrongSetting(f"{path} does not hold a key; delete it to get a new one; browsers then subscribe again")
    return base64.urlsafe_b64decode(text[:43] + "=")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read_or_create(path: Path, make: Callable[[], str]) -> bytes:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    except OSError as error:
        raise WrongSetting(f"{PREFIX}DATA_DIR: {path} cannot be written ({error.strerror})") from None
    with os.fdopen(handle, "w") as file:
        file.write(make())
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise WrongSetting(f"{PREFIX}DATA_DIR: {path} cannot be read ({error.strerror})") from None
