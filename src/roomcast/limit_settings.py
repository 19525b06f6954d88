"""The settings of limits: how much one address, one user and this process may do."""

import re
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode

SECONDS: Final = {"s": 1, "min": 60, "h": 3600}


class Allowance(NamedTuple):
    """`burst` at once, and `per_second` more in each second."""

    burst: float
    per_second: float


def _read_count(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value == "off":
        return None
    if not re.fullmatch("[1-9][0-9]{0,11}", value):
        raise ValueError("it has to be a whole number of at least 1, or off for no limit")
    return int(value)


def _read_allowance(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value == "off":
        return None
    parts = re.fullmatch(r"([1-9][0-9]{0,11})\+([1-9][0-9]{0,11})/(s|min|h)", value)
    if parts is None:
        raise ValueError("it has to look like 500+20/s (500 at once, and 20 more in each s, min or h), or be off")
    burst, more, unit = parts.groups()
    return Allowance(int(burst), int(more) / SECONDS[unit])


Count = Annotated[int | None, BeforeValidator(_read_count)]
Rate = Annotated[Allowance | None, NoDecode, BeforeValidator(_read_allowance)]


class LimitSettings(BaseSettings):
    """None: no limit. The parts that enforce limits, the metric of refusals and the log use the same names."""

    http_connections_per_address: Count = 1_000
    sockets_per_address: Count = 1_000
    sockets_per_user: Count = 50
    sockets_per_process: Count = 50_000
    subscriptions_per_user: Count = 1_000
    room_documents_per_user: Count = 16
    signups_per_address: Rate = Allowance(200, 20 / 60)
    failed_signins_per_address: Count = 30
    failed_signins_per_user: Count = 5
    waiting_signins_per_process: Count = 500
    taken_emails_per_address: Count = 10
    taken_emails_per_user: Count = 10
    operations_per_address: Rate = Allowance(10_000, 1_000)
    operations_per_user: Rate = Allowance(1_000, 100)
    concurrent_operations_per_user: Count = 4
    cost_per_address: Rate = Allowance(5_000_000, 500_000)
    cost_per_user: Rate = Allowance(500_000, 50_000)
    parsing_per_address: Rate = Allowance(2_000_000, 50_000)
    changes_per_address: Rate = Allowance(10_000, 200)
    changes_per_user: Rate = Allowance(1_000, 20)
    messages_per_user: Rate = Allowance(500, 20)
    signals_per_user: Rate = Allowance(500, 10)
    uploads_per_address: Count = 32
    uploads_per_user: Count = 8
    uploads_per_process: Count = 128
    downloads_per_address: Count = 200
    downloads_per_process: Count = 1_000
    unused_files_per_user: Count = 50

    def without_limits_of_clients(self) -> "LimitSettings":
        """Only the limits of the process are left."""
        of_clients = [name for name in LimitSettings.model_fields if not name.endswith("_per_process")]
        return self.model_copy(update=dict.fromkeys(of_clients))
