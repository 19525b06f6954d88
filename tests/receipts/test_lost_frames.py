"""Inboxes and presence of a process that loses the frames of another process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from roomcast.live import inbox_reconciler
from tests import servers
from tests.api_clients import ClientSubscription, UserClient
from tests.conftest import MakeApp
from tests.presence.documents import PRESENCE
from tests.realtime.listener import until as until_true
from tests.realtime.proxy import Proxy
from tests.receipts.test_inbox import open_inbox, wait_for_event
from tests.receipts.test_unread import MARK_READ, SET_PREFERENCES
from tests.rooms.documents import change
from tests.running_app import RunningApp


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    try:
        server = servers.start_redis("PATH", "wheel")
    except servers.Unavailable as reason:
        servers.skip(reason)
    with closing(server):
        yield server.url


@pytest.fixture
async def app(make_app: MakeApp, redis_url: str) -> RunningApp:
    return await make_app(bus_url=redis_url, rate_limits="off")


@pytest.fixture
async def redis_proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def cut_off_app(make_app: MakeApp, app: RunningApp, redis_proxy: Proxy) -> RunningApp:
    """Another process, whose frames are lost after the commit."""
    other = await make_app(bus_url=redis_proxy.url, rate_limits="off")
    await until_true(lambda: other.roomcast.bus.connected)
    await redis_proxy.cut()
    await until_true(lambda: not other.roomcast.bus.connected)
    return other


@asynccontextmanager
async def at(app: RunningApp, person: UserClient) -> AsyncIterator[UserClient]:
    tokens = {"accessToken": person.token, "refreshToken": person.refresh_token}
    async with UserClient(app, person.name, {"tokens": tokens, "user": {"id": person.id}}) as client:
        yield client


async def until_unread(subscription: ClientSubscription, room_id: str, count: int) -> None:
    """Wait for a change or a snapshot with this count: a resync may come first."""
    shown = None
    while shown != count:
        event = await subscription.next_event()
        rooms = event.get("rooms") or [event.get("unread") or {}]
        shown = next((room["unreadCount"] for room in rooms if room.get("roomId") == room_id), shown)


async def test_an_inbox_finds_messages_and_names_with_lost_frames(
    ann: UserClient, bob: UserClient, cut_off_app: RunningApp
) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    async with open_inbox(bob) as (subscription, _), at(cut_off_app, ann) as remote_ann:
        await remote_ann.send_messages(room_id, "lost")
        await until_unread(subscription, room_id, 1)
        await change(remote_ann, "updateRoom", roomId=other_room_id, name="lobby")
        event = await wait_for_event(subscription, "RoomListChanged", roomId=other_room_id, change="UPDATED")
        assert event["now"]["name"] == "lobby"


async def test_an_inbox_finds_a_lost_name_before_a_delivered_message(
    ann: UserClient, bob: UserClient, cut_off_app: RunningApp
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with open_inbox(bob) as (subscription, _), at(cut_off_app, ann) as remote_ann:
        await change(remote_ann, "updateRoom", roomId=room_id, name="lair")
        await ann.send_messages(room_id, "delivered")
        event = await wait_for_event(subscription, "RoomListChanged", roomId=room_id, change="UPDATED")
        assert event["now"]["name"] == "lair"


async def test_an_inbox_finds_lost_changes_that_are_in_no_log(
    ann: UserClient, bob: UserClient, cut_off_app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_reconciler, "CHECK_SECONDS", 2.0)
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [message] = await ann.send_messages(room_id, "unread")
    async with (
        open_inbox(bob) as (subscription, snapshot),
        at(cut_off_app, bob) as remote_bob,
        at(cut_off_app, ann) as remote_ann,
    ):
        assert snapshot["totalUnread"] == 1
        await remote_bob.mutate(MARK_READ, roomId=room_id, upToMessageId=message["id"])
        assert (await wait_for_event(subscription, "InboxSnapshot"))["totalUnread"] == 0
        await remote_bob.mutate(SET_PREFERENCES, roomId=room_id, favourite=True)
        event = await wait_for_event(subscription, "RoomListChanged", roomId=room_id, change="UPDATED")
        assert event["now"]["viewerMembership"] == {"favourite": True}
        other_room_id = await remote_ann.create_room("hall", memberIds=[bob.id])
        snapshot = await wait_for_event(subscription, "InboxSnapshot")
        assert other_room_id in [room["roomId"] for room in snapshot["rooms"]]


async def test_presence_finds_a_member_who_left_with_a_lost_frame(
    ann: UserClient, bob: UserClient, cut_off_app: RunningApp
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as ann_connection, bob.connect(), at(cut_off_app, bob) as remote_bob:
        subscription = await ann_connection.subscribe(PRESENCE, roomId=room_id)
        shown: set[str] = set()
        while shown != {"ann", "bob"}:
            shown |= {user["username"] for user in (await subscription.next_event())["users"]}
        await remote_bob.leave(room_id)
        event = await subscription.next_event()
        assert (event["snapshot"], [user["username"] for user in event["users"]]) == (True, ["ann"])


async def test_lost_frames_are_announced_when_the_sender_reconnects(
    ann: UserClient, bob: UserClient, cut_off_app: RunningApp, redis_proxy: Proxy
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [message] = await ann.send_messages(room_id, "unread")
    async with open_inbox(bob) as (subscription, _), at(cut_off_app, bob) as remote_bob:
        await remote_bob.mutate(MARK_READ, roomId=room_id, upToMessageId=message["id"])
        await until_true(lambda: cut_off_app.roomcast.bus.stats.dropped > 0)
        await redis_proxy.listen()
        assert (await wait_for_event(subscription, "InboxSnapshot"))["totalUnread"] == 0
