"""Pushes outlive the servers that owe them, and several servers tell nobody twice."""

import asyncio
import uuid
from pathlib import Path

import pytest

from roomcast.core.clock import now
from roomcast.notifications.pending import LEASE
from tests import servers
from tests.api_clients import sign_up
from tests.conftest import MakeApp
from tests.notifications.browsers import PushService, delivered, noticed, said, subscribe, time_comes
from tests.notifications.conftest import LONG
from tests.process import processes

ROOMS = 10
KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"


@pytest.mark.chaos
async def test_a_server_killed_between_a_message_and_its_push_pushes_after_its_start(
    database_url: str, tmp_path: Path, service: PushService
) -> None:
    settings = {"push_delay_seconds": 2, "push_allowed_hosts": "localhost"}
    async with (
        processes(1, database_url, tmp_path, **settings) as [server],
        await sign_up(server.app, "ann") as ann,
        await sign_up(server.app, "bob") as bob,
    ):
        den = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(den, "last words")
        await server.kill()
        assert browser.pushed == []
        await server.start()
        assert (await browser.hears())["text"] == "last words"
    assert len(browser.pushed) == 1


@pytest.mark.chaos
async def test_what_a_killed_server_owes_another_one_pays(
    postgres_server: servers.Server, postgres_template: str, tmp_path: Path, service: PushService
) -> None:
    url = await servers.create_database(postgres_server.url, f"test_{uuid.uuid4().hex}", postgres_template)
    settings = {"bus_url": url, "push_delay_seconds": 2, "push_allowed_hosts": "localhost", "vapid_private_key": KEY}
    async with (
        processes(2, url, tmp_path, **settings) as [first, second],
        await sign_up(first.app, "ann") as ann,
        await sign_up(second.app, "bob") as bob,
    ):
        den = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(den, "last words")
        await first.kill()
        assert (await browser.hears())["text"] == "last words"
    assert len(browser.pushed) == 1


async def test_two_servers_push_once(make_app: MakeApp, service: PushService) -> None:
    both = [await make_app(push_delay_seconds=LONG, push_allowed_hosts=["localhost"]) for _ in range(2)]
    async with await sign_up(both[0], "ann") as ann, await sign_up(both[0], "bob") as bob:
        browser = await subscribe(bob, service)
        rooms = [await ann.create_room(f"room {number}", memberIds=[bob.id]) for number in range(ROOMS)]
        for room in rooms:
            await ann.send_messages(room, "hello")
        await asyncio.gather(*(noticed(app) for app in both))
        await time_comes(both[0])
        await asyncio.gather(*(delivered(app) for app in both))
    assert len(browser.pushed) == ROOMS
    heard = [await browser.hears() for _ in rooms]
    assert {each["roomId"] for each in heard} == set(rooms)


async def test_what_a_dead_server_was_sending_is_sent_when_its_lease_is_over(
    make_app: MakeApp, service: PushService
) -> None:
    first, second = [await make_app(push_delay_seconds=LONG, push_allowed_hosts=["localhost"]) for _ in range(2)]
    async with await sign_up(first, "ann") as ann, await sign_up(first, "bob") as bob:
        den = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        await ann.send_messages(den, "hello")
        await noticed(first)
        service.open.clear()
        dying = asyncio.create_task(said(first))
        await service.until(1)
        [leased] = await noticed(second)
        assert now() < leased.due_at <= now() + LEASE
        assert first.roomcast.backend.notifier is not None
        await first.roomcast.backend.notifier.close()
        await asyncio.wait([dying])
        service.open.set()
        await said(second)
        heard = [(await browser.hears())["text"] for _ in range(2)]
        assert (heard, await noticed(second)) == (["hello", "hello"], [])
