"""What a push subscription looks like, and when a push that failed is tried again. Pure: values in, verdict out."""

import base64
import re
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

from roomcast.core.errors import Forbidden, ValidationFailed

MAX_ENDPOINT = 2_000
MAX_SUBSCRIPTIONS = 10
"""Of one person; the oldest goes."""

MAX_ATTEMPTS = 5
MAX_RETRY_DELAY = timedelta(minutes=5)

MAX_MESSAGE_AGE = timedelta(minutes=10)
"""What was said longer ago is no news any more: after an outage nobody is flooded."""

Service = TypeVar("Service")

_ENDPOINT = re.compile(r"https://([A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?(?:/[!-~]*)?")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def check_push_enabled(service: Service | None) -> Service:
    """What sends pushes here, if anything does. Raises Forbidden."""
    if service is None:
        raise Forbidden("this server sends no push notifications")
    return service


def check_endpoint(endpoint: str) -> str:
    """The host of a push service's address. Raises ValidationFailed."""
    found = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= MAX_ENDPOINT and "#" not in endpoint else None
    if found is None:
        raise ValidationFailed(
            f"an endpoint is the https:// address that the browser gave, of at most {MAX_ENDPOINT} characters",
            path=("input", "endpoint"),
        )
    return found[1].lower()


def check_key(text: str, length: int, argument: str) -> bytes:
    """The bytes behind a subscription's key. Raises ValidationFailed."""
    raw = base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)) if _readable(text) else b""
    if len(raw) != length:
        raise ValidationFailed(
            f"{argument} is {length} bytes as the browser gave them, in base64url", path=("input", argument)
        )
    return raw


def _readable(text: str) -> bool:
    return len(text) <= 100 and _BASE64URL.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def base64url_encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def subscription_id_of(endpoint: str) -> str:
    """What a subscription is found by."""
    return sha256(endpoint.encode(errors="replace")).hexdigest()


def push_topic(subscription_id: str, room_id: object) -> str:
    """What makes a push replace the one before of the same room (RFC 8030, 5.4). Says nothing of the room, nor whether
    two people are in the same one, to the push service."""
    return base64url_encode(sha256(f"{subscription_id}:{room_id}".encode()).digest()[:24])


def retry_delay(delay: timedelta, attempts: int, asked: timedelta | None) -> timedelta:
    """How long to wait after so many attempts; `asked`: what the push service wants."""
    return min(max(delay * (1 << attempts), asked or timedelta(0)), MAX_RETRY_DELAY)
