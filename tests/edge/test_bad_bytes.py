"""Bytes that are no request, over HTTP and over a socket: a coded answer or a close code, and the others are served."""

from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api_clients import AnonymousClient, SocketClient, UserClient
from tests.edge.lines import line
from tests.running_app import RunningApp

NO_JSON = [b"", b"{", b"nope", b'{"query": "{ me { id } }"', b"\xff\xfe", b"[" * 100_000, b'{"query": "\xc3"}']
NO_REQUEST = [
    b"1",
    b"null",
    b"true",
    b'"x"',
    b"[]",
    b'[{"query": "{ __typename }"}]',  # a batch would multiply every limit
    b"{}",
    b'{"query": 5}',
    b'{"query": null}',
    b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "operationName": 5}',
    b'{"query": "{ __typename }", "extensions": "x"}',
]


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("body", [*NO_JSON, *NO_REQUEST], ids=lambda body: repr(body[:40]))
async def test_a_body_that_is_no_request_is_refused_in_json(app: RunningApp, body: bytes) -> None:
    async with AnonymousClient(app) as anonymous:
        answer = await anonymous.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])
    [error] = answer.json()["errors"]
    assert error["extensions"]["requestId"] == answer.headers["x-request-id"]


async def test_a_body_that_is_too_large_is_refused_and_the_client_hears_why(app: RunningApp) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 30_000

    async with AnonymousClient(app) as anonymous:
        headers = {"content-type": "application/json"}
        for content in (b" " * 300_000, pieces()):  # its size declared, and not
            answer = await anonymous.http.post("/graphql", content=content, headers=headers)
            assert (answer.status_code, codes(answer)) == (413, ["BAD_USER_INPUT"])


HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNK = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"


async def test_a_huge_body_is_refused_without_being_read(app: RunningApp) -> None:
    async with line(app.url) as it:
        await it.say(HEAD + b"Content-Length: 100000000\r\n\r\n")
        assert (await it.rest()).startswith(b"HTTP/1.1 413 ")  # to the end: the server hangs up


async def test_a_hundred_megabytes_in_pieces_are_hung_up_on_early(app: RunningApp) -> None:
    sent = 0
    async with line(app.url) as it:
        await it.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for sent in range(0, 100_000_000, len(CHUNK)):  # noqa: B007
                await it.say(CHUNK)
    assert sent < 30_000_000  # the sockets' own buffers included


async def test_a_body_that_comes_drop_by_drop_is_not_waited_for(app: RunningApp) -> None:
    app.roomcast.http.body_seconds = 0.05
    async with line(app.url) as it:
        await it.say(HEAD + b'Content-Length: 100\r\n\r\n{"query":')
        answer = await it.rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"TIMEOUT"' in answer
    async with AnonymousClient(app) as anonymous:
        assert (await anonymous.post({"query": "{ __typename }"})).status_code == 200


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:40]))
async def test_a_frame_that_is_no_json_closes_the_socket_with_4400(app: RunningApp, body: bytes) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        try:
            await wire.ws.send(body.decode())
        except UnicodeDecodeError:
            await wire.ws.send(body)  # what is no text goes as a binary frame
        assert (await wire.closed())[0] == 4400


async def test_a_frame_that_is_too_large_closes_the_socket(app: RunningApp, ann: UserClient) -> None:
    async with SocketClient(app.ws_url) as wire:
        await wire.init()
        with suppress(ConnectionClosed):
            await wire.ws.send("x" * 1_000_000)
        assert (await wire.closed())[0] == 1009
    assert await ann.execute("{ me { id } }")  # the others are served
