"""Two hundred sign-ins at once: the p99 of other users' requests during the sign-ins, compared with a quiet server."""

import asyncio
import json
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from bench.http_client import HttpConnection, encode_post, open_connection
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


async def execute(connection: HttpConnection, request: bytes) -> Any:
    answer = json.loads(await connection.send(request))
    assert "errors" not in answer, answer
    return answer["data"]


async def sign_up(server: ServerProcess, name: str) -> str:
    """Create an account. Returns its access token."""
    async with open_connection(server.port) as connection:
        request = encode_post(None, SIGNUP, {"input": {"username": name, "password": PASSWORD}})
        return str((await execute(connection, request))["signup"]["tokens"]["accessToken"])


async def sign_up_users(server: ServerProcess) -> str:
    """Create USERS accounts. Returns the access token of one."""
    return [await sign_up(server, f"person{number}") for number in range(USERS)][-1]


async def time_other_requests(server: ServerProcess, token: str, until: asyncio.Event) -> list[float]:
    """Send requests one after another until the event is set. Returns the duration of each in seconds."""
    request, took = encode_post(token, OTHER_QUERY), []
    async with open_connection(server.port) as connection:
        while not until.is_set():
            started = time.perf_counter()
            await execute(connection, request)
            took.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE_SECONDS)
    return took


async def sign_in(connection: HttpConnection, number: int) -> None:
    credentials = {"usernameOrEmail": f"person{number % USERS}", "password": PASSWORD}
    answer = await execute(connection, encode_post(None, LOGIN, {"input": credentials}))
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
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(open_connection(server.port)) for _ in range(logins)]
        busy, seconds = await measure_others(server, token, asyncio.gather(*map(sign_in, connections, range(logins))))
        quiet, _ = await measure_others(server, token, asyncio.sleep(seconds))
    return Round(quiet, busy)


async def measure(logins: int, rounds: int) -> list[Round]:
    """Quiet and busy alternate, so that other load on the machine affects both."""
    with roomcast() as server:
        token = await sign_up_users(server)
        await one_round(server, token, USERS)  # to warm up
        return [await one_round(server, token, logins) for _ in range(rounds)]
