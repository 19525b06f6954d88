"""Hostile requests without an account: the server's CPU per request, and the effect on other users.

CPU is user and system time of the server. The p99 is that of ordinary requests of another user; rounds with and without
the attack alternate.
"""

import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from bench import attackers
from bench.logins import sign_up_users, time_other_requests
from bench.servers import ServerProcess, roomcast
from bench.sockets import HANDSHAKE
from bench.table import Comparison, Row

CPU_SECONDS = 0.1
LATENCY_TARGET = 1.5
MEMORY_KIB = 16 * 1024
TIMES, ROUNDS, SECONDS = 20, 5, 4.0
CYCLE_SECONDS = 2.0
"""An attacker sends one request of each kind in this time."""

DOUBLING = "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(25))
DOCUMENTS: Mapping[str, str] = {
    "fragments 25 deep, each spread twice": DOUBLING + " fragment F25 on Query { me { user { id } } }",
    "10,000 aliases": "{ " + " ".join(f"a{n}: __typename" for n in range(10_000)) + " }",
    "300 overlapping fields": "{ " + "me { user { id username } } " * 300 + "}",
    "200,000 brackets": "[" * 200_000,
    "huge numbers": "{ rooms(first: " + "9" * 19_000 + ") { totalCount } }",
}
HEAD = b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
MEGABYTES = 100
CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
PING = b"\x81\x8f\0\0\0\0" + b'{"type":"ping"}'

Attack = Callable[[ServerProcess], Awaitable[None]]


def document(text: str) -> Attack:
    body = json.dumps({"query": text}).encode()
    return raw(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def raw(data: bytes) -> Attack:
    async def attack(server: ServerProcess) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    return attack


async def huge_body(server: ServerProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    with suppress(ConnectionError):
        for _ in range(MEGABYTES * 16):
            writer.write(CHUNK)
            await writer.drain()
    writer.close()


async def slow_body(server: ServerProcess) -> None:
    """A hundred bytes, one at a time: the server handles each read."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        writer.write(b" ")
        await asyncio.sleep(0.001)
    writer.close()


async def pings(server: ServerProcess) -> None:
    """As many pings as fit into one read of the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        HANDSHAKE.format(
            path="/graphql", port=server.port, key="A" * 22 + "==", protocol="graphql-transport-ws"
        ).encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PING * 1000)
    await reader.readexactly(1000 * len(b'\x81\x0f{"type":"pong"}'))
    writer.close()


ATTACKS: Mapping[str, Attack] = {
    **{name: document(text) for name, text in DOCUMENTS.items()},
    "invalid UTF-8": raw(HEAD + b'Content-Length: 100000\r\n\r\n{"query":"' + b"\xff" * 99_990),
    "a body of 100 MB": huge_body,
    "a slow body": slow_body,
    "1,000 pings at once": pings,
}


@dataclass(frozen=True, slots=True)
class HostileResult:
    """`cpu_seconds`: per request, by attack. `quiet`, `attacked`: the p99 of other requests in seconds. `grown_kib`:
    the growth of the server's memory."""

    cpu_seconds: dict[str, float]
    quiet: float
    attacked: float
    grown_kib: int


async def cpu_seconds_of(server: ServerProcess, attack: Attack) -> float:
    """CPU seconds of the server for one attack."""
    await attack(server)
    before = server.cpu_seconds()
    for _ in range(TIMES):
        await attack(server)
    return (server.cpu_seconds() - before) / TIMES


async def p99(server: ServerProcess, token: str, seconds: float, *, attacked: bool) -> float:
    enough = asyncio.Event()
    asking = asyncio.create_task(time_other_requests(server, token, enough))
    attacking = asyncio.create_task(keep_attacking(server)) if attacked else None
    await asyncio.sleep(seconds)
    enough.set()
    took = await asking
    if attacking is not None:
        attacking.cancel()
        await asyncio.wait([attacking])
    return statistics.quantiles(took, n=100)[98]


async def keep_attacking(server: ServerProcess) -> None:
    while True:
        for attack in ATTACKS.values():
            await attack(server)
            await asyncio.sleep(CYCLE_SECONDS / len(ATTACKS))


async def measure(rounds: int, seconds: float) -> HostileResult:
    with roomcast() as server:
        token = await sign_up_users(server)
        await p99(server, token, seconds, attacked=True)  # to warm up
        before = server.memory_kib()
        spent = {name: await cpu_seconds_of(server, attack) for name, attack in ATTACKS.items()}
        pairs = [
            (await p99(server, token, seconds, attacked=False), await p99(server, token, seconds, attacked=True))
            for _ in range(rounds)
        ]
        quiet, attacked = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
        return HostileResult(spent, quiet, attacked, server.memory_kib() - before)


async def rows(*, quick: bool) -> list[Row]:
    result = await measure(*((1, 1.0) if quick else (ROUNDS, SECONDS)))
    costliest, spent = max(result.cpu_seconds.items(), key=lambda each: each[1])
    each = ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in result.cpu_seconds.items())
    print(f"milliseconds of CPU: {each}")
    latency = f"{result.attacked * 1000:.1f} ms", f"{result.quiet * 1000:.1f} ms", result.attacked / result.quiet
    memory = f"{result.grown_kib / 1024:.1f} MB", f"{MEMORY_KIB / 1024:.0f} MB", result.grown_kib / MEMORY_KIB
    return [
        Comparison(
            f"the costliest of {len(ATTACKS)} hostile requests ({costliest}), CPU",
            f"{spent * 1000:.1f} ms",
            f"{CPU_SECONDS * 1000:.0f} ms",
            spent / CPU_SECONDS,
            1,
        ),
        Comparison("others' p99 while an attacker sends five hostile requests a second", *latency, LATENCY_TARGET),
        Comparison("memory growth after all of them", *memory, 1),
        *await rows_of_signed_in_attacks(quick=quick),
    ]


async def rows_of_signed_in_attacks(*, quick: bool) -> list[Row]:
    result = await attackers.measure(quick=quick)
    worst, stalled = max(result.items(), key=lambda each: each[1].stall)
    leakiest, kept = max(result.items(), key=lambda each: each[1].grown_kib)
    stall, memory = stalled.stall / attackers.STALL_SECONDS, kept.grown_kib / attackers.MEMORY_KIB
    return [
        Comparison(
            f"others' longest request during {len(result)} attacks of a user with an account ({worst})",
            f"{stalled.stall * 1000:.0f} ms",
            f"{attackers.STALL_SECONDS * 1000:.0f} ms",
            stall,
            1,
        ),
        Comparison(
            f"memory growth after one of these attacks ({leakiest})",
            f"{kept.grown_kib / 1024:.1f} MB",
            f"{attackers.MEMORY_KIB // 1024} MB",
            memory,
            1,
        ),
    ]
