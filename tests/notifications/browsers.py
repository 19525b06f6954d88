"""A push service as it stands on the internet, and browsers that it can reach: real TLS, real keys, nothing of ours."""

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
    """One request of the chat server. `topic`, `urgency` and the rest are its headers."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushService:
    """Takes everything, unless `says` has other answers for a path, each used once: status, headers, or None for
    silence. Answers nothing before it is `open`."""

    url: str = ""
    pushed: list[Pushed] = field(default_factory=list)
    says: dict[str, list[tuple[int, dict[str, str]] | None]] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        async with self._came:
            self.pushed.append(Pushed(scope["path"], headers, body))
            self._came.notify_all()
        await self.open.wait()
        answers = self.says.get(scope["path"])
        answer = answers.pop(0) if answers else (201, {})
        if answer is None:
            await asyncio.get_running_loop().create_future()  # until it is cancelled at the end
            return
        status, extra = answer
        found = [(name.encode(), value.encode()) for name, value in {"content-length": "0", **extra}.items()]
        await send({"type": "http.response.start", "status": status, "headers": found})
        await send({"type": "http.response.body"})

    async def until(self, count: int, path: str | None = None) -> list[Pushed]:
        """All that came for that path, once there are so many."""
        async with asyncio.timeout(WAIT_SECONDS), self._came:
            await self._came.wait_for(lambda: len(self.at(path)) >= count)
            return self.at(path)

    def at(self, path: str | None) -> list[Pushed]:
        return [each for each in self.pushed if path in (None, each.path)]


@asynccontextmanager
async def push_service(folder: Path) -> AsyncIterator[PushService]:
    """On https://localhost, under a certificate that is in `folder/service.pem`."""
    service = PushService()
    service.open.set()
    certificate, key = certify(folder)
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
            connection.transport.abort()  # a TLS connection that its peer keeps takes half a minute to close
        for task in server.server_state.tasks:
            task.cancel()
        await server.stop()


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
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
    """One browser of somebody. `server_key` is what it subscribed with: pushes of anybody else are not taken."""

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

    async def hears(self) -> Json:
        """What the next push says."""
        self._read += 1
        pushed = (await self.service.until(self._read, self.path))[self._read - 1]
        self.verify(pushed)
        return dict(orjson.loads(self.open(pushed.body)))

    def verify(self, pushed: Pushed) -> Json:
        """Who it is from, as a push service sees it (RFC 8292)."""
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
        """What was sealed for this browser (RFC 8291)."""
        salt, (_, length) = body[:16], struct.unpack(">IB", body[16:21])
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        info = b"WebPush: info\0" + public(self.key) + sender
        secret = HKDF(hashes.SHA256(), 32, self.auth, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        return AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0").removesuffix(b"\x02")


async def subscribe(person: UserClient, service: PushService, host: str = "localhost") -> Browser:
    """A new browser of this person, which the server knows of."""
    server_key = (await person.execute(KEY))["serverInfo"]["vapidPublicKey"]
    browser = Browser(service, server_key, host)
    assert await person.mutate(REGISTER, **browser.subscription) == {"errors": []}
    return browser


# ------------------------------------------------------------------ time

_PENDING = table(PendingPush)


async def noticed(app: RunningApp) -> list[PendingPush]:
    """Look through the log now. What is news waits for its time."""
    assert app.roomcast.backend.notifier is not None
    await app.roomcast.backend.notifier.gather()
    async with app.roomcast.db.read() as session:
        return list(await session.exec(select(PendingPush)))


async def time_comes(app: RunningApp) -> None:
    """All that waits is due, also what somebody is sending."""
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(_PENDING).values(due_at=now()))


async def delivered(app: RunningApp) -> None:
    """What is due is on its way, and has come to something."""
    notifier = app.roomcast.backend.notifier
    assert notifier is not None
    await notifier.deliver()
    await notifier.idle()


async def said(app: RunningApp) -> None:
    await time_comes(app)
    await delivered(app)


async def told(app: RunningApp) -> None:
    """Both: whoever is to hear of what was said has heard of it."""
    await noticed(app)
    await said(app)
