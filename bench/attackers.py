"""Attacks by a user with an account, on a server with the default limits, while another user sends ordinary requests.

The stall is the longest request of the other user. The memory is the server's growth after the attacker has left.
"""

import asyncio
import io
import json
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bench.http_client import encode_post
from bench.logins import sign_up, time_other_requests
from bench.servers import ServerProcess, roomcast
from bench.sockets import HANDSHAKE

SECONDS = 5.0
STALL_SECONDS, MEMORY_KIB = 0.25, 64 * 1024
ROWS = 100

CREATE = "mutation($input: CreateRoomInput!) { createRoom(input: $input) { room { id } } }"
SEND = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { id } } }"
UPLOAD = "mutation($input: CreateUploadInput!) { createUpload(input: $input) { errors { code } uploadUrl } }"
PAGE = "query($room: ID!) { messages(roomId: $room, last: 100) { nodes { %s } } }"
SEARCH = '{ searchMessages(query: "a e i o u x y z l m", first: 100) { edges { snippetHtml } } }'
WATCH = "subscription($room: ID!) { roomMessages(roomId: $room) { message { id %s } } }"
BODIES = ("\ufdfa a e i o u x y z l m " * 200)[:4000], ("@person1 [a][b *c* \n>*\n" * 200)[:4000], "\U0001f600" * 4000


@dataclass(frozen=True, slots=True)
class Attacker:
    """A user with an account and a room that holds a page of messages of maximal length."""

    server: ServerProcess
    token: str
    room: str

    async def post(self, request: bytes) -> Any:
        """Send the request on a new connection. Returns the JSON of the response, errors included."""
        async with open_connection(self.server) as (reader, writer):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return json.loads(await reader.readexactly(int(length.split(b":")[1])))

    def request(self, document: str, **variables: Any) -> bytes:
        return encode_post(self.token, document, variables)

    async def repeat(self, *requests: bytes, at_once: int = 4) -> None:
        """Send these requests until cancelled, `at_once` at a time."""

        async def one() -> None:
            while True:
                for request in requests:
                    await self.post(request)

        await asyncio.gather(*(one() for _ in range(at_once)))


Attack = Callable[[Attacker], Awaitable[None]]


@asynccontextmanager
async def open_connection(server: ServerProcess) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def open_websocket(attacker: Attacker) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket connection with the attacker's access token."""
    async with open_connection(attacker.server) as (reader, writer):
        key, port = "A" * 22 + "==", attacker.server.port
        shake = HANDSHAKE.format(path="/graphql", port=port, key=key, protocol="graphql-transport-ws")
        writer.write(shake.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text_frame({"type": "connection_init", "payload": {"authorization": f"Bearer {attacker.token}"}}))
        await reader.readuntil(b"}}")
        yield reader, writer


def text_frame(message: Mapping[str, Any]) -> bytes:
    """A text frame, masked with zeros."""
    data = json.dumps(message).encode()
    size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + data


# ------------------------------------------------------------------ the attacks


async def response_bombs(attacker: Attacker) -> None:
    texts = " ".join(f"a{number}: body" for number in range(15))
    pages = " ".join(f"p{n}: messages(roomId: $room, last: 100) {{ nodes {{ body }} }}" for n in range(12))
    await attacker.repeat(
        attacker.request(PAGE % texts, room=attacker.room),
        attacker.request(f"query($room: ID!) {{ {pages} }}", room=attacker.room),
        attacker.request(PAGE % ("a" * 15_000 + ": seq"), room=attacker.room),
    )


async def searches(attacker: Attacker) -> None:
    await attacker.repeat(attacker.request(SEARCH))


async def long_texts(attacker: Attacker) -> None:
    """New bodies that take long to parse as Markdown, sent and rendered."""

    async def one(number: int) -> None:
        for count in range(10_000):
            body = f"{number} {count} " + BODIES[1][:3_980]
            await attacker.post(attacker.request(SEND, input={"roomId": attacker.room, "body": body}))
            await attacker.post(attacker.request(PAGE % "bodyHtml", room=attacker.room))

    await asyncio.gather(*map(one, range(4)))


async def follow_many_documents(attacker: Attacker) -> None:
    """Messages of maximal length to a room that is followed with many different documents."""
    async with open_websocket(attacker) as (reader, writer):
        for number in range(90):
            fields = " ".join(f"a{number}x{count}: body" for count in range(40))
            request = {"query": WATCH % fields, "variables": {"room": attacker.room}}
            writer.write(text_frame({"type": "subscribe", "id": str(number), "payload": request}))
        sending = asyncio.create_task(
            attacker.repeat(attacker.request(SEND, input={"roomId": attacker.room, "body": BODIES[2]}))
        )
        try:
            while await reader.read(2**16):
                pass
        finally:
            sending.cancel()


async def aliases(attacker: Attacker) -> None:
    one = 'r%d: createRoom(input: {name: "room %d"}) { room { id } }'
    await attacker.repeat(attacker.request("mutation { " + " ".join(one % (n, n) for n in range(20)) + " }"))


async def ping_floods(attacker: Attacker) -> None:
    """Pings from thirty sockets that read nothing."""
    ping = text_frame({"type": "ping", "payload": {"say": "x" * 900}}) * 50

    async def one() -> None:
        async with open_websocket(attacker) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            with suppress(ConnectionError):
                while True:
                    writer.write(ping)
                    await writer.drain()
        await asyncio.Event().wait()

    await asyncio.gather(*(one() for _ in range(30)))


async def unread_answers(attacker: Attacker) -> None:
    """Large responses, requested on many connections that read nothing."""
    request = attacker.request(PAGE % "a: body b: body", room=attacker.room)

    async def one() -> None:
        async with open_connection(attacker.server) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(request)
            await asyncio.Event().wait()

    await asyncio.gather(*(one() for _ in range(200)))


async def upload(attacker: Attacker, data: bytes, part: int, pause: float) -> None:
    """Upload a picture, `part` bytes at a time."""
    values = {"filename": "x.jpg", "contentType": "image/jpeg", "byteSize": len(data)}
    answer = await attacker.post(attacker.request(UPLOAD, input=values))
    url = ((answer.get("data") or {}).get("createUpload") or {}).get("uploadUrl")
    if url is None:
        await asyncio.sleep(0.1)
        return
    path = "/" + url.split("/", 3)[3]
    async with open_connection(attacker.server) as (reader, writer):
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode())
        for start in range(0, len(data), part):
            writer.write(data[start : start + part])
            await writer.drain()
            await asyncio.sleep(pause)
        await reader.read(1024)


async def pictures(attacker: Attacker) -> None:
    """Progressive JPEGs with hundreds of scans, which take seconds to decode."""
    data = many_scans()

    async def one() -> None:
        while True:
            with suppress(ConnectionError):
                await upload(attacker, data, 2**16, 0)

    await asyncio.gather(*(one() for _ in range(4)))


def many_scans() -> bytes:
    from PIL import Image  # noqa: PLC0415 (the extra `media`)

    drawn = io.BytesIO()
    Image.effect_noise((2000, 2000), 60).save(drawn, "JPEG", progressive=True, quality=60)
    whole = drawn.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * 20 + b"\xff\xd9"


async def slow_uploads(attacker: Attacker) -> None:
    await asyncio.gather(*(upload(attacker, bytes(100_000), 10, 0.5) for _ in range(100)), return_exceptions=True)
    await asyncio.Event().wait()


ATTACKS: Mapping[str, Attack] = {
    "response bombs": response_bombs,
    "searches for many words": searches,
    "texts that take long to read": long_texts,
    "maximal messages under 90 documents": follow_many_documents,
    "mutations by aliases": aliases,
    "ping floods": ping_floods,
    "answers that nobody reads": unread_answers,
    "pictures with many scans": pictures,
    "slow uploads": slow_uploads,
}


# ------------------------------------------------------------------ the measure


@dataclass(frozen=True, slots=True)
class AttackResult:
    """`quiet`, `attacked`: the p99 of the other user's requests in seconds. `stall`: the longest of them in seconds.
    `grown_kib`: the growth of the server's memory."""

    quiet: float
    attacked: float
    stall: float
    grown_kib: int

    def text(self) -> str:
        ratio, grown = self.attacked / self.quiet, self.grown_kib / 1024
        stall = f"worst {self.stall * 1e3:.0f} ms, {grown:.1f} MB left behind"
        return f"p99 {self.attacked * 1e3:.1f} ms beside {self.quiet * 1e3:.1f} ms ({ratio:.1f}), {stall}"


async def prepare_attacker(server: ServerProcess) -> Attacker:
    token = await sign_up(server, "mallory")
    attacker = Attacker(server, token, "")
    created = (await attacker.post(attacker.request(CREATE, input={"name": "general"})))["data"]["createRoom"]
    room = created["room"]["id"]
    for number in range(ROWS):
        body = f"{number} " + BODIES[number % len(BODIES)][:3_990]
        await attacker.post(attacker.request(SEND, input={"roomId": room, "body": body}))
    return Attacker(server, token, room)


async def time_during(
    server: ServerProcess, token: str, seconds: float, attack: Awaitable[None] | None = None
) -> list[float]:
    enough = asyncio.Event()
    asking = asyncio.create_task(time_other_requests(server, token, enough))
    attacking = asyncio.ensure_future(attack) if attack is not None else None
    await asyncio.sleep(seconds)
    if attacking is not None:
        attacking.cancel()
        await asyncio.wait([attacking])
        if not attacking.cancelled() and (error := attacking.exception()):
            raise error
    enough.set()
    return await asking


async def measure_attack(attack: Attack, seconds: float) -> AttackResult:
    """Measure one attack on a server of its own, so that memory growth belongs to it."""
    with roomcast(rate_limits="on") as server:
        ann, mallory = await sign_up(server, "ann"), await prepare_attacker(server)
        quiet = await time_during(server, ann, seconds)
        before = server.memory_kib()
        attacked = await time_during(server, ann, seconds, attack(mallory))
        await time_during(server, ann, seconds / 3)  # until memory is freed again
        grown = server.memory_kib() - before
    return AttackResult(p99(quiet), p99(attacked), max(attacked), grown)


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


async def measure(*, quick: bool) -> dict[str, AttackResult]:
    """With `quick`, some of the attacks."""
    results = {}
    for name, attack in list(ATTACKS.items())[:: 5 if quick else 1]:
        results[name] = await measure_attack(attack, 1.0 if quick else SECONDS)
        print(f"  {name}: {results[name].text()}", flush=True)
    return results
