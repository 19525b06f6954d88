"""Sends one push: an encrypted request to a public address, with a time limit."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpcore
from cryptography.hazmat.primitives.asymmetric import ec

from roomcast.core.clock import now
from roomcast.core.errors import ValidationFailed
from roomcast.notifications import encryption
from roomcast.notifications.models import PushSubscription
from roomcast.notifications.policy import base64url_encode, check_endpoint, check_key
from roomcast.notifications.push_message import PushMessage, PushOutcome, PushResult
from roomcast.notifications.ssrf_guard import AddressGuard, NotPublicAddress, UnresolvableHost

TIMEOUT_SECONDS = 10.0
"""For one request, from the address lookup to the response's headers."""

TTL_SECONDS = 24 * 3600
"""How long a push service keeps a message for a browser that is offline."""

MAX_CONNECTIONS = 100

MAX_READ_BYTES = 4_096
"""Responses with a larger or unknown length are not read. Their content is not used."""

logger = logging.getLogger("roomcast.notifications")


class PublicInternet(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that the guard has checked."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard, self._inner = guard, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = UnresolvableHost(host)
        for address in await self._guard.resolve(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class PushSender:
    """`raw_key`: 32 bytes, the server's VAPID private key. Does not follow redirects."""

    raw_key: bytes
    subject: str | None
    guard: AddressGuard
    key: ec.EllipticCurvePrivateKey = field(init=False)
    pool: httpcore.AsyncConnectionPool = field(init=False)
    _logged: set[tuple[str, object]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.key = encryption.private_key(self.raw_key)
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=20,
            keepalive_expiry=60,
            network_backend=PublicInternet(self.guard),
        )

    async def close(self) -> None:
        await self.pool.aclose()
        self.guard.close()

    @property
    def public_key(self) -> str:
        """The key that browsers subscribe with, in base64url."""
        return base64url_encode(encryption.public_point(self.key))

    async def check(self, endpoint: str, p256dh: str) -> None:
        """That messages can be encrypted for this key and sent to this endpoint now. Raises ValidationFailed."""
        host = check_endpoint(endpoint)
        encryption.check_public_point(check_key(p256dh, 65, "p256dh"))
        try:
            await self.guard.resolve(host, urlsplit(endpoint).port or 443)
        except (NotPublicAddress, UnresolvableHost, ValueError):
            raise ValidationFailed(
                "The endpoint must be an address on the public internet.", path=("input", "endpoint")
            ) from None

    async def push(self, to: PushSubscription, message: PushMessage) -> PushResult:
        """Send the message. Never raises: a network error is a result that is retried."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._request(to, message)
        except NotPublicAddress:
            return self._refuse(to.host, "no public address")
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
            return PushResult(PushOutcome.RETRY_LATER)
        except Exception:  # One broken subscription must not stop the pushes of others.
            logger.exception("a push to %s failed", to.host)
            return PushResult(PushOutcome.REFUSED)

    async def _request(self, to: PushSubscription, message: PushMessage) -> PushResult:
        p256dh, auth = check_key(to.p256dh, 65, "p256dh"), check_key(to.auth, 16, "auth")
        ephemeral_key = ec.generate_private_key(ec.SECP256R1())
        body = encryption.encrypt(message.payload, p256dh, auth, ephemeral_key, secrets.token_bytes(16))
        headers = self._headers(to, message)
        async with self.pool.stream("POST", to.endpoint, headers=headers, content=body) as response:
            response_headers = {name.lower(): value for name, value in response.headers}
            length = int(response_headers.get(b"content-length", str(MAX_READ_BYTES + 1)))
            if response.status == 204 or length <= MAX_READ_BYTES:
                await response.aread()  # So that the connection can be reused.
        after = parse_retry_after(response_headers.get(b"retry-after", b"").decode("latin-1"), now())
        status = response.status
        if 200 <= status < 300:
            return PushResult(PushOutcome.ACCEPTED)
        if status in (404, 410):
            return PushResult(PushOutcome.GONE)
        if status in (408, 429) or status >= 500:
            return PushResult(PushOutcome.RETRY_LATER, after)
        return self._refuse(to.host, status)

    def _headers(self, to: PushSubscription, message: PushMessage) -> dict[bytes | str, bytes | str]:
        return {
            "Authorization": encryption.vapid_authorization(self.key, origin(to.endpoint), self.subject),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_SECONDS),
            "Topic": message.topic,
            "Urgency": "high" if message.urgent else "normal",
        }

    def _refuse(self, host: str, reason: object) -> PushResult:
        """Logged once for each host and reason: further pushes would be refused likewise."""
        if (host, reason) not in self._logged and len(self._logged) < 1_000:
            self._logged.add((host, reason))
            logger.warning("the push service %s refuses pushes: %s", host, reason)
        return PushResult(PushOutcome.REFUSED)


def origin(endpoint: str) -> str:
    """The origin as browsers write it: without the default port."""
    parts = urlsplit(endpoint)
    return f"https://{parts.hostname}" + (f":{parts.port}" if parts.port not in (None, 443) else "")


def parse_retry_after(text: str, moment: datetime) -> timedelta | None:
    """The duration of a Retry-After header, which holds seconds or a date. None when it is neither."""
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(0), when.replace(tzinfo=when.tzinfo or UTC) - moment)
