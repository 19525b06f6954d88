"""Variables that are no settings and give settings a value: files with secrets, and variables of hosting platforms.

Also finds mistyped names. Variables are in lower case here, as pydantic-settings reads them.
"""

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

PREFIX: Final = "ROOMCAST_"

SECRET_ENDINGS: Final = ("_key", "_token", "_url", "_urls")
"""Settings with these endings may hold a secret. They are not shown in messages, and may be read from a file."""

ALIASES: Final[Mapping[str, str]] = {"port": "PORT", "database_url": "DATABASE_URL", "bus_url": "REDIS_URL"}
"""The variable that hosting platforms set, by setting. It counts where the setting is empty."""

_SERVICE_LINK = re.compile(r"roomcast_(\w+_)?(service_(host|port(_\w+)?)|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)")
_LINKED_PORT = ("tcp://", "udp://", "sctp://")

Variables = Mapping[str, str | None]


class WrongSetting(Exception):
    """Its text has one sentence per wrong setting: the name, what is wrong with the value, what to do."""


def may_hold_secret(setting: str) -> bool:
    return setting.lower().endswith(SECRET_ENDINGS)


def without_service_links(variables: Variables) -> dict[str, str | None]:
    """Kubernetes sets variables about each service in all containers of its namespace.

    Those about a service `roomcast` or `roomcast-…` look like settings: ROOMCAST_SERVICE_HOST=10.0.0.7, and even
    ROOMCAST_PORT=tcp://10.0.0.7:8000.
    """
    return {
        name: value
        for name, value in variables.items()
        if not _SERVICE_LINK.fullmatch(name) and not (name.endswith("_port") and (value or "").startswith(_LINKED_PORT))
    }


def check_names(variables: Variables, settings: Collection[str]) -> None:
    """Raises WrongSetting for each variable with our prefix that is no setting.

    ROOMCAST_TEST_… belongs to the tests, which also start servers with the environment that they have.
    """
    known = {*settings, *(f"{setting}_file" for setting in settings if may_hold_secret(setting))}
    prefix = PREFIX.lower()
    names = [name.removeprefix(prefix) for name in sorted(variables) if name.startswith(prefix)]
    wrong = [name for name in names if name not in known and not name.startswith("test_")]
    if wrong:
        raise WrongSetting("\n".join(_unknown(name, known) for name in wrong))


def _unknown(name: str, known: Collection[str]) -> str:
    setting = name.removesuffix("_file")
    nearest = [setting] if setting in known else get_close_matches(name, known, n=1)
    advice = f"did you mean {PREFIX}{nearest[0].upper()}?" if nearest else "remove it."
    return f"{PREFIX}{name.upper()}: there is no such setting; {advice} See .env.example."


def values_from_files(variables: Variables, settings: Collection[str]) -> dict[str, str]:
    """The values of settings whose variable ends in _FILE and names a file. Raises WrongSetting."""
    values, problems = {}, []
    for setting in filter(may_hold_secret, settings):
        variable = f"{PREFIX}{setting}_file"
        path = variables.get(variable.lower())
        if path is None:
            continue
        try:
            if variables.get(f"{PREFIX}{setting}".lower()):
                raise ValueError(f"{PREFIX}{setting.upper()} is set, too; remove one of them")
            values[setting] = _read(Path(path))
        except ValueError as error:
            problems.append(f"{variable.upper()}: {error}. See .env.example.")
    if problems:
        raise WrongSetting("\n".join(problems))
    return values


def _read(path: Path) -> str:
    """The text of the file without white space around it. Raises ValueError."""
    try:
        text = path.read_text().strip()
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not a text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read ({error.strerror})") from None
    if not text:
        raise ValueError(f"the file {path} is empty")
    return text


def values_from_platform(variables: Variables) -> dict[str, str]:
    """The values of settings that the hosting platform has set."""
    return {setting: value for setting, name in ALIASES.items() if (value := variables.get(name.lower()))}


def source(setting: str) -> str:
    """The name of the setting and, if its value comes from another variable, the name of that one."""
    name = f"{PREFIX}{setting.upper()}"
    others = (f"{name}_FILE", ALIASES.get(setting, ""))
    other = next((each for each in others if os.environ.get(each)), None)
    return name if other is None or os.environ.get(name) else f"{name} (from {other})"
