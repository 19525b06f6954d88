"""Push services that refuse, delay or do not answer: other browsers are not affected."""

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
from tests.notifications.browsers import (
    Browser,
    PushService,
    collect_pending,
    deliver_pending,
    push_everything,
    subscribe,
)
from tests.notifications.test_registering import endpoints
from tests.running_app import RunningApp


async def browser_with_pending_push(ann: UserClient, bob: UserClient, app: RunningApp, service: PushService) -> Browser:
    """A browser of bob with one pending push."""
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "hello")
    assert len(await collect_pending(app)) == 1
    return browser


@pytest.mark.parametrize("status", [404, 410])
async def test_an_ended_subscription_is_deleted(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, status: int
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.answers[browser.path] = [(status, {})]
    await deliver_pending(app)
    assert (await endpoints(app), await collect_pending(app), len(browser.pushed)) == ([], [], 1)


@pytest.mark.parametrize("status", [400, 401, 403, 413, 301])
async def test_a_refused_push_is_logged_once_and_not_retried(
    app: RunningApp,
    ann: UserClient,
    bob: UserClient,
    service: PushService,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.answers[browser.path] = [(status, {"location": f"{service.url}/elsewhere"})] * 2
    with caplog.at_level(logging.WARNING, "roomcast.notifications"):
        await deliver_pending(app)
        await ann.send_messages((await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"][0]["id"], "again")
        await push_everything(app)
    assert [record.getMessage() for record in caplog.records] == [
        f"the push service localhost refuses pushes: {status}"
    ]
    assert (len(browser.pushed), len(service.pushed)) == (2, 2)
    assert await endpoints(app) == [browser.subscription["endpoint"]]
    assert app.roomcast.backend.notifier is not None
    assert +app.roomcast.backend.notifier.stats == {"refused": 2}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retry_after_is_respected(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, status: int
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.answers[browser.path] = [(status, {"retry-after": "200"})]
    before = now()
    await deliver_pending(app)
    [waiting] = await collect_pending(app)
    assert (waiting.attempts, (waiting.due_at - before).total_seconds() >= 200) == (1, True)
    await deliver_pending(app)
    assert ([(await browser.next_payload())["text"] for _ in range(2)], await collect_pending(app)) == (
        ["hello", "hello"],
        [],
    )


async def test_retries_end_after_the_last_attempt(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.answers[browser.path] = [(503, {})] * 10
    for _ in range(MAX_ATTEMPTS):
        await deliver_pending(app)
    assert (await collect_pending(app), len(browser.pushed)) == ([], MAX_ATTEMPTS)
    assert await endpoints(app) == [browser.subscription["endpoint"]]


async def test_a_message_read_during_an_outage_is_not_pushed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.answers[browser.path] = [(503, {})]
    await deliver_pending(app)
    [room] = (await bob.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    await bob.send_messages(room["id"], "I am here")
    await deliver_pending(app)
    assert (await collect_pending(app), len(browser.pushed)) == ([], 1)


async def test_a_message_sent_during_a_push_is_pushed_after_it(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    service.open.clear()
    delivery = asyncio.create_task(deliver_pending(app))
    await service.wait_for(1)
    [room] = (await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    await ann.send_messages(room["id"], "more")
    assert len(await collect_pending(app)) == 1
    service.open.set()
    await delivery
    await deliver_pending(app)
    payloads = [await browser.next_payload() for _ in range(2)]
    assert [(each["text"], each["unread"]) for each in payloads] == [("hello", 1), ("more", 2)]
    assert await collect_pending(app) == []


async def test_an_unresponsive_service_does_not_delay_others(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "MAX_PER_HOST", 1)
    monkeypatch.setattr(sender, "TIMEOUT_SECONDS", 1.0)
    slow = await browser_with_pending_push(ann, bob, app, service)
    service.answers[slow.path] = [None] * 9
    delivery = asyncio.create_task(deliver_pending(app))
    await service.wait_for(1, slow.path)
    [room] = (await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    other = await subscribe(bob, service, "127.0.0.1")
    await ann.send_messages(room["id"], "more")
    await push_everything(app)
    assert (await other.next_payload())["text"] == "more"
    await delivery
    [waiting] = await collect_pending(app)
    assert waiting.attempts == 1


async def test_a_host_that_now_resolves_to_a_private_address_is_not_connected_to(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    browser = await browser_with_pending_push(ann, bob, app, service)
    async with app.roomcast.db.read() as session:
        subscription = (await session.exec(select(PushSubscription))).one()
    strict = sender.PushSender(b"\1" * 32, None, AddressGuard())
    answer = await strict.push(subscription, PushMessage(b"{}", "topic", urgent=False))
    await strict.close()
    assert (answer.outcome, browser.pushed) == (PushOutcome.REFUSED, [])


async def test_an_unresolvable_host_is_retried(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    await browser_with_pending_push(ann, bob, app, service)
    async with app.roomcast.db.work() as work:
        subscription = (await work.session.exec(select(PushSubscription))).one()
        subscription.endpoint = "https://nobody.invalid/push"
    await deliver_pending(app)
    [waiting] = await collect_pending(app)
    assert waiting.attempts == 1
