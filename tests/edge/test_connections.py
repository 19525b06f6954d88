"""Byte-level limits of the server: header size and time, failed handshakes, slow readers, connections per address."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from websockets.frames import Frame, Opcode

from roomcast.server.accepted_socket import AcceptedSocket
from roomcast.server.http_connections import HttpConnections
from roomcast.server.http_protocol import MAX_HEADER_BYTES, HttpProtocol
from roomcast.server.read_chunking import ChunkedReads
from roomcast.server.websocket_protocol import WebSocketProtocol
from roomcast.serving import App
from roomcast.web.pages import DATA_POLICY, SECURITY_HEADERS
from tests.api_clients import WAIT_SECONDS, SocketClient
from tests.conftest import MakeApp
from tests.edge.raw_connections import HANDSHAKE, RawConnection, raw_connection
from tests.running_app import RunningApp

Kind = TypeVar("Kind")
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
INIT = b'{"type":"connection_init"}'


@asynccontextmanager
async def raw_websocket(app: RunningApp) -> AsyncIterator[RawConnection]:
    """A WebSocket connection on which the test writes raw frames."""
    async with raw_connection(app.url, limit=2**10) as it:
        await it.send(HANDSHAKE + b"\r\n")
        assert b" 101 " in await it.read_head()
        yield it


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def live_instances(kind: type[Kind]) -> list[Kind]:
    # `isinstance` would resolve weak proxies, whose objects may have been deleted.
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]


def websocket_protocol() -> AcceptedSocket | WebSocketProtocol:
    """The server's protocol object of the one open WebSocket."""
    found: list[AcceptedSocket | WebSocketProtocol] = [
        *(each for each in live_instances(AcceptedSocket) if each.handler is not None),
        *(each for each in live_instances(WebSocketProtocol) if not each.disconnected),
    ]
    [protocol] = found
    return protocol


@pytest.fixture(params=[True, False], ids=["taken over", "ASGI"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of both ways to serve a WebSocket."""
    monkeypatch.setattr(App, "takes_sockets_over", request.param)


def http_protocols() -> list[HttpProtocol]:
    """The protocol objects of all HTTP connections of this test's server."""
    loop = asyncio.get_running_loop()
    return [each for each in live_instances(HttpProtocol) if each.loop is loop]


def is_protected(answer: bytes) -> bool:
    """Whether the response is JSON with an error code and has the headers of every response."""
    expected = {**SECURITY_HEADERS, "Content-Security-Policy": DATA_POLICY, "Content-Type": "application/json"}
    head, _, body = answer.decode().partition("\r\n\r\n")
    lines = [line.lower() for line in head.split("\r\n")]
    return all(f"{name}: {value}".lower() in lines for name, value in expected.items()) and '"code":' in body


# ------------------------------------------------------------------ requests


async def test_headers_above_the_size_limit_get_a_431(app: RunningApp) -> None:
    async with raw_connection(app.url) as it:
        with pytest.raises(ConnectionError):
            await it.send(GET, *(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(20_000)))


async def test_one_header_above_the_size_limit_gets_a_431(app: RunningApp) -> None:
    async with raw_connection(app.url) as it:
        await it.send(GET + b"Cookie: ", *[b"a" * 4096] * (MAX_HEADER_BYTES // 4096 + 2))
        answer = await it.read_rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert is_protected(answer)


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", GET, GET + b"\r\n" + GET, b"PUT /graphql HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]
)
async def test_a_client_that_sends_no_complete_request_is_disconnected(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(HttpProtocol, "header_timeout", 0.05)
    monkeypatch.setattr(HttpProtocol, "proxy_idle_timeout", 0.05)  # these tests connect from a trusted address
    async with raw_connection(app.url) as it:
        await it.send(sent)
        assert (await it.read_rest()).count(b"HTTP/1.1") == sent.count(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
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
async def test_bytes_that_are_not_http_get_a_json_error(app: RunningApp, sent: bytes) -> None:
    async with raw_connection(app.url) as it:
        await it.send(sent)
        answer = await it.read_rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert is_protected(answer)


async def test_pipelined_requests_are_answered_in_order(app: RunningApp) -> None:
    paths = [b"/health/live", b"/nowhere"] * 500
    async with raw_connection(app.url) as it:
        requests = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in paths)
        await it.send(requests + GET + b"Connection: close\r\n\r\n")
        answers = (await it.read_rest()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"404"] * 500 + [b"200"]


async def test_a_client_that_never_reads_its_response_is_disconnected(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpProtocol, "stall_timeout", 0.05)
    files = 20
    async with raw_connection(app.url, limit=2**10) as it, asyncio.timeout(WAIT_SECONDS):
        await it.send(b"GET /static/graphiql/vendor/graphiql.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * files)
        while not any(each.transport.is_closing() for each in http_protocols()):  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)
        assert len(await it.read_rest()) < files * 1_000_000


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
async def test_a_failed_handshake_gets_an_error_and_the_connection_closes(app: RunningApp, name: str) -> None:
    sent, status = WRONG[name]
    async with raw_connection(app.url) as it:
        await it.send(sent)
        answer = await it.read_rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert is_protected(answer)


# ------------------------------------------------------------------ frames


async def test_an_idle_socket_is_taken_over_and_has_no_task(app: RunningApp) -> None:
    before = asyncio.all_tasks()
    async with raw_websocket(app) as it:
        await it.send(frame(Opcode.TEXT, INIT))
        assert b"connection_ack" in await it.reader.readuntil(b"}}")
        assert isinstance(websocket_protocol(), AcceptedSocket)
        async with asyncio.timeout(WAIT_SECONDS):
            while asyncio.all_tasks() - before:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)


async def test_an_app_that_does_not_take_sockets_over_gets_asgi_connections(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(App, "takes_sockets_over", False)
    async with raw_websocket(app):
        assert isinstance(websocket_protocol(), WebSocketProtocol)


@pytest.mark.usefixtures("either_way")
async def test_a_text_frame_that_is_not_utf8_closes_with_1007_and_no_traceback(
    app: RunningApp, caplog: pytest.LogCaptureFixture
) -> None:
    for parts in ((frame(Opcode.TEXT, b"\xff"),), (frame(Opcode.TEXT, b"\xe2", fin=False), frame(Opcode.CONT, b"("))):
        async with raw_websocket(app) as it:
            await it.send(*parts)
            assert (await it.read_rest())[2:4] == (1007).to_bytes(2, "big")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("either_way")
async def test_a_message_of_many_empty_fragments_takes_no_memory(app: RunningApp) -> None:
    async with raw_websocket(app) as it:
        await it.send(frame(Opcode.TEXT, INIT, fin=False), frame(Opcode.CONT, b"", fin=False) * 20_000)
        await it.send(frame(Opcode.PING, b"alive"))
        assert await it.reader.readexactly(7) == b"\x8a\x05alive"
        protocol = websocket_protocol()
        held = protocol.unfinished if isinstance(protocol, AcceptedSocket) else b"".join(protocol.frames)
        assert held == INIT
        await it.send(frame(Opcode.CONT, b""))
        assert b"connection_ack" in await it.reader.readuntil(b"}}")


@pytest.mark.usefixtures("either_way")
async def test_compressed_frames_are_not_accepted(app: RunningApp) -> None:
    async with raw_connection(app.url) as it:
        await it.send(HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        assert b"permessage-deflate" not in await it.read_head()
        await it.send(b"\xc1\x81\0\0\0\0\0")  # a frame that says it is compressed
        assert (await it.read_rest())[2:4] == (1002).to_bytes(2, "big")


@pytest.mark.usefixtures("either_way")
async def test_pong_frames_are_not_queued_for_a_client_that_does_not_read(app: RunningApp) -> None:
    async with raw_websocket(app) as it:
        await it.send(*[frame(Opcode.PING, b"x" * 125) * 1000] * 100)
        assert websocket_protocol().transport.get_write_buffer_size() < 500_000


@pytest.mark.usefixtures("either_way")
async def test_a_client_that_reads_none_of_many_results_is_disconnected(app: RunningApp) -> None:
    query = b'{"query":"{ ' + b"a" * 15_000 + b': __typename }"}'
    async with raw_websocket(app) as it:
        await it.send(frame(Opcode.TEXT, INIT))
        requests = [b'{"type":"subscribe","id":"%d","payload":%s}' % (number, query) for number in range(3_000)]
        with pytest.raises(ConnectionError):
            await it.send(*(frame(Opcode.TEXT, each) for each in requests))
    async with SocketClient(app.ws_url) as other:
        await other.init()


@pytest.mark.usefixtures("either_way")
async def test_pong_messages_are_not_queued_for_a_client_that_does_not_read(app: RunningApp) -> None:
    ping = frame(Opcode.TEXT, b'{"type":"ping","payload":{"say":"' + b"x" * 900 + b'"}}')
    async with raw_websocket(app) as it:
        await it.send(frame(Opcode.TEXT, INIT), *[ping * 100] * 150)
        [socket] = app.roomcast.sockets.connections
        async with asyncio.timeout(WAIT_SECONDS):
            while not socket.transport.outbox.is_blocked:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)
        await it.send(*[ping * 100] * 20)
        assert len(socket.transport.outbox._waiting) == 0
        assert websocket_protocol().transport.get_write_buffer_size() < 500_000


async def test_a_ping_with_a_large_payload_is_malformed(app: RunningApp) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        await connection.send(type="ping", payload={"say": "x" * 900})
        assert (await connection.next_control())["payload"] == {"say": "x" * 900}
        await connection.send(type="ping", payload={"say": "x" * 1100})
        assert await connection.closed() == (4400, "A ping has at most 1024 characters")


async def test_an_address_has_a_limit_of_connections(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")  # otherwise uvicorn takes this test for a proxy
    connections = HttpConnections(max_per_address=2)
    monkeypatch.setattr(HttpProtocol, "http_connections", connections)
    app = await make_app()
    async with raw_connection(app.url) as one, raw_connection(app.url) as two, raw_connection(app.url) as three:
        answer = await three.read_rest()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b'"code":"RATE_LIMITED"' in answer
        await two.send(HANDSHAKE + b"\r\n")
        assert b" 101 " in await two.read_head()
        async with raw_connection(app.url) as four:  # WebSockets do not count as HTTP connections
            for each in (one, four):
                await each.send(GET + b"\r\n")
                assert b" 200 " in await each.read_head()
    async with asyncio.timeout(WAIT_SECONDS):
        while connections._open:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


class UnreadConnection:
    """A connection whose client reads nothing."""

    def __init__(self, address: str, unread: int) -> None:
        self.address, self.unread, self.is_dropped = address, unread, False

    def abort(self) -> None:
        self.is_dropped = True


def test_the_address_with_the_most_unread_bytes_loses_its_longest_blocked_connections() -> None:
    connections = HttpConnections(max_unread_bytes=100)
    heavy, light = [UnreadConnection("10.0.0.1", 30) for _ in range(4)], UnreadConnection("10.0.0.2", 40)
    for each in (light, *heavy):
        connections.on_blocked(each)
    assert [each.is_dropped for each in (light, *heavy)] == [False, True, True, False, False]
    for each in heavy[2:]:
        connections.on_unblocked(each)
    connections.on_blocked(UnreadConnection("10.0.0.3", 60))
    assert light.is_dropped is False


# ------------------------------------------------------------------ chunked reads


class Recorder(asyncio.Protocol):
    """Records the data fed to a protocol and the calls to its transport."""

    def __init__(self) -> None:
        self.fed: list[bytes] = []
        self.calls: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.fed.append(data)

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


class RecordingChunkedReads(ChunkedReads, Recorder):
    def on_all_fed(self) -> None:
        self.calls.append("on_all_fed")


async def test_a_large_read_is_fed_in_chunks_over_several_turns_of_the_loop() -> None:
    protocol = RecordingChunkedReads()
    protocol.loop, protocol.transport = asyncio.get_running_loop(), protocol  # type: ignore[assignment]
    protocol.is_closing = lambda: False  # type: ignore[attr-defined]
    data = bytes(range(256)) * 40
    protocol.data_received(data)
    for turn in range(1, 11):
        await asyncio.sleep(0)
        assert len(protocol.fed) == turn
    assert b"".join(protocol.fed) == data
    assert (protocol.calls[0], protocol.calls[-1]) == ("pause_reading", "on_all_fed")
