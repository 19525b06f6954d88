"""Invalid request bodies and frames get an error with a code, or a close code, and affect no other client."""

from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api_clients import AnonymousClient, SocketClient, UserClient
from tests.edge.raw_connections import raw_connection
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
async def test_a_body_that_is_not_a_request_gets_a_json_error(app: RunningApp, body: bytes) -> None:
    async with AnonymousClient(app) as anonymous:
        answer = await anonymous.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])
    [error] = answer.json()["errors"]
    assert error["extensions"]["requestId"] == answer.headers["x-request-id"]


async def test_a_body_that_is_too_large_gets_a_413_that_the_client_can_read(app: RunningApp) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 30_000

    async with AnonymousClient(app) as anonymous:
        headers = {"content-type": "application/json"}
        for content in (b" " * 300_000, pieces()):  # with and without a Content-Length
            answer = await anonymous.http.post("/graphql", content=content, headers=headers)
            assert (answer.status_code, codes(answer)) == (413, ["BAD_USER_INPUT"])


HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNK = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"


async def test_a_huge_body_is_rejected_without_being_read(app: RunningApp) -> None:
    async with raw_connection(app.url) as it:
        await it.send(HEAD + b"Content-Length: 100000000\r\n\r\n")
        assert (await it.read_rest()).startswith(b"HTTP/1.1 413 ")  # EOF: the server has closed the connection


async def test_a_chunked_body_of_a_hundred_megabytes_is_cut_off_early(app: RunningApp) -> None:
    sent = 0
    async with raw_connection(app.url) as it:
        await it.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for sent in range(0, 100_000_000, len(CHUNK)):  # noqa: B007
                await it.send(CHUNK)
    assert sent < 30_000_000  # the sockets' own buffers included


async def test_a_body_that_arrives_too_slowly_times_out(app: RunningApp) -> None:
    app.roomcast.http.body_timeout = 0.05
    async with raw_connection(app.url) as it:
        await it.send(HEAD + b'Content-Length: 100\r\n\r\n{"query":')
        answer = await it.read_rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"TIMEOUT"' in answer
    async with AnonymousClient(app) as anonymous:
        assert (await anonymous.post({"query": "{ __typename }"})).status_code == 200


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:40]))
async def test_a_frame_that_is_not_json_closes_the_connection_with_4400(app: RunningApp, body: bytes) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        try:
            await connection.ws.send(body.decode())
        except UnicodeDecodeError:
            await connection.ws.send(body)  # sent as a binary frame if it is no text
        assert (await connection.closed())[0] == 4400


async def test_a_frame_that_is_too_large_closes_the_connection(app: RunningApp, ann: UserClient) -> None:
    async with SocketClient(app.ws_url) as connection:
        await connection.init()
        with suppress(ConnectionClosed):
            await connection.ws.send("x" * 1_000_000)
        assert (await connection.closed())[0] == 1009
    assert await ann.execute("{ me { id } }")  # other clients are served
