"""Inputs whose fields may be left out, which is something else than null."""

from typing import Any

import strawberry

from roomcast.accounts.actions import UNCHANGED


def mentioned(value: Any) -> Any:
    """The value, null included, or UNCHANGED where the field was left out."""
    return UNCHANGED if value is strawberry.UNSET else value
