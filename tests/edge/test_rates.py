"""Rate limits: retry times, separate buckets per user and address, buckets shared through Redis."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from roomcast.api.execution.rates import RateLimiter, RateLimits
from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.core.rates import Buckets, Charge, ClientAddresses, MemoryBuckets, Rate, RedisBuckets, counted_address
from roomcast.core.refusals import Refusals
from tests import servers
from tests.api_clients import WAIT_SECONDS, AnonymousClient, SocketClient, UserClient, sign_up
from tests.conftest import MakeApp
from tests.edge.test_metrics import read_metrics
from tests.faults.cluster import frozen, server_pid

SLOW = Rate(per_second=1, burst=3)


@pytest_asyncio.fixture(params=["memory", "redis"])
async def buckets(request: pytest.FixtureRequest) -> AsyncIterator[Buckets]:
    if request.param == "memory":
        yield MemoryBuckets()
        return
    with servers.redis() as server:
        shared = RedisBuckets(Redis.from_url(server.url))
        yield shared
        await shared.close()


async def wait(buckets: Buckets, *charges: Charge) -> float:
    """The seconds until these charges can be taken; 0 if they were taken."""
    shortage = await buckets.take(charges)
    return shortage.seconds if shortage is not None else 0


def charge(caller: str, amount: float = 1, rate: Rate = SLOW) -> Charge:
    return Charge("operations_per_user", caller, rate, amount)


def limiter(**limits: Any) -> RateLimiter:
    return RateLimiter(replace(RateLimits(), **limits), MemoryBuckets(), ClientAddresses(), Refusals())


async def test_a_burst_is_allowed_and_then_callers_wait(buckets: Buckets) -> None:
    assert [await wait(buckets, charge("ann")) for _ in range(3)] == [0, 0, 0]
    assert 1.5 < await wait(buckets, charge("ann", 2)) <= 2
    assert await wait(buckets, charge("bob")) == 0  # another bucket


async def test_a_rejected_charge_takes_from_no_bucket(buckets: Buckets) -> None:
    await buckets.take([charge("full", 3)])
    for _ in range(9):
        shortage = await buckets.take([charge("other"), charge("full"), charge("third")])
        assert shortage is not None
        assert shortage.charge == charge("full")
    assert await wait(buckets, charge("other", 3), charge("third", 3)) == 0


async def test_a_bucket_refills(buckets: Buckets) -> None:
    quick = Rate(per_second=50, burst=1)
    assert await wait(buckets, charge("ann", rate=quick)) == 0
    await asyncio.sleep(await wait(buckets, charge("ann", rate=quick)) + 0.01)  # exactly the retry time of the server
    assert await wait(buckets, charge("ann", rate=quick)) == 0


async def test_processes_share_buckets_in_redis() -> None:
    with servers.redis() as server:
        one, two = [RedisBuckets(Redis.from_url(server.url)) for _ in range(2)]
        assert await wait(one, charge("ann", 3)) == 0
        assert await wait(two, charge("ann")) > 0
        await asyncio.gather(one.close(), two.close())


async def test_without_redis_each_process_counts_alone(caplog: pytest.LogCaptureFixture) -> None:
    alone = RedisBuckets(Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2))
    waits = [await wait(alone, charge("ann")) for _ in range(4)]
    assert [each > 0 for each in waits] == [False, False, False, True]
    assert len(caplog.records) == 1  # logged once
    await alone.close()


RARE = Rate(per_second=0.001, burst=3)
"""Refills too slowly to matter in a test."""


async def until_shared(buckets: RedisBuckets) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not buckets.is_shared:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


async def test_requests_do_not_wait_for_a_redis_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with servers.redis("PATH", "wheel") as server:
        redis = Redis.from_url(server.url, socket_timeout=0.2, socket_connect_timeout=0.2)
        buckets = RedisBuckets(redis, probe_seconds=0.05)
        assert await wait(buckets, charge("ann", 3, RARE)) == 0
        async with frozen(server_pid(server)):
            waits = await asyncio.gather(*(wait(buckets, charge("ann", 1, RARE)) for _ in range(50)))
            assert sum(each == 0 for each in waits) == 3  # counted by this process
            async with asyncio.timeout(WAIT_SECONDS):
                for _ in range(1_000):  # they would take 200 s if each waited for Redis
                    assert await wait(buckets, charge("ann", 1, RARE)) > 0
                    await asyncio.sleep(0)
            assert not buckets.is_shared
        await until_shared(buckets)
        assert await wait(buckets, charge("bob", 3, RARE)) == 0
        assert await wait(RedisBuckets(redis), charge("bob", 1, RARE)) > 0
        await buckets.close()
    assert [record.getMessage().partition(";")[0].split(" after ")[0] for record in caplog.records] == [
        "Redis does not answer",
        "Redis answers again",
    ]


async def refused_writes(redis: "Redis") -> int:
    return int((await redis.info("errorstats")).get("errorstat_READONLY", {"count": 0})["count"])


async def test_a_redis_that_refuses_to_write_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    with servers.redis("PATH", "wheel") as server:
        redis = Redis.from_url(server.url)
        buckets = RedisBuckets(redis, probe_seconds=0.02)
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        assert await wait(buckets, charge("ann", 3, RARE)) == 0
        async with asyncio.timeout(WAIT_SECONDS):
            while await refused_writes(redis) < 4:  # noqa: ASYNC110 (another process has to be polled)
                await asyncio.sleep(0.01)
        assert await wait(buckets, charge("ann", 1, RARE)) > 0  # counted by this process
        await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        await until_shared(buckets)
        await buckets.close()
    assert len(caplog.records) == 1


async def test_a_server_whose_redis_hangs_answers_and_reports_it(make_app: MakeApp) -> None:
    with servers.redis("PATH", "wheel") as server:
        app = await make_app(bus_url=server.url)
        async with await sign_up(app, "ann") as ann:
            assert (await read_metrics(ann))["roomcast_rate_limits_degraded"] == 0
            async with frozen(server_pid(server)):
                async with asyncio.timeout(WAIT_SECONDS):
                    for _ in range(100):
                        assert (await ann.post({"query": QUERY})).status_code == 200
                assert (await read_metrics(ann))["roomcast_rate_limits_degraded"] == 1


QUERY = "{ __typename }"


async def query_until_refused(person: UserClient) -> int:
    async with person.connect() as connection:
        for number in range(1200):
            message = await (await connection.subscribe(QUERY)).next_message()
            if message["type"] == "error":
                assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
                return number
    raise AssertionError("was never refused")


async def test_a_rate_limited_user_gets_a_retry_time_and_others_are_unaffected(make_app: MakeApp) -> None:
    app = await make_app()
    app.roomcast.http._engine._rates = limiter(operations_per_user=Rate(per_second=1, burst=1000))
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        assert await query_until_refused(ann) >= 1000
        refused = [answer for _ in range(9) if (answer := await ann.post({"query": QUERY})).status_code == 429]
        assert refused
        error = refused[0].json()["errors"][0]["extensions"]
        assert (error["code"], error["retryable"]) == ("RATE_LIMITED", True)
        assert 1 <= error["retryAfterMs"] <= 1000
        assert refused[0].headers["retry-after"] == "1"
        assert (await bob.post({"query": QUERY})).status_code == 200


async def test_signals_have_a_rate_limit_of_their_own(make_app: MakeApp) -> None:
    app = await make_app()
    app.roomcast.http._engine._rates = limiter(signals_per_user=SLOW)
    async with await sign_up(app, "ann") as ann:
        room = await ann.create_room("den")
        typing = "mutation ($room: ID!) { setTyping(input: {roomId: $room, typing: true}) { errors { code } } }"
        typing_request = {"query": typing, "variables": {"room": room}}
        assert [(await ann.post(typing_request)).status_code for _ in range(4)] == [200, 200, 200, 429]
        presence = {"query": 'mutation { setPresence(input: {statusText: "x"}) { errors { code } } }'}
        assert (await ann.post(presence)).status_code == 429  # it costs more than one typing signal
        assert (await ann.post({"query": QUERY})).status_code == 200


async def test_each_mutation_in_a_document_counts(make_app: MakeApp) -> None:
    app = await make_app()
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        one = 'r%d: createRoom(input: {name: "room %d"}) { errors { code } room { id } }'
        document = "mutation { " + " ".join(one % (n, n) for n in range(20)) + " }"
        answers = [await ann.post({"query": document.replace('"room', f'"room {n}')}) for n in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]  # the burst is a hundred rooms
        assert answers[-1].json()["errors"][0]["extensions"]["retryAfterMs"] > 1000
        assert (await ann.post({"query": QUERY})).status_code == 200
        assert (await bob.post({"query": document.replace('"room', '"his')})).status_code == 200


async def test_one_user_runs_a_limited_number_of_operations_at_once(make_app: MakeApp) -> None:
    app = await make_app()
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        room = await ann.create_room("den")
        await ann.send_messages(room, *["x" * 4_000] * 50)
        pool, max_checked_out = app.roomcast.db._reader.pool, 0
        page = "query ($room: ID!) { messages(roomId: $room, last: 50) { nodes { body author { id } } } }"
        queries = [asyncio.create_task(ann.execute(page, room=room)) for _ in range(60)]
        while not all(task.done() for task in queries):
            max_checked_out = max(max_checked_out, pool.checkedout())  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        assert (await bob.execute(QUERY)) == {"__typename": "Query"}
        await asyncio.gather(*queries)
    assert 1 <= max_checked_out <= 4 + 3  # plus those of periodic tasks; without the limit, all 8 are used


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", ""),
        (None, ""),
    ],
)
def test_ipv6_addresses_count_by_their_network(address: str | None, expected: str) -> None:
    assert counted_address(address) == expected


async def test_all_addresses_of_one_network_share_their_limits(make_app: MakeApp) -> None:
    """uvicorn trusts the X-Forwarded-For header of this machine, as of a proxy."""
    app = await make_app()
    app.roomcast.http._engine._rates = limiter(operations_per_address=SLOW)
    async with AnonymousClient(app) as anonymous:
        statuses = [
            (await anonymous.post({"query": QUERY}, **{"x-forwarded-for": f"2001:db8:1:{net}::{n}"})).status_code
            for net, n in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)]
        ]
    assert statuses == [200, 200, 200, 429, 200]


async def test_connections_of_one_network_share_the_limit(make_app: MakeApp) -> None:
    app = await make_app()
    app.roomcast.sockets.admission.limits = ConnectionLimits(sockets_per_address=1)
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(SocketClient(app.ws_url, forwarded=f"2001:db8:1:{net}::{n}"))
            for net, n in [(1, 1), (1, 2), (2, 1)]
        ]
        await connections[0].init()
        assert (await connections[1].closed())[0] == 1013
        await connections[2].init()


async def test_rate_limits_can_be_switched_off(make_app: MakeApp) -> None:
    app = await make_app(rate_limits="off")
    async with await sign_up(app, "ann") as ann:
        with pytest.raises(AssertionError, match="never refused"):
            await query_until_refused(ann)


async def test_unknown_documents_count_against_the_address_and_known_ones_do_not(make_app: MakeApp) -> None:
    app = await make_app()
    async with await sign_up(app, "ann") as ann:
        app.roomcast.http._engine._rates = limiter(parsing_per_address=Rate(per_second=0.001, burst=120))
        known, long = "{ __typename }", "{ " + "x: __typename " * 6 + "}"
        assert [(await ann.post({"query": each})).status_code for each in (known, long, known)] == [200, 200, 200]
        refused = await ann.post({"query": "{ nothing of the kind }"})
        error = refused.json()["errors"][0]["extensions"]
        assert (refused.status_code, error["code"]) == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) * 1000 >= error["retryAfterMs"] > 0
        async with ann.connect() as connection:
            assert (await connection.execute(known))["data"]
            message = await (await connection.subscribe("{ another one of that kind }")).next_message()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
