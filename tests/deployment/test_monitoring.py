"""The files for Prometheus and Grafana. Each alert fires when its cause happens to a real server."""

import asyncio
import json
import re
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncpg

from roomcast.core import migrations
from tests import servers
from tests.api_clients import LOGIN, ROOM_MESSAGES, AnonymousClient, UserClient, sign_up
from tests.deployment import programs
from tests.deployment.prometheus import ALERTS, Prometheus, prometheus
from tests.edge.test_descriptors import open_files
from tests.process import Process, processes
from tests.storage.test_readiness import small_disk

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())
NAMES = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
FIRES_SECONDS = 60

COSTLY = (
    "query { rooms(first: 30) { nodes { name members(first: 30) { nodes { user { username } } } "
    "messages(last: 30) { nodes { id body author { username } } } } } }"
)
"""Near the limit of one operation: a few of these use up what one user may spend."""


# ------------------------------------------------------------------ the files


def test_promtool_accepts_the_alerts_and_their_times() -> None:
    programs.run("promtool", "check", "rules", ALERTS)
    programs.run("promtool", "test", "rules", Path(__file__).with_name("alerts_test.yaml"))


def test_each_alert_has_a_paragraph_that_says_what_to_do() -> None:
    runbooks = set(re.findall(r"runbook: docs/monitoring\.md#(\w+)", ALERTS.read_text()))
    paragraphs = (ROOT / "docs" / "monitoring.md").read_text().split("\n### ")[1:]
    described = {paragraph.split("\n")[0]: paragraph for paragraph in paragraphs}
    assert set(described) == NAMES
    assert runbooks == {name.lower() for name in NAMES}
    assert all("- Look at: " in text and "\n- Do: " in text for text in described.values())


def test_the_dashboard_has_the_model_that_grafana_imports() -> None:
    panels = DASHBOARD["panels"]
    assert DASHBOARD["schemaVersion"] >= 36
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["type"] in ("stat", "timeseries")
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert [target["refId"] for target in panel["targets"]] == [*"ABCDEFG"][: len(panel["targets"])]
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_prometheus_can_parse_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 30
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    programs.run("promtool", "check", "rules", path)


# ------------------------------------------------------------------ the alerts


class Watch:
    """Notes which alerts have fired."""

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus
        self.seen: set[str] = set()

    async def until(self, name: str, cause: Callable[[], Awaitable[object]] | None = None) -> None:
        """Wait until the alert has fired; repeat the cause until then."""
        async with asyncio.timeout(FIRES_SECONDS):
            while name not in self.seen:
                if cause is not None:
                    await cause()
                self.seen |= await asyncio.to_thread(self.prometheus.firing)
                await asyncio.sleep(0.2)


async def test_each_alert_fires_when_its_cause_happens(tmp_path: Path) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(servers.postgres("PATH", "wheel"))
        redis = stack.enter_context(servers.redis("PATH", "wheel"))
        disk = stack.enter_context(small_disk(tmp_path / "disk", megabytes=48))
        url = await servers.create_database(database.url, "monitored")
        await migrations.upgrade(url)
        async with (
            processes(2, url, tmp_path, bus_url=redis.url) as [a, b],
            processes(1, f"sqlite:///{disk}/roomcast.db", tmp_path / "c", data_dir=disk, rate_limits="on") as [c],
        ):
            with prometheus([a.url, b.url, c.url]) as server:
                watch = Watch(server)
                await until_scraped(server)
                assert await asyncio.to_thread(server.firing) == set()
                await cause_all(watch, (a, b, c), (database, redis), url, disk)
        assert watch.seen == NAMES


async def until_scraped(server: Prometheus) -> None:
    """All three processes are up, and rates have values."""
    async with asyncio.timeout(FIRES_SECONDS):
        while await asyncio.to_thread(server.value, "count(rate(roomcast_db_reads_total[10s]))") != 3:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def cause_all(
    watch: Watch,
    all_processes: tuple[Process, Process, Process],
    backends: tuple[servers.Server, servers.Server],
    url: str,
    disk: Path,
) -> None:
    (a, b, c), (database, redis) = all_processes, backends
    async with await sign_up(a.app, "ann") as ann, await sign_up(c.app, "cleo") as cleo:
        await asyncio.gather(guess_passwords(watch, a), be_refused(watch, cleo), use_up_descriptors(watch, b))
        await fail_unexpectedly(watch, ann, url)
        await saturate(watch, ann, url)
        await asyncio.gather(freeze_repeatedly(watch, ann, b), fill(watch, disk))
        await asyncio.to_thread(redis.stop)
        await watch.until("RoomcastBusDown")
        await asyncio.to_thread(database.stop, kill=True)
        await watch.until("RoomcastDatabaseDown")
        await asyncio.to_thread(database.start)
        await a.kill()
        await watch.until("RoomcastDown")


async def guess_passwords(watch: Watch, process: Process) -> None:
    async with AnonymousClient(process.app) as stranger:

        async def guess() -> None:
            attempts = [
                stranger.mutate(LOGIN, usernameOrEmail="ann", password=f"guess {number}") for number in range(8)
            ]
            await asyncio.gather(*attempts)

        await watch.until("RoomcastPasswordGuessing", guess)


async def be_refused(watch: Watch, client: UserClient) -> None:
    async def ask() -> None:
        await asyncio.gather(*(client.post({"query": COSTLY}) for _ in range(10)))

    await watch.until("RoomcastClientsRefused", ask)


async def fail_unexpectedly(watch: Watch, client: UserClient, url: str) -> None:
    """A table is missing, as after a migration that went wrong."""
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE rooms RENAME TO rooms_elsewhere")
    await watch.until("RoomcastFailures", lambda: client.post({"query": "{ rooms { totalCount } }"}))
    await connection.execute("ALTER TABLE rooms_elsewhere RENAME TO rooms")
    await connection.close()


async def saturate(watch: Watch, client: UserClient, url: str) -> None:
    """Another transaction locks a table that every query needs."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE")

        async def ask() -> None:
            await asyncio.gather(*(client.post({"query": "{ rooms { totalCount } }"}) for _ in range(60)))

        asking = asyncio.create_task(ask())
        await watch.until("RoomcastDatabaseSaturated")
    await asking
    await connection.close()


async def freeze_repeatedly(watch: Watch, sender: UserClient, process: Process) -> None:
    """The process stands still again and again while messages arrive for a subscriber that it serves."""
    room = await sender.create_room("den")
    async with AnonymousClient(process.app, sender.token) as reader, reader.connect() as connection:
        await connection.subscribe(ROOM_MESSAGES, roomId=room)

        async def freeze() -> None:
            process.signal(signal.SIGSTOP)
            await sender.send_messages(room, *(f"message {number}" for number in range(5)))
            await asyncio.sleep(1.2)
            process.signal(signal.SIGCONT)
            await process.until_health("ok")

        await asyncio.gather(watch.until("RoomcastLoopPauses", freeze), watch.until("RoomcastDeliveryLate"))


async def use_up_descriptors(watch: Watch, process: Process) -> None:
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_files(process.pid) + 4, hard))
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", process.port)))
        await watch.until("RoomcastOutOfDescriptors")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))


async def fill(watch: Watch, disk: Path) -> None:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    await watch.until("RoomcastDiskFull")
    filler.unlink()
