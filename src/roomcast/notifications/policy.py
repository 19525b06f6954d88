"""Validation of push subscriptions, and when failed pushes are retried. Pure functions."""

import base64
import re
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

from roomcast.core.errors import Forbidden, ValidationFailed

MAX_ENDPOINT = 2_000
MAX_SUBSCRIPTIONS = 10
"""Per user. A further one replaces the oldest."""

MAX_ATTEMPTS = 5
MAX_RETRY_DELAY = timedelta(minutes=5)

MAX_MESSAGE_AGE = timedelta(minutes=10)
"""Older messages cause no push, so that nobody is flooded after an outage."""

Service = TypeVar("Service")

_ENDPOINT = re.compile(r"https://([A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?(?:/[!-~]*)?")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def check_push_enabled(service: Service | None) -> Service:
    """The service, if this server sends pushes. Raises Forbidden."""
    if service is None:
        raise Forbidden("This server does not send push notifications.")
    return service


def check_endpoint(endpoint: str) -> str:
    """The host of the endpoint. Raises ValidationFailed."""
    match = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= MAX_ENDPOINT and "#" not in endpoint else None
    if match is None:
        raise ValidationFailed(
            f"The endpoint must be the https:// URL that the browser gave, with at most {MAX_ENDPOINT} characters.",
            path=("input", "endpoint"),
        )
    return match[1].lower()


def check_key(text: str, length: int, argument: str) -> bytes:
    """The decoded key. Raises ValidationFailed."""
    bare = text.rstrip("=")
    is_base64url = len(text) <= 100 and _BASE64URL.fullmatch(text) is not None and len(bare) % 4 != 1
    raw = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)) if is_base64url else b""
    if len(raw) != length:
        raise ValidationFailed(
            f"{argument} must be {length} bytes in base64url, as the browser gave them.", path=("input", argument)
        )
    return raw


def base64url_encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def subscription_id_of(endpoint: str) -> str:
    """The id of the subscription with this endpoint."""
    return sha256(endpoint.encode(errors="replace")).hexdigest()


def push_topic(subscription_id: str, room_id: object) -> str:
    """The Topic header (RFC 8030, 5.4): a push replaces an undelivered one with the same topic. It is a hash, so that
    the push service learns neither the room nor which users share one."""
    return base64url_encode(sha256(f"{subscription_id}:{room_id}".encode()).digest()[:24])


def retry_delay(delay: timedelta, attempts: int, retry_after: timedelta | None) -> timedelta:
    """How long to wait after so many attempts. `retry_after`: what the push service asked for."""
    return min(max(delay * (1 << attempts), retry_after or timedelta(0)), MAX_RETRY_DELAY)
