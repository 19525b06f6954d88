"""Two hundred sign-ins at once: the p99 of other users' requests during the sign-ins, compared with a quiet server."""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from bench.servers import ServerProcess, roomcast
from bench.table import Comparison, Row

TARGET = 1.5
USERS = 20
PAUSE_SECONDS = 0.005
PASSWORD = "a good long pass phrase"

SIGNUP = "mutation($input: SignupInput!) { signup(input: $input) { errors { code } tokens { accessToken } } }"
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { errors { code } tokens { accessToken } } }"
OTHER_QUERY = "{ me { user { username displayName } } rooms { nodes { name } } }"


async def rows(*, quick: bool) -> list[Row]:
    logins, rounds = (20, 1) if quick else (200, 5)
    median_round = sorted(await measure(logins, rounds), key=lambda round_: round_.ratio)[rounds // 2]
    label = f"{logins} sign-ins at once: p99 of everybody else's requests"
    return [
        Comparison(
            label, f"{median_round.busy * 1e3:.1f} ms", f"{median_round.quiet * 1e3:.1f} ms", median_round.ratio, TARGET
        )
    ]


@dataclass(frozen=True, slots=True)
class Round:
    """The p99 of other requests in seconds: on a quiet server, and during the sign-ins."""

    quiet: float
    busy: float

    @property
    def ratio(self) -> float:
        return self.busy / self.quiet


class RawHttpConnection:
    """A minimal HTTP/1.1 connection: two hundred full HTTP clients would cost more than what is measured."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> "RawHttpConnection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        return self

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def post(self, request: bytes) -> Any:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        answer = json.loads(await self._reader.readexactly(int(length.split(b":")[1])))
        assert "errors" not in answer, answer
        return answer["data"]


def encode_post(document: str, token: str | None = None, **variables: Any) -> bytes:
    body = json.dumps({"query": document, "variables": variables}).encode()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{authorization}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def sign_up_users(server: ServerProcess) -> str:
    """Create USERS accounts. Returns the access token of the last one."""
    connection, token = await RawHttpConnection(server).open(), ""
    for number in range(USERS):
        created = await connection.post(
            encode_post(SIGNUP, input={"username": f"person{number}", "password": PASSWORD})
        )
        token = created["signup"]["tokens"]["accessToken"]
    await connection.close()
    return token


async def time_other_requests(server: ServerProcess, token: str, until: asyncio.Event) -> list[float]:
    """Send requests one after another until the event is set. Returns the duration of each in seconds."""
    connection, request, took = await RawHttpConnection(server).open(), encode_post(OTHER_QUERY, token), []
    while not until.is_set():
        started = time.perf_counter()
        await connection.post(request)
        took.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_SECONDS)
    await connection.close()
    return took


async def sign_in(connection: RawHttpConnection, number: int) -> None:
    answer = await connection.post(
        encode_post(LOGIN, input={"usernameOrEmail": f"person{number % USERS}", "password": PASSWORD})
    )
    assert answer["login"]["errors"] == []


async def measure_others(server: ServerProcess, token: str, load: Any) -> tuple[float, float]:
    """The p99 of other requests while `load` runs, and how long it ran, in seconds."""
    enough, started = asyncio.Event(), time.perf_counter()
    other_requests = asyncio.create_task(time_other_requests(server, token, enough))
    await load
    seconds = time.perf_counter() - started
    enough.set()
    return statistics.quantiles(await other_requests, n=100)[98], seconds


async def one_round(server: ServerProcess, token: str, logins: int) -> Round:
    connections = await asyncio.gather(*(RawHttpConnection(server).open() for _ in range(logins)))
    busy, seconds = await measure_others(server, token, asyncio.gather(*map(sign_in, connections, range(logins))))
    quiet, _ = await measure_others(server, token, asyncio.sleep(seconds))
    await asyncio.gather(*(connection.close() for connection in connections))
    return Round(quiet, busy)


async def measure(logins: int, rounds: int) -> list[Round]:
    """Quiet and busy alternate, so that other load on the machine affects both."""
    with roomcast() as server:
        token = await sign_up_users(server)
        await one_round(server, token, USERS)  # to warm up
        return [await one_round(server, token, logins) for _ in range(rounds)]
