"""Registering push subscriptions: who owns them, for how long, and what other users can learn."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlmodel import col, select

from roomcast.notifications.models import PushSubscription
from roomcast.notifications.policy import MAX_SUBSCRIPTIONS
from tests.accounts.documents import BAN, LOGOUT
from tests.api_clients import LOGIN, PASSWORD, AnonymousClient, Json, UserClient, sign_up
from tests.conftest import MakeApp
from tests.notifications.browsers import (
    KEY,
    REGISTER,
    UNREGISTER,
    PushService,
    collect_pending,
    push_everything,
    subscribe,
)
from tests.running_app import RunningApp

ON_CURVE = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
GOOD = {"endpoint": "https://localhost/push/1", "p256dh": ON_CURVE, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}
OK: Json = {"errors": []}


async def endpoints(app: RunningApp) -> list[str]:
    async with app.roomcast.db.read() as session:
        return list(await session.exec(select(PushSubscription.endpoint).order_by(col(PushSubscription.created_at))))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("endpoint", "http://localhost/push"),
        ("endpoint", "https://127.0.0.2/push"),
        ("endpoint", "https://0x7f.1/push"),
        ("endpoint", "https://169.254.169.254/latest/meta-data"),
        ("endpoint", "https://nobody.invalid/push"),
        ("endpoint", "https://localhost:99999/push"),
        ("endpoint", "https://localhost/ü"),
        ("p256dh", ON_CURVE[:-1] + "8"),
        ("p256dh", "short"),
        ("auth", ON_CURVE),
    ],
)
async def test_an_invalid_subscription_is_refused(app: RunningApp, ann: UserClient, argument: str, value: str) -> None:
    payload = await ann.mutate(REGISTER, **{**GOOD, argument: value})
    assert payload == {"errors": [{"code": "VALIDATION_FAILED", "path": ["input", argument]}]}
    assert await endpoints(app) == []


async def test_a_private_address_is_refused_unless_it_is_allowed(make_app: MakeApp) -> None:
    app = await make_app()
    async with await sign_up(app, "ann") as ann:
        payload = await ann.mutate(REGISTER, **GOOD)
    assert payload == {"errors": [{"code": "VALIDATION_FAILED", "path": ["input", "endpoint"]}]}


async def test_registering_and_unregistering_may_be_repeated(app: RunningApp, ann: UserClient) -> None:
    for _ in range(2):
        assert await ann.mutate(REGISTER, **GOOD) == OK
        assert await endpoints(app) == [GOOD["endpoint"]]
    for _ in range(2):
        assert await ann.mutate(UNREGISTER, endpoint=GOOD["endpoint"]) == OK
        assert await endpoints(app) == []
    assert await ann.mutate(UNREGISTER, endpoint="nonsense") == OK


async def test_registering_requires_a_login(app: RunningApp, anonymous: AnonymousClient) -> None:
    assert await anonymous.error_codes(REGISTER, input=GOOD) == ["UNAUTHENTICATED"]
    assert await anonymous.error_codes(UNREGISTER, input={"endpoint": "https://localhost/"}) == ["UNAUTHENTICATED"]


async def test_a_server_without_push_refuses_subscriptions(make_app: MakeApp) -> None:
    app = await make_app(push="off")
    async with await sign_up(app, "ann") as ann:
        assert await ann.execute(KEY) == {"serverInfo": {"vapidPublicKey": None}}
        assert await ann.mutate(REGISTER, **GOOD) == {"errors": [{"code": "FORBIDDEN", "path": None}]}
        assert await ann.mutate(UNREGISTER, endpoint=GOOD["endpoint"]) == OK


async def test_the_server_key_is_the_same_for_all_users_and_after_a_restart(make_app: MakeApp) -> None:
    keys = []
    for app in (await make_app(), await make_app()):
        async with AnonymousClient(app) as anonymous:
            keys.append(await anonymous.execute(KEY))
    assert keys[0] == keys[1]
    assert len(keys[0]["serverInfo"]["vapidPublicKey"]) == 87


async def test_a_browser_belongs_to_one_user_at_a_time(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "for bob")
    assert len(await collect_pending(app)) == 1
    assert await cleo.mutate(REGISTER, **browser.subscription) == OK
    assert await collect_pending(app) == []
    assert await bob.mutate(UNREGISTER, endpoint=browser.subscription["endpoint"]) == OK
    await ann.send_messages(room_id, "for cleo")
    await push_everything(app)
    assert ((await browser.next_payload())["text"], len(browser.pushed)) == ("for cleo", 1)


async def test_concurrent_registrations_of_one_browser_store_one_subscription(
    app: RunningApp, ann: UserClient, bob: UserClient
) -> None:
    attempts = [client.mutate(REGISTER, **GOOD) for client in (ann, bob) * 8]
    assert await asyncio.gather(*attempts) == [OK] * 16
    assert await endpoints(app) == [GOOD["endpoint"]]


async def test_registering_too_many_browsers_deletes_the_oldest(app: RunningApp, ann: UserClient) -> None:
    all_endpoints = [f"https://localhost/push/{number}" for number in range(MAX_SUBSCRIPTIONS + 2)]
    for endpoint in all_endpoints:
        assert await ann.mutate(REGISTER, **{**GOOD, "endpoint": endpoint}) == OK
    assert await endpoints(app) == all_endpoints[2:]


async def ban(ann: UserClient, bob: UserClient) -> None:
    assert (await ann.mutate(BAN, userId=bob.id))["errors"] == []


async def log_out(ann: UserClient, bob: UserClient) -> None:
    await bob.execute(LOGOUT)


@pytest.mark.parametrize("end_session", [ban, log_out])
async def test_the_end_of_a_session_deletes_its_subscriptions(
    app: RunningApp,
    ann: UserClient,
    bob: UserClient,
    service: PushService,
    end_session: Callable[[UserClient, UserClient], Awaitable[None]],
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "before")
    assert len(await collect_pending(app)) == 1
    await end_session(ann, bob)
    await ann.send_messages(room_id, "after")
    await push_everything(app)
    assert browser.pushed == []
    assert app.roomcast.backend.notifier is not None
    await app.roomcast.backend.notifier.delete_expired_subscriptions()
    assert await endpoints(app) == []


async def test_other_sessions_keep_their_browsers(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    first_browser = await subscribe(bob, service)
    async with AnonymousClient(app) as anonymous:
        again = await anonymous.mutate(LOGIN, usernameOrEmail="bob", password=PASSWORD)
    async with UserClient(app, "bob", again) as second_session:
        new = await subscribe(second_session, service)
        await bob.execute(LOGOUT)
        await ann.send_messages(room_id, "hello")
        await push_everything(app)
        assert (await new.next_payload())["text"] == "hello"
    assert first_browser.pushed == []
