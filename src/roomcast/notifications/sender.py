"""The way to push services: one sealed request, to a public address, within seconds; what came of it in one word."""

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

SECONDS = 10.0
"""One request, from looking for the address to the answer's head."""

TTL_SECONDS = 24 * 3600
"""How long a push service keeps it for a browser that is off."""

CONNECTIONS = 100

READ_BYTES = 4_096
"""Of an answer that says how long it is. Nobody looks at them."""

log = logging.getLogger("roomcast.notifications")


class PublicInternet(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the guard has looked at, and to no others."""

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
    """`raw_key`: 32 bytes, the server's VAPID key. Follows no redirects."""

    raw_key: bytes
    subject: str | None
    guard: AddressGuard
    key: ec.EllipticCurvePrivateKey = field(init=False)
    pool: httpcore.AsyncConnectionPool = field(init=False)
    _told: set[tuple[str, object]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.key = encryption.private_key(self.raw_key)
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=20,
            keepalive_expiry=60,
            network_backend=PublicInternet(self.guard),
        )

    async def close(self) -> None:
        await self.pool.aclose()
        self.guard.close()

    @property
    def public_key(self) -> str:
        """What browsers subscribe with, in base64url."""
        return base64url_encode(encryption.public_point(self.key))

    async def check(self, endpoint: str, p256dh: str) -> None:
        """That a push can be sealed for this key, and sent there now. Raises ValidationFailed."""
        host = check_endpoint(endpoint)
        encryption.check_public_point(check_key(p256dh, 65, "p256dh"))
        try:
            await self.guard.resolve(host, urlsplit(endpoint).port or 443)
        except (NotPublicAddress, UnresolvableHost, ValueError):
            raise ValidationFailed(
                "an endpoint is an address on the public internet", path=("input", "endpoint")
            ) from None

    async def push(self, to: PushSubscription, letter: PushMessage) -> PushResult:
        """Never raises: what cannot be reached may be reachable later."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._answer(to, letter)
        except NotPublicAddress:
            return self._refused(to.host, "no public address")
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
            return PushResult(PushOutcome.RETRY_LATER)
        except Exception:  # one browser's trouble must not become everybody's
            log.exception("a push to %s failed", to.host)
            return PushResult(PushOutcome.REFUSED)

    async def _answer(self, to: PushSubscription, letter: PushMessage) -> PushResult:
        headers, body = self._headers(to, letter), self._body(to, letter)
        async with self.pool.stream("POST", to.endpoint, headers=headers, content=body) as got:
            said = {name.lower(): value for name, value in got.headers}
            if got.status == 204 or int(said.get(b"content-length", str(READ_BYTES + 1))) <= READ_BYTES:
                await got.aread()  # then the connection is good for the next one
        return self._read(
            to.host, got.status, parse_retry_after(said.get(b"retry-after", b"").decode("latin-1"), now())
        )

    def _body(self, to: PushSubscription, letter: PushMessage) -> bytes:
        p256dh, auth = check_key(to.p256dh, 65, "p256dh"), check_key(to.auth, 16, "auth")
        fresh = ec.generate_private_key(ec.SECP256R1())
        return encryption.encrypt(letter.payload, p256dh, auth, fresh, secrets.token_bytes(16))

    def _headers(self, to: PushSubscription, letter: PushMessage) -> dict[bytes | str, bytes | str]:
        return {
            "Authorization": encryption.vapid_authorization(self.key, origin(to.endpoint), self.subject),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_SECONDS),
            "Topic": letter.topic,
            "Urgency": "high" if letter.urgent else "normal",
        }

    def _read(self, host: str, status: int, after: timedelta | None) -> PushResult:
        if 200 <= status < 300:
            return PushResult(PushOutcome.ACCEPTED)
        if status in (404, 410):
            return PushResult(PushOutcome.GONE)
        if status in (408, 429) or status >= 500:
            return PushResult(PushOutcome.RETRY_LATER, after)
        return self._refused(host, status)

    def _refused(self, host: str, why: object) -> PushResult:
        """Said once of each host: it would be the same for each message."""
        if (host, why) not in self._told and len(self._told) < 1_000:
            self._told.add((host, why))
            log.warning("%s does not take pushes: %s", host, why)
        return PushResult(PushOutcome.REFUSED)


def origin(endpoint: str) -> str:
    """As browsers write it: without the usual port."""
    parts = urlsplit(endpoint)
    return f"https://{parts.hostname}" + (f":{parts.port}" if parts.port not in (None, 443) else "")


def parse_retry_after(text: str, moment: datetime) -> timedelta | None:
    """What Retry-After says, in either of its forms."""
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(0), when.replace(tzinfo=when.tzinfo or UTC) - moment)
