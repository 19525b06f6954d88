"""Random requests and frames get an error with a code, and the server logs nothing. `make fuzz` runs many more."""

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, Response
from schemathesis.graphql import nodes, scalar
from schemathesis.specs.graphql.schemas import GraphQLSchema
from websockets.exceptions import ConnectionClosed

from tests.api_clients import Json, SocketClient, UserClient, sign_up
from tests.conftest import run_in_own_loop
from tests.edge.raw_connections import HANDSHAKE, raw_connection
from tests.process import Process

CASES = int(os.environ.get("ROOMCAST_TEST_FUZZ_CASES", "300"))
SETTINGS = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
JSON_TYPE = {"content-type": "application/json"}
MEGABYTE = 1024 * 1024
GROWTH = 100
"""Megabytes. The document cache, of a thousand documents, takes less; a leak soon takes more."""

texts = st.text(max_size=50)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["query", "variables", "operationName", "extensions", "documentId", "persistedQuery"])
requests = st.dictionaries(names | texts, values, max_size=5)
grammar = st.lists(
    st.sampled_from([*'{}()[]:!$@="#|&', "...", '"""', " ", "query", "mutation", "subscription", "fragment", "on", "me",
                     "rooms", "first", "1", "-0", "1e9", "id", "\\u{d83d}", "\x00", "\ufeff", "é", "😀"]),
    max_size=40,
).map("".join)  # fmt: skip
"""Texts that begin like GraphQL."""
heads = st.lists(
    st.sampled_from([b"GET ", b"POST ", b"/graphql", b"?query={__typename}", b" HTTP/1.1", b"\r\n", b"\r\n\r\n",
                     b"Host: localhost", b"Content-Length: 9", b"Transfer-Encoding: chunked", b"Upgrade: websocket",
                     b"Connection: close", b"Connection: Upgrade", b"Expect: 100-continue", b"0", b"{}",
                     b"\x00", b"\xff", b":"])
    | st.binary(max_size=20),
    max_size=20,
).map(b"".join)  # fmt: skip
frames = st.builds(
    lambda head, data: bytes((head, 0x80 | len(data), 0, 0, 0, 0)) + data,
    st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8A]) | st.integers(0, 255),
    st.binary(max_size=125),
)
"""Frames with a mask of zeros, which is valid."""


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One server for all tests here. At the end, it has logged no error and is no larger than with full caches."""
    folder = tmp_path_factory.mktemp("fuzzed")
    database = shutil.copy(sqlite_template, folder / "roomcast.db")
    process = Process(f"sqlite:///{database}", folder, log_level="error")
    run_in_own_loop(process.start())
    started = process.memory_bytes
    yield process
    grown = (process.memory_bytes - started) / MEGABYTE
    run_in_own_loop(process.stop())
    assert process.log_text() == ""
    assert grown < GROWTH, f"grew by {grown:.0f} MB"


@pytest_asyncio.fixture
async def fuzzer(server: Process) -> AsyncIterator[UserClient]:
    async with await sign_up(server.app, f"ann_{uuid.uuid4().hex[:8]}") as person:
        yield person


@pytest.fixture
def token(server: Process) -> str:
    """The access token of a user who is created before the event loop of the test runs."""

    async def signed_in() -> str:
        async with await sign_up(server.app, f"bob_{uuid.uuid4().hex[:8]}") as person:
            return str(person.token)

    return run_in_own_loop(signed_in())


def check_response(status: int, answer: Json) -> None:
    assert status < 500
    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] != "INTERNAL", answer
        assert "Traceback" not in error["message"]


async def post_and_check(person: UserClient, content: bytes) -> None:
    headers = {**JSON_TYPE, "authorization": f"Bearer {person.token}"}
    answer = await person.http.post("/graphql", content=content, headers=headers)
    with noting_input(content):
        check_response(answer.status_code, answer.json())


@contextmanager
def noting_input(sent: object) -> Iterator[None]:
    """Add the input to the exception: the next run uses other inputs."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"input: {sent!r}")
        raise


async def stays_open(connection: SocketClient, frame: str | bytes) -> bool:
    """Send the frame. Returns whether the connection is still open and answers a ping."""
    with suppress(ConnectionClosed):
        await connection.ws.send(frame)
        await connection.ws.send('{"type":"ping","payload":{"after":"that"}}')
        return await answers(connection, {"type": "pong", "payload": {"after": "that"}})
    return False


async def answers(connection: SocketClient, expected: Json) -> bool:
    while True:
        control = asyncio.create_task(connection.next_control())
        await asyncio.wait({control, connection.reading}, return_when=asyncio.FIRST_COMPLETED)
        if not control.done():
            control.cancel()
            return False
        if control.result() == expected:
            return True


async def drawn(strategy: st.SearchStrategy[Any], count: int = CASES) -> list[Any]:
    """Generate examples in advance, to use them in the event loop of the test."""
    found: list[Any] = []

    @settings(SETTINGS, max_examples=count)
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


# ------------------------------------------------------------------ bytes


async def test_any_bytes_instead_of_a_request(server: Process, fuzzer: UserClient) -> None:
    for sent in await drawn(heads | st.binary(max_size=200)):
        with noting_input(sent):
            async with raw_connection(server.url) as it:
                with suppress(ConnectionError):
                    await it.send(sent)
                assert b"HTTP/1.1 5" not in await it.finish()
    await fuzzer.execute("{ me { id } }")


async def test_any_frames_on_a_socket(server: Process, fuzzer: UserClient) -> None:
    for sent in await drawn(st.lists(frames | st.binary(max_size=50), max_size=5)):
        with noting_input(sent):
            async with raw_connection(server.url) as it:
                with suppress(ConnectionError):
                    await it.send(HANDSHAKE + b"\r\n")
                    await it.read_head()
                    await it.send(*sent)
                await it.finish()
    await fuzzer.execute("{ me { id } }")


async def test_any_body(fuzzer: UserClient) -> None:
    for content in await drawn(st.binary(max_size=200)):
        await post_and_check(fuzzer, content)


# ------------------------------------------------------------------ JSON and GraphQL


async def test_any_json(fuzzer: UserClient) -> None:
    for content in await drawn(requests):
        await post_and_check(fuzzer, json.dumps(content).encode())


async def test_any_document(fuzzer: UserClient) -> None:
    for document in await drawn(grammar | texts):
        await post_and_check(fuzzer, json.dumps({"query": document}).encode())


async def test_any_variables(fuzzer: UserClient) -> None:
    document = (
        "query ($id: ID!, $n: Int, $c: String) { user(id: $id) { id } rooms(first: $n, after: $c) { totalCount } }"
    )
    for id_, size, cursor in await drawn(st.tuples(values, values, values)):
        body = {"query": document, "variables": {"id": id_, "n": size, "c": cursor}}
        await post_and_check(fuzzer, json.dumps(body).encode())


async def test_any_message_over_a_socket(server: Process, fuzzer: UserClient) -> None:
    kinds = st.sampled_from(["connection_init", "ping", "pong", "subscribe", "complete", "next", "x"])
    messages = st.fixed_dictionaries({"type": kinds}, optional={"id": values, "payload": requests | values})
    connection: SocketClient | None = None
    for frame in await drawn(st.binary(max_size=100) | texts | messages.map(json.dumps) | values.map(json.dumps)):
        if connection is None:
            connection = await SocketClient(server.ws_url).__aenter__()
            await connection.init({"authorization": fuzzer.token})
        with noting_input(frame):
            is_open = await stays_open(connection, frame)
            if not is_open:
                code, _ = await connection.closed()
                assert code in (4400, 4409, 4429)
        connection = connection if is_open else None
    if connection is not None:
        await connection.__aexit__(None, None, None)


# ------------------------------------------------------------------ the schema


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    for name in ("UUID", "Cursor", "DateTime", "URL"):
        scalar(name, texts.map(nodes.String))
    scalar("Seq", st.integers().map(nodes.Int))
    scalar("Long", st.integers().map(nodes.Int))
    return schemathesis.graphql.from_path("schema.graphql")


def is_coded(_context: CheckContext, answer: Response, _case: Case[Any]) -> None:
    """A check for schemathesis, whose own checks do not accept coded errors for invalid input."""
    check_response(answer.status_code, answer.json())


@pytest.mark.parametrize("kind", ["Query", "Mutation"])
def test_any_operation_of_the_schema(server: Process, schema: GraphQLSchema, token: str, kind: str) -> None:
    headers = {"authorization": f"Bearer {token}"}

    @SETTINGS
    @given(schema.include(name_regex=f"^{kind}").as_strategy())
    def fuzz(case: Case[Any]) -> None:
        case.call_and_validate(f"{server.url}/graphql", headers=headers, checks=[is_coded])

    fuzz()


# ------------------------------------------------------------------ memory


async def test_repeated_requests_do_not_grow_the_memory(server: Process, fuzzer: UserClient) -> None:
    bodies = [json.dumps(content).encode() for content in await drawn(requests)]
    grown = []
    for _ in range(4):
        before = server.memory_bytes
        for content in bodies:
            await post_and_check(fuzzer, content)
        grown.append((server.memory_bytes - before) / MEGABYTE)
    assert min(grown[1:]) < 1
