"""A push service and browsers for tests: a TLS server of its own and an independent implementation of decryption and
VAPID verification, without roomcast's code."""

import asyncio
import base64
import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import orjson
import sqlalchemy as sa
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlmodel import select

from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.notifications.models import PendingPush
from tests.api_clients import WAIT_SECONDS, Json, UserClient
from tests.running_app import RunningApp, Server

REGISTER = (
    "mutation R($input: RegisterPushSubscriptionInput!) "
    "{ registerPushSubscription(input: $input) { errors { code path } } }"
)
UNREGISTER = (
    "mutation U($input: UnregisterPushSubscriptionInput!) "
    "{ unregisterPushSubscription(input: $input) { errors { code path } } }"
)
KEY = "{ serverInfo { vapidPublicKey } }"

CURVE = ec.SECP256R1()
HOSTS = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


# ------------------------------------------------------------------ the push service


@dataclass
class Pushed:
    """One request that the push service received."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushService:
    """Accepts every push, unless `answers` has other answers for its path. Each is used once: status and headers, or
    None for no answer at all. Nothing is answered while `open` is not set."""

    url: str = ""
    pushed: list[Pushed] = field(default_factory=list)
    answers: dict[str, list[tuple[int, dict[str, str]] | None]] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        async with self._arrived:
            self.pushed.append(Pushed(scope["path"], headers, body))
            self._arrived.notify_all()
        await self.open.wait()
        answers = self.answers.get(scope["path"])
        answer = answers.pop(0) if answers else (201, {})
        if answer is None:
            await asyncio.get_running_loop().create_future()  # Until the test ends and cancels it.
            return
        status, extra = answer
        found = [(name.encode(), value.encode()) for name, value in {"content-length": "0", **extra}.items()]
        await send({"type": "http.response.start", "status": status, "headers": found})
        await send({"type": "http.response.body"})

    async def wait_for(self, count: int, path: str | None = None) -> list[Pushed]:
        """Wait until the path has received this many pushes. Returns them."""
        async with asyncio.timeout(WAIT_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.at(path)) >= count)
            return self.at(path)

    def at(self, path: str | None) -> list[Pushed]:
        return [each for each in self.pushed if path in (None, each.path)]


@asynccontextmanager
async def push_service(folder: Path) -> AsyncIterator[PushService]:
    """A push service at https://localhost with the certificate `folder/service.pem`."""
    service = PushService()
    service.open.set()
    certificate, key = write_certificate(folder)
    config = uvicorn.Config(
        service,
        "127.0.0.1",
        0,
        log_config=None,
        lifespan="off",
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    await server.start()
    service.url = f"https://localhost:{server.port}"
    try:
        yield service
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # Closing a TLS connection that its peer keeps open takes half a minute.
        for task in server.server_state.tasks:
            task.cancel()
        await server.stop()


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost and its key. Returns their paths."""
    key = ec.generate_private_key(CURVE)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(HOSTS), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "service.pem", folder / "service.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


# ------------------------------------------------------------------ browsers


class Browser:
    """One browser of a user. `server_key`: the key it subscribed with. A push signed with another key fails the
    test."""

    def __init__(self, service: PushService, server_key: str, host: str = "localhost") -> None:
        self.service, self.server_key = service, server_key
        self.origin = service.url.replace("localhost", host)
        self.key, self.auth = ec.generate_private_key(CURVE), secrets.token_bytes(16)
        self.path = f"/push/{secrets.token_urlsafe(16)}"
        self._read = 0

    @property
    def subscription(self) -> Json:
        keys = {"p256dh": encoded(public(self.key)), "auth": encoded(self.auth)}
        return {"endpoint": self.origin + self.path, **keys}

    @property
    def pushed(self) -> list[Pushed]:
        return self.service.at(self.path)

    async def next_payload(self) -> Json:
        """Wait for the next push, verify and decrypt it. Returns its payload."""
        self._read += 1
        pushed = (await self.service.wait_for(self._read, self.path))[self._read - 1]
        self.verify(pushed)
        return dict(orjson.loads(self.open(pushed.body)))

    def verify(self, pushed: Pushed) -> Json:
        """Check the headers as a push service does (RFC 8292). Returns the claims of the token."""
        scheme, _, rest = pushed.headers["authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert (scheme, parts["k"]) == ("vapid", self.server_key)
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(self.server_key))
        claims: Json = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.origin)
        assert claims["exp"] - datetime.now(UTC).timestamp() <= 24 * 3600
        assert (pushed.headers["content-encoding"], int(pushed.headers["ttl"]) > 0) == ("aes128gcm", True)
        assert len(pushed.body) <= 4096
        return claims

    def open(self, body: bytes) -> bytes:
        """Decrypt the body (RFC 8291)."""
        salt, (_, length) = body[:16], struct.unpack(">IB", body[16:21])
        sender, ciphertext = body[21 : 21 + length], body[21 + length :]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        info = b"WebPush: info\0" + public(self.key) + sender
        secret = HKDF(hashes.SHA256(), 32, self.auth, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        return AESGCM(key).decrypt(nonce, ciphertext, None).rstrip(b"\0").removesuffix(b"\x02")


async def subscribe(client: UserClient, service: PushService, host: str = "localhost") -> Browser:
    """Register a new browser of this user."""
    server_key = (await client.execute(KEY))["serverInfo"]["vapidPublicKey"]
    browser = Browser(service, server_key, host)
    assert await client.mutate(REGISTER, **browser.subscription) == {"errors": []}
    return browser


# ------------------------------------------------------------------ time

_PENDING = table(PendingPush)


async def collect_pending(app: RunningApp) -> list[PendingPush]:
    """Scan the logs now. Returns the pending pushes."""
    assert app.roomcast.backend.notifier is not None
    await app.roomcast.backend.notifier.collect()
    async with app.roomcast.db.read() as session:
        return list(await session.exec(select(PendingPush)))


async def make_all_due(app: RunningApp) -> None:
    """Make all pending pushes due, claimed ones included."""
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(_PENDING).values(due_at=now()))


async def deliver_due(app: RunningApp) -> None:
    """Send what is due and wait for the results."""
    notifier = app.roomcast.backend.notifier
    assert notifier is not None
    await notifier.deliver()
    await notifier.idle()


async def deliver_pending(app: RunningApp) -> None:
    """Make all pending pushes due and deliver them."""
    await make_all_due(app)
    await deliver_due(app)


async def push_everything(app: RunningApp) -> None:
    """Scan the logs and deliver everything."""
    await collect_pending(app)
    await deliver_pending(app)
