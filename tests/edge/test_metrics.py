"""`/metrics`: the metrics and their access token."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api_clients import LOGIN, PASSWORD, ROOM_MESSAGES, AnonymousClient, UserClient
from tests.conftest import MakeApp
from tests.running_app import RunningApp

ROOT = Path(__file__).parents[2]
TOKEN = "a token for monitoring systems"


async def read_metrics(anonymous: AnonymousClient) -> dict[str, float]:
    """The metrics by name and labels, as Prometheus parses them."""
    page = await anonymous.http.get("/metrics")
    assert page.status_code == 200
    families = text_string_to_metric_families(page.text)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_operations_are_counted_by_outcome(ann: UserClient) -> None:
    before = await read_metrics(ann)
    room = await ann.create_room("den")
    await ann.post({"query": "{ me { nobody } }"})
    await ann.post({"query": "query Q($id: ID!) { room(id: $id) { id } }", "variables": {}})

    after = await read_metrics(ann)

    def rise(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert room
    assert rise("roomcast_operations_total mutation OK") == 1
    assert rise("roomcast_operations_total unread GRAPHQL_VALIDATION_FAILED") == 1
    assert rise("roomcast_operations_total query BAD_USER_INPUT") == 1
    assert rise("roomcast_operation_seconds_count query") == 1


async def test_streams_and_deliveries_are_counted(app: RunningApp, ann: UserClient, bob: UserClient) -> None:
    room = await ann.create_room("den")
    async with ann.connect() as ann_connection, bob.connect() as bob_connection:
        streams = [await socket.subscribe(ROOM_MESSAGES, roomId=room) for socket in (ann_connection, bob_connection)]
        await app.wait_for_streams(2)
        await ann.send(room, "hello")
        for stream in streams:
            await stream.next_event()
        now = await read_metrics(ann)

    assert (now["roomcast_sockets"], now["roomcast_subscriptions"], now["roomcast_groups"]) == (2, 2, 1)
    assert (now["roomcast_event_executions_total"], now["roomcast_event_deliveries_total"]) == (1, 2)
    assert (now["roomcast_sends_total"], now["roomcast_send_groups_total"]) == (1, 1)
    assert now["roomcast_bus_connected"] == 1


async def test_deliveries_stay_counted_after_the_stream_ends(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    async with ann.connect() as socket:
        stream = await socket.subscribe(ROOM_MESSAGES, roomId=room)
        await app.wait_for_streams(1)
        await ann.send(room, "hello")
        await stream.next_event()
    await app.wait_for_streams(0)

    now = await read_metrics(ann)

    assert (now["roomcast_groups"], now["roomcast_event_deliveries_total"]) == (0, 1)


async def test_a_refusal_in_a_payload_is_counted_by_its_code(app: RunningApp, ann: UserClient) -> None:
    before = await read_metrics(ann)
    async with AnonymousClient(app) as stranger:
        for password in ("wrong", "wrong as well", PASSWORD):
            await stranger.mutate(LOGIN, usernameOrEmail="ann", password=password)
    after = await read_metrics(ann)

    def rise(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert rise("roomcast_operations_total mutation INVALID_CREDENTIALS") == 2
    assert rise("roomcast_operations_total mutation OK") == 1
    assert rise("roomcast_sign_ins_total INVALID_CREDENTIALS") == 2
    assert rise("roomcast_sign_ins_total OK") == 1


async def test_a_throttled_sign_in_is_counted(app: RunningApp, ann: UserClient) -> None:
    async with AnonymousClient(app) as stranger:
        for _ in range(7):
            await stranger.mutate(LOGIN, usernameOrEmail="ann", password="wrong")
    assert (await read_metrics(ann))["roomcast_sign_ins_total RATE_LIMITED"] >= 1


async def test_deliveries_and_commits_are_timed_and_answers_counted(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    async with ann.connect() as socket:
        stream = await socket.subscribe(ROOM_MESSAGES, roomId=room)
        await app.wait_for_streams(1)
        before = await read_metrics(ann)
        for number in range(3):
            await ann.send(room, f"message {number}")
            await stream.next_event()
        await ann.execute("{ rooms { nodes { id } } }")
        await ann.http.get("/nowhere")
        after = await read_metrics(ann)

    def rise(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert rise("roomcast_delivery_seconds_count") == 3
    assert 0 < rise("roomcast_delivery_seconds_sum") < 30
    assert rise("roomcast_db_commit_seconds_count") >= 3
    assert rise("roomcast_db_changes_total") >= 3
    assert rise("roomcast_db_reads_total") >= 1
    assert rise("roomcast_db_statements_total") >= 3 * 5
    assert rise("roomcast_http_responses_total 200") >= 3
    assert rise("roomcast_http_responses_total 404") == 1
    assert after["roomcast_db_up"] == 1
    assert after["roomcast_data_free_bytes"] > 0
    assert after["roomcast_loop_pause_seconds_count"] >= before["roomcast_loop_pause_seconds_count"]


async def test_a_pool_tells_who_waits(app: RunningApp, ann: UserClient) -> None:
    name, pool = next(reversed(app.roomcast.db.pools.items()))
    before = await read_metrics(ann)
    async with AsyncExitStack() as stack:
        for _ in range(pool.size()):
            session = await stack.enter_async_context(app.roomcast.db.read())
            await session.connection()
        waiting = asyncio.create_task(ann.execute("{ rooms { totalCount } }"))
        async with asyncio.timeout(10):
            while not pool.waiting:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)
        assert pool.checkedout() == pool.size()
    await waiting
    after = await read_metrics(ann)
    assert after[f"roomcast_db_connections_max {name}"] == pool.size()
    assert after[f"roomcast_db_waiting {name}"] == 0
    assert after[f"roomcast_db_waits_total {name}"] > before[f"roomcast_db_waits_total {name}"]


async def test_a_refill_from_the_log_is_counted(app: RunningApp, ann: UserClient) -> None:
    room = await ann.create_room("den")
    async with ann.connect() as socket:
        stream = await socket.subscribe(ROOM_MESSAGES, roomId=room)
        await app.wait_for_streams(1)
        publish, app.roomcast.db.publish = app.roomcast.db.publish, lambda events: None  # the frame is lost
        await ann.send(room, "lost")
        app.roomcast.db.publish = publish
        await stream.next_event()
        assert (await read_metrics(ann))["roomcast_refills_total"] == 1
    await app.wait_for_streams(0)
    assert (await read_metrics(ann))["roomcast_refills_total"] == 1


METRIC = re.compile(r"\b(?:roomcast|process|python)_[a-z_]+")


@pytest.mark.parametrize("page", ["deploy/grafana.json", "deploy/alerts.yaml", "docs/monitoring.md"])
async def test_every_metric_that_operators_read_about_exists(make_app: MakeApp, page: str) -> None:
    names = set(METRIC.findall((ROOT / page).read_text()))
    assert {without_suffix(name) for name in names} - await exported(make_app) == set()


async def test_every_metric_is_documented(make_app: MakeApp) -> None:
    documented = {without_suffix(name) for name in METRIC.findall((ROOT / "docs" / "monitoring.md").read_text())}
    own = {name for name in await exported(make_app) if name.startswith("roomcast_")}
    assert own - documented == {"roomcast_info"}


async def exported(make_app: MakeApp) -> set[str]:
    """The names of all metrics, those without a value included. Some exist only where a Redis is named."""
    async with AnonymousClient(await make_app(bus_url="redis://127.0.0.1:1")) as anonymous:
        page = (await anonymous.http.get("/metrics")).text
    names = {without_suffix(name) for name in re.findall(r"^# TYPE (\w+)", page, re.MULTILINE)}
    return {name for name in names if not name.endswith("_created")}


def without_suffix(name: str) -> str:
    return re.sub("_(total|bucket|sum|count)$", "", name)


async def test_production_serves_no_metrics_without_a_token(make_app: MakeApp) -> None:
    async with AnonymousClient(await make_app(profile="production")) as anonymous:
        assert (await anonymous.http.get("/metrics")).status_code == 404


async def test_metrics_need_the_token(make_app: MakeApp) -> None:
    app = await make_app(profile="production", metrics_token=TOKEN)
    async with AnonymousClient(app) as anonymous:
        for credential in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ä"):
            answer = await anonymous.http.get("/metrics", headers={b"authorization": credential.encode()})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        shown = await anonymous.http.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})

    assert shown.status_code == 200
    assert TOKEN not in shown.text
