"""Pending pushes survive crashes, and several servers send each push once."""

import asyncio
import uuid
from pathlib import Path

import pytest

from roomcast.core.clock import now
from roomcast.notifications.pending import LEASE
from tests import servers
from tests.api_clients import sign_up
from tests.conftest import MakeApp
from tests.notifications.browsers import (
    PushService,
    collect_pending,
    deliver_due,
    deliver_pending,
    make_all_due,
    subscribe,
)
from tests.notifications.conftest import LONG
from tests.process import processes

ROOMS = 10
KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"


@pytest.mark.chaos
async def test_a_server_killed_before_a_push_sends_it_after_a_restart(
    database_url: str, tmp_path: Path, service: PushService
) -> None:
    settings = {"push_delay_seconds": 2, "push_allowed_hosts": "localhost"}
    async with (
        processes(1, database_url, tmp_path, **settings) as [server],
        await sign_up(server.app, "ann") as ann,
        await sign_up(server.app, "bob") as bob,
    ):
        room_id = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(room_id, "last words")
        await server.kill()
        assert browser.pushed == []
        await server.start()
        assert (await browser.next_payload())["text"] == "last words"
    assert len(browser.pushed) == 1


@pytest.mark.chaos
async def test_the_pending_pushes_of_a_killed_server_are_sent_by_another(
    postgres_server: servers.Server, postgres_template: str, tmp_path: Path, service: PushService
) -> None:
    url = await servers.create_database(postgres_server.url, f"test_{uuid.uuid4().hex}", postgres_template)
    settings = {"bus_url": url, "push_delay_seconds": 2, "push_allowed_hosts": "localhost", "vapid_private_key": KEY}
    async with (
        processes(2, url, tmp_path, **settings) as [first, second],
        await sign_up(first.app, "ann") as ann,
        await sign_up(second.app, "bob") as bob,
    ):
        room_id = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(room_id, "last words")
        await first.kill()
        assert (await browser.next_payload())["text"] == "last words"
    assert len(browser.pushed) == 1


async def test_two_servers_send_each_push_once(make_app: MakeApp, service: PushService) -> None:
    apps = [await make_app(push_delay_seconds=LONG, push_allowed_hosts=["localhost"]) for _ in range(2)]
    async with await sign_up(apps[0], "ann") as ann, await sign_up(apps[0], "bob") as bob:
        browser = await subscribe(bob, service)
        rooms = [await ann.create_room(f"room {number}", memberIds=[bob.id]) for number in range(ROOMS)]
        for room in rooms:
            await ann.send_messages(room, "hello")
        await asyncio.gather(*(collect_pending(app) for app in apps))
        await make_all_due(apps[0])
        await asyncio.gather(*(deliver_due(app) for app in apps))
    assert len(browser.pushed) == ROOMS
    payloads = [await browser.next_payload() for _ in rooms]
    assert {each["roomId"] for each in payloads} == set(rooms)


async def test_a_push_claimed_by_a_dead_server_is_sent_when_its_lease_ends(
    make_app: MakeApp, service: PushService
) -> None:
    first, second = [await make_app(push_delay_seconds=LONG, push_allowed_hosts=["localhost"]) for _ in range(2)]
    async with await sign_up(first, "ann") as ann, await sign_up(first, "bob") as bob:
        room_id = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(room_id, "hello")
        await collect_pending(first)
        service.open.clear()
        delivery = asyncio.create_task(deliver_pending(first))
        await service.wait_for(1)
        [leased] = await collect_pending(second)
        assert now() < leased.due_at <= now() + LEASE
        assert first.roomcast.backend.notifier is not None
        await first.roomcast.backend.notifier.close()
        await asyncio.wait([delivery])
        service.open.set()
        await deliver_pending(second)
        payloads = [(await browser.next_payload())["text"] for _ in range(2)]
        assert (payloads, await collect_pending(second)) == (["hello", "hello"], [])
