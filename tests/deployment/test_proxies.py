"""The shipped configurations of nginx and HAProxy: their programs accept them, and requests pass as they should."""

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests import servers
from tests.api_clients import PASSWORD, ROOM_EVENTS, UserClient
from tests.children import free_port
from tests.deployment import haproxy, nginx, programs
from tests.faults.chatting import receive, subscribe
from tests.running_app import RunningApp
from tests.uploads.documents import ticket

PROXIES = ["nginx", "haproxy"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for chat.example.org, signed by itself, in the forms of nginx and HAProxy."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "privkey.pem", folder / "fullchain.pem"
    subject = ("-subj", "/CN=chat.example.org", "-addext", "subjectAltName=DNS:chat.example.org,IP:127.0.0.1")
    programs.run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, *subject, "-keyout", key, "-out", cert
    )
    (folder / "chat.pem").write_text(cert.read_text() + key.read_text())
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate / "fullchain.pem")


def start_proxy(name: str, backends: list[str], certificate: Path) -> servers.Server:
    return nginx.start(backends, tls=certificate) if name == "nginx" else haproxy.start(backends, tls=certificate)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, certificate: Path) -> Iterator[servers.Server]:
    """A proxy with TLS in front of the server `app`."""
    app: RunningApp = request.getfixturevalue("app")
    with closing(start_proxy(request.param, [app.url], certificate)) as server:
        yield server


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_requests_streams_and_files_pass(proxy: servers.Server, ann: UserClient, tls: ssl.SSLContext) -> None:
    await ann.http.aclose()
    ann.http = httpx.AsyncClient(base_url=proxy.url, verify=tls, timeout=10)
    room_id = await ann.create_room("den")
    await check_address(ann)
    async with listening(ann, room_id, proxy, tls) as receive:
        for number in range(3):
            await ann.send_messages(room_id, f"word {number}")
            assert f"word {number}" in await receive()
    await check_stream_over_http(ann, room_id)
    await check_upload(ann, proxy)
    assert (await ann.http.get("/metrics")).status_code == 404
    for _ in range(40):
        await ann.send_messages(room_id, "many words " * 20)
    page = await ann.post({"query": HISTORY, "variables": {"id": room_id}})
    assert page.headers["content-encoding"] == "gzip"
    assert "many words" in page.text


HISTORY = "query H($id: ID!) { messages(roomId: $id, last: 50) { nodes { body } } }"
LOGIN = "mutation L($input: LoginInput!) { login(input: $input) { errors { code } session { ipAddress } } }"


async def check_address(ann: UserClient) -> None:
    """The server sees the client's address, and not the one that the client claims."""
    body = {"query": LOGIN, "variables": {"input": {"usernameOrEmail": "ann", "password": PASSWORD}}}
    answer = (await ann.post(body, **{"x-forwarded-for": "203.0.113.9"})).json()
    assert answer["data"]["login"]["session"]["ipAddress"] == "127.0.0.1"


@asynccontextmanager
async def listening(
    person: UserClient, room_id: str, proxy: servers.Server, tls: ssl.SSLContext
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """A subscription over a socket through the proxy. Yields a function that returns the next event as text."""
    url, protocols = proxy.url.replace("https:", "wss:") + "/graphql", [Subprotocol("graphql-transport-ws")]
    async with connect(url, subprotocols=protocols, ssl=tls, ping_interval=None) as ws:
        await subscribe(ws, {"authorization": person.token}, ROOM_EVENTS, {"roomId": room_id})
        assert "StreamReady" in json.dumps(await receive(ws))

        async def next_event() -> str:
            return json.dumps(await receive(ws))

        yield next_event


async def check_stream_over_http(person: UserClient, room_id: str) -> None:
    """Each event arrives at once: no proxy waits until a buffer is full, or compresses."""
    request = {"query": ROOM_EVENTS, "variables": {"roomId": room_id}}
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {person.token}"}
    async with person.http.stream("POST", "/graphql", json=request, headers=headers) as response:
        lines = (line async for line in response.aiter_lines() if line.startswith("data: {"))
        assert "StreamReady" in await anext(lines)
        await person.send_messages(room_id, "over HTTP")
        assert "over HTTP" in await anext(lines)


async def check_upload(person: UserClient, proxy: servers.Server) -> None:
    """A file of 5 MB. Its URL has the address of the proxy and https."""
    content = os.urandom(5_000_000)
    upload = await ticket(person, len(content))
    assert upload["uploadUrl"].startswith(f"{proxy.url}/uploads/")
    headers = {header["name"]: header["value"] for header in upload["headers"]}
    answer = await person.http.put(upload["uploadUrl"], content=content, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_stopped_server_costs_no_request(
    name: str, ann: UserClient, app: RunningApp, certificate: Path, tls: ssl.SSLContext
) -> None:
    """Two of three servers refuse connections. nginx notices it with each first request, HAProxy by asking."""
    room_id = await ann.create_room("den")
    stopped = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    with closing(start_proxy(name, [*stopped, app.url], certificate)) as proxy:
        await ann.http.aclose()
        ann.http = httpx.AsyncClient(base_url=proxy.url, verify=tls, timeout=10)
        await ann.send_messages(room_id, *(f"word {number}" for number in range(20)))


@pytest.mark.parametrize("name", PROXIES)
async def test_a_mutation_that_was_sent_is_not_repeated(name: str, certificate: Path, tls: ssl.SSLContext) -> None:
    """The server reads the request and closes the connection. It may have done what was asked."""
    received: list[bytes] = []

    async def read_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health/ready"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            received.append(head)
        writer.close()

    async with AsyncExitStack() as stack:
        backends = [
            await stack.enter_async_context(await asyncio.start_server(read_and_close, "127.0.0.1", 0))
            for _ in range(3)
        ]
        urls = [f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}" for backend in backends]
        proxy = stack.enter_context(closing(await asyncio.to_thread(start_proxy, name, urls, certificate)))
        async with httpx.AsyncClient(base_url=proxy.url, verify=tls) as http:
            answer = await http.post("/graphql", json={"query": "mutation { logout { errors { code } } }"})
    assert answer.status_code == 502
    assert len(received) == 1


@pytest.mark.parametrize("name", PROXIES)
def test_the_configuration_has_no_warnings_and_sends_browsers_to_https(name: str, certificate: Path) -> None:
    with closing(start_proxy(name, ["http://127.0.0.1:1"], certificate)) as proxy:
        assert proxy._launch is not None
        answer = httpx.get(f"http://127.0.0.1:{proxy._launch.port}/path?with=query")
        assert not re.search(r"\[warn\]|\[WARNING\].* config ", proxy._launch.scratch.log())
    assert answer.status_code == 308
    assert answer.headers["location"].startswith("https://127.0.0.1")
    assert answer.headers["location"].endswith("/path?with=query")
