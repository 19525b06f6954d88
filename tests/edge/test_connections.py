"""Below requests: heads without end, no HTTP, failing handshakes, floods. Answered or hung up on, and nobody waits."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from websockets.frames import Frame, Opcode

from roomcast.server.http_connections import HttpConnections
from roomcast.server.http_protocol import MAX_HEADER_BYTES, HttpProtocol
from roomcast.server.read_chunking import ChunkedReads
from roomcast.server.websocket_protocol import WebSocketProtocol
from roomcast.web.pages import DATA_POLICY, SECURITY_HEADERS
from tests.api_clients import WAIT_SECONDS, SocketClient
from tests.conftest import MakeApp
from tests.edge.lines import HANDSHAKE, Line, line
from tests.running_app import RunningApp

Kind = TypeVar("Kind")
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
INIT = b'{"type":"connection_init"}'


@asynccontextmanager
async def shaken(app: RunningApp) -> AsyncIterator[Line]:
    """A WebSocket whose frames are written by hand."""
    async with line(app.url, limit=2**10) as it:
        await it.say(HANDSHAKE + b"\r\n")
        assert b" 101 " in await it.head()
        yield it


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def living(kind: type[Kind]) -> list[Kind]:
    # `isinstance` would ask weak proxies too, which may stand for something that is gone.
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]


def protocol() -> WebSocketProtocol:
    """The one socket's, as the server has it."""
    [found] = [each for each in living(WebSocketProtocol) if not each.disconnected]
    return found


def served() -> list[HttpProtocol]:
    """The connections of requests, as this test's server has them."""
    loop = asyncio.get_running_loop()
    return [each for each in living(HttpProtocol) if each.loop is loop]


def is_protected(answer: bytes) -> bool:
    """Whether it is JSON with a code, under the headers that every response has."""
    wanted = {**SECURITY_HEADERS, "Content-Security-Policy": DATA_POLICY, "Content-Type": "application/json"}
    lines = answer.decode().split("\r\n")
    return all(f"{name}: {value}" in lines for name, value in wanted.items()) and '"code":' in lines[-1]


# ------------------------------------------------------------------ requests


async def test_endless_headers_are_cut_off(app: RunningApp) -> None:
    async with line(app.url) as it:
        with pytest.raises(ConnectionError):
            await it.say(GET, *(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(20_000)))


async def test_one_endless_header_is_cut_off(app: RunningApp) -> None:
    async with line(app.url) as it:
        await it.say(GET + b"Cookie: ", *[b"a" * 4096] * (MAX_HEADER_BYTES // 4096 + 2))
        answer = await it.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert is_protected(answer)


@pytest.mark.parametrize(
    "said", [b"", b"\r\n", GET, GET + b"\r\n" + GET, b"PUT /graphql HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]
)
async def test_a_client_that_does_not_say_what_it_wants_is_not_waited_for(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(HttpProtocol, "header_timeout", 0.05)
    async with line(app.url) as it:
        await it.say(said)
        assert (await it.rest()).count(b"HTTP/1.1") == said.count(b"\r\n\r\n")


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_as_everything_is(app: RunningApp, said: bytes) -> None:
    async with line(app.url) as it:
        await it.say(said)
        answer = await it.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert is_protected(answer)


async def test_requests_one_after_another_are_answered_in_their_order(app: RunningApp) -> None:
    paths = [b"/health/live", b"/nowhere"] * 500
    async with line(app.url) as it:
        asked = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in paths)
        await it.say(asked + GET + b"Connection: close\r\n\r\n")
        answers = (await it.rest()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"404"] * 500 + [b"200"]


async def test_a_client_that_never_takes_its_answer_is_dropped(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpProtocol, "stall_timeout", 0.05)
    files = 20
    async with line(app.url, limit=2**10) as it, asyncio.timeout(WAIT_SECONDS):
        await it.say(b"GET /static/graphiql/vendor/graphiql.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * files)
        while not any(each.transport.is_closing() for each in served()):  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.01)
        assert len(await it.rest()) < files * 1_000_000


# ------------------------------------------------------------------ handshakes

WRONG: dict[str, tuple[bytes, int]] = {
    "a foreign origin": (HANDSHAKE + b"Origin: https://evil.example.org\r\n\r\n", 403),
    "another path": (HANDSHAKE.replace(b"/graphql", b"/elsewhere") + b"\r\n", 403),
    "no key": (HANDSHAKE.replace(b"-Key", b"-Lock") + b"\r\n", 400),
    "another version": (HANDSHAKE.replace(b": 13", b": 12") + b"\r\n", 400),
    "another method": (HANDSHAKE.replace(b"GET", b"POST") + b"\r\n", 405),
    "a long header": (HANDSHAKE + b"Cookie: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "many headers": (HANDSHAKE + b"X: y\r\n" * 200 + b"\r\n", 431),
    "a long path": (HANDSHAKE.replace(b"/graphql", b"/" + b"a" * 9000) + b"\r\n", 414),
    "a body": (HANDSHAKE + b"Content-Length: 5\r\n\r\nhello", 400),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_handshake_that_fails_is_answered_and_ended(app: RunningApp, name: str) -> None:
    said, status = WRONG[name]
    async with line(app.url) as it:
        await it.say(said)
        answer = await it.rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert is_protected(answer)


# ------------------------------------------------------------------ frames


async def test_text_that_is_no_text_closes_with_1007_and_no_traceback(
    app: RunningApp, caplog: pytest.LogCaptureFixture
) -> None:
    for parts in ((frame(Opcode.TEXT, b"\xff"),), (frame(Opcode.TEXT, b"\xe2", fin=False), frame(Opcode.CONT, b"("))):
        async with shaken(app) as it:
            await it.say(*parts)
            assert (await it.rest())[2:4] == (1007).to_bytes(2, "big")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_message_of_endless_empty_parts_takes_no_memory(app: RunningApp) -> None:
    async with shaken(app) as it:
        await it.say(frame(Opcode.TEXT, INIT, fin=False), frame(Opcode.CONT, b"", fin=False) * 20_000)
        await it.say(frame(Opcode.PING, b"heard"))
        assert await it.reader.readexactly(7) == b"\x8a\x05heard"
        assert len(protocol().frames) == 1
        await it.say(frame(Opcode.CONT, b""))
        assert b"connection_ack" in await it.reader.readuntil(b"}}")


async def test_nothing_is_compressed_and_no_bomb_unpacked(app: RunningApp) -> None:
    async with line(app.url) as it:
        await it.say(HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        assert b"permessage-deflate" not in await it.head()
        await it.say(b"\xc1\x81\0\0\0\0\0")  # a frame that says it is compressed
        assert (await it.rest())[2:4] == (1002).to_bytes(2, "big")


async def test_who_pings_and_never_listens_is_not_kept_pongs_for(app: RunningApp) -> None:
    async with shaken(app) as it:
        await it.say(*[frame(Opcode.PING, b"x" * 125) * 1000] * 100)
        assert protocol().transport.get_write_buffer_size() < 500_000


async def test_who_asks_for_much_and_never_listens_is_dropped(app: RunningApp) -> None:
    query = b'{"query":"{ ' + b"a" * 15_000 + b': __typename }"}'
    async with shaken(app) as it:
        await it.say(frame(Opcode.TEXT, INIT))
        asked = [b'{"type":"subscribe","id":"%d","payload":%s}' % (number, query) for number in range(3_000)]
        with pytest.raises(ConnectionError):
            await it.say(*(frame(Opcode.TEXT, each) for each in asked))
    async with SocketClient(app.ws_url) as other:
        await other.init()


async def test_a_client_that_pings_and_never_reads_is_not_kept_pongs_for(app: RunningApp) -> None:
    ping = frame(Opcode.TEXT, b'{"type":"ping","payload":{"say":"' + b"x" * 900 + b'"}}')
    async with shaken(app) as it:
        await it.say(frame(Opcode.TEXT, INIT), *[ping * 100] * 150)
        [socket] = app.roomcast.sockets.connections
        async with asyncio.timeout(WAIT_SECONDS):
            while not socket.transport.outbox.is_blocked:  # noqa: ASYNC110 (no event says it)
                await asyncio.sleep(0.01)
        await it.say(*[ping * 100] * 20)
        assert len(socket.transport.outbox._waiting) == 0
        assert protocol().transport.get_write_buffer_size() < 500_000


async def test_a_ping_with_a_large_payload_is_malformed(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        await wire.send(type="ping", payload={"say": "x" * 900})
        assert (await wire.next_control())["payload"] == {"say": "x" * 900}
        await wire.send(type="ping", payload={"say": "x" * 1100})
        assert await wire.closed() == (4400, "A ping has at most 1024 characters")


async def test_an_address_has_no_more_connections_than_its_share(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")  # uvicorn would take this test for a proxy
    places = HttpConnections(max_per_address=2)
    monkeypatch.setattr(HttpProtocol, "http_connections", places)
    app = await make_app()
    async with line(app.url) as one, line(app.url) as two, line(app.url) as three:
        answer = await three.rest()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b'"code":"RATE_LIMITED"' in answer
        await two.say(HANDSHAKE + b"\r\n")
        assert b" 101 " in await two.head()
        async with line(app.url) as four:  # a socket is counted as such
            for each in (one, four):
                await each.say(GET + b"\r\n")
                assert b" 200 " in await each.head()
    async with asyncio.timeout(WAIT_SECONDS):
        while places._open:  # noqa: ASYNC110 (no event says it)
            await asyncio.sleep(0.01)


class Unread:
    """A connection whose client reads nothing."""

    def __init__(self, address: str, unread: int) -> None:
        self.address, self.unread, self.is_dropped = address, unread, False

    def abort(self) -> None:
        self.is_dropped = True


def test_the_address_that_leaves_most_unread_loses_its_oldest_connections() -> None:
    places = HttpConnections(max_unread_bytes=100)
    greedy, modest = [Unread("10.0.0.1", 30) for _ in range(4)], Unread("10.0.0.2", 40)
    for each in (modest, *greedy):
        places.on_blocked(each)
    assert [each.is_dropped for each in (modest, *greedy)] == [False, True, True, False, False]
    for each in greedy[2:]:
        places.on_unblocked(each)
    places.on_blocked(Unread("10.0.0.3", 60))
    assert modest.is_dropped is False


# ------------------------------------------------------------------ turns


class Tape(asyncio.Protocol):
    """What a protocol is given, and what its transport was told."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.told: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.taken.append(data)

    def __getattr__(self, name: str) -> Any:
        return lambda: self.told.append(name)


class Reel(ChunkedReads, Tape):
    def on_all_fed(self) -> None:
        self.told.append("on_all_fed")


async def test_a_flood_is_taken_in_turns_with_everybody_else() -> None:
    reel = Reel()
    reel.loop, reel.transport = asyncio.get_running_loop(), reel  # type: ignore[assignment]
    reel.is_closing = lambda: False  # type: ignore[attr-defined]
    flood = bytes(range(256)) * 40
    reel.data_received(flood)
    for turn in range(1, 11):
        await asyncio.sleep(0)
        assert len(reel.taken) == turn
    assert b"".join(reel.taken) == flood
    assert (reel.told[0], reel.told[-1]) == ("pause_reading", "on_all_fed")
