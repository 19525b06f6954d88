"""Push services that say no, later, or nothing at all: each browser's trouble stays its own."""

import asyncio
import logging

import pytest
from sqlmodel import select

from roomcast.core.clock import now
from roomcast.notifications import notifier, sender
from roomcast.notifications.models import PushSubscription
from roomcast.notifications.policy import MAX_ATTEMPTS
from roomcast.notifications.push_message import PushMessage, PushOutcome
from roomcast.notifications.ssrf_guard import AddressGuard
from tests.api_clients import UserClient
from tests.notifications.browsers import Browser, PushService, noticed, said, subscribe, told
from tests.notifications.test_registering import endpoints
from tests.running_app import RunningApp


async def called(ann: UserClient, bob: UserClient, app: RunningApp, service: PushService) -> Browser:
    """A browser of bob's for whom there is news."""
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(den, "hello")
    assert len(await noticed(app)) == 1
    return browser


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_forgotten(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, status: int
) -> None:
    browser = await called(ann, bob, app, service)
    service.says[browser.path] = [(status, {})]
    await said(app)
    assert (await endpoints(app), await noticed(app), len(browser.pushed)) == ([], [], 1)


@pytest.mark.parametrize("status", [400, 401, 403, 413, 301])
async def test_what_is_refused_is_said_once_in_the_log_and_not_tried_again(
    app: RunningApp,
    ann: UserClient,
    bob: UserClient,
    service: PushService,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    browser = await called(ann, bob, app, service)
    service.says[browser.path] = [(status, {"location": f"{service.url}/elsewhere"})] * 2
    with caplog.at_level(logging.WARNING, "roomcast.notifications"):
        await said(app)
        await ann.send_messages((await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"][0]["id"], "again")
        await told(app)
    assert [record.getMessage() for record in caplog.records] == [f"localhost does not take pushes: {status}"]
    assert (len(browser.pushed), len(service.pushed)) == (2, 2)
    assert await endpoints(app) == [browser.subscription["endpoint"]]
    assert app.roomcast.backend.notifier is not None
    assert app.roomcast.backend.notifier.stats == {"refused": 2}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_asks_for_patience_gets_it(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, status: int
) -> None:
    browser = await called(ann, bob, app, service)
    service.says[browser.path] = [(status, {"retry-after": "200"})]
    before = now()
    await said(app)
    [waiting] = await noticed(app)
    assert (waiting.attempts, (waiting.due_at - before).total_seconds() >= 200) == (1, True)
    await said(app)
    assert ([(await browser.hears())["text"] for _ in range(2)], await noticed(app)) == (["hello", "hello"], [])


async def test_nothing_is_tried_for_ever(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await called(ann, bob, app, service)
    service.says[browser.path] = [(503, {})] * 10
    for _ in range(MAX_ATTEMPTS):
        await said(app)
    assert (await noticed(app), len(browser.pushed)) == ([], MAX_ATTEMPTS)
    assert await endpoints(app) == [browser.subscription["endpoint"]]


async def test_what_was_read_while_the_service_was_away_is_not_told(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await called(ann, bob, app, service)
    service.says[browser.path] = [(503, {})]
    await said(app)
    [room] = (await bob.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    await bob.send_messages(room["id"], "I am here")
    await said(app)
    assert (await noticed(app), len(browser.pushed)) == ([], 1)


async def test_what_is_said_while_a_push_is_on_its_way_is_told_after_it(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await called(ann, bob, app, service)
    service.open.clear()
    on_its_way = asyncio.create_task(said(app))
    await service.until(1)
    [room] = (await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    await ann.send_messages(room["id"], "more")
    assert len(await noticed(app)) == 1
    service.open.set()
    await on_its_way
    await said(app)
    heard = [await browser.hears() for _ in range(2)]
    assert [(each["text"], each["unread"]) for each in heard] == [("hello", 1), ("more", 2)]
    assert await noticed(app) == []


async def test_a_service_that_says_nothing_holds_up_nobody_else(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "OF_HOST", 1)
    monkeypatch.setattr(sender, "SECONDS", 1.0)
    silent = await called(ann, bob, app, service)
    service.says[silent.path] = [None] * 9
    saying = asyncio.create_task(said(app))
    await service.until(1, silent.path)
    [room] = (await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    other = await subscribe(bob, service, "127.0.0.1")
    await ann.send_messages(room["id"], "more")
    await told(app)
    assert (await other.hears())["text"] == "more"
    await saying
    [waiting] = await noticed(app)
    assert waiting.attempts == 1


async def test_a_name_that_turned_private_is_not_connected_to(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await called(ann, bob, app, service)
    async with app.roomcast.db.read() as session:
        subscription = (await session.exec(select(PushSubscription))).one()
    strict = sender.Sender(b"\1" * 32, None, AddressGuard())
    answer = await strict.push(subscription, PushMessage(b"{}", "topic", urgent=False))
    await strict.close()
    assert (answer.outcome, browser.pushed) == (PushOutcome.REFUSED, [])


async def test_a_name_that_nobody_knows_now_may_be_known_later(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    await called(ann, bob, app, service)
    async with app.roomcast.db.work() as work:
        subscription = (await work.session.exec(select(PushSubscription))).one()
        subscription.endpoint = "https://nobody.invalid/push"
    await said(app)
    [waiting] = await noticed(app)
    assert waiting.attempts == 1
