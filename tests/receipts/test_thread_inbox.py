"""Threads in the inbox: unread replies are announced, and read ones, on all devices and in all processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from roomcast.live import inbox_reconciler
from tests.api_clients import ClientSubscription, Json, UserClient
from tests.conftest import MakeApp
from tests.messages.documents import DELETE, EDIT
from tests.receipts.documents import FOLLOW, MARK_THREAD_READ, followed, reply
from tests.receipts.test_inbox import open_inbox, wait_for_event
from tests.receipts.test_lost_frames import app, at, cut_off_app, redis_proxy, redis_url  # noqa: F401 (fixtures)
from tests.receipts.test_thread_counts import start_walk
from tests.rooms.documents import DELETE as DELETE_ROOM
from tests.rooms.documents import change
from tests.running_app import RunningApp

CHANGED = "ThreadUnreadChanged"


async def test_an_inbox_reports_threads_that_become_unread_and_read(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root, other] = await bob.send_messages(room_id, "topic", "other")
    await reply(ann, room_id, root)
    async with open_inbox(bob) as (subscription, snapshot):
        assert snapshot["totalUnreadThreads"] == 1
        last = await reply(ann, room_id, root)
        event = await wait_for_event(subscription, CHANGED, viewerUnreadCount=2)
        assert (event["thread"]["root"]["id"], event["totalUnreadThreads"]) == (root["id"], 1)
        await reply(ann, room_id, other)
        assert (await wait_for_event(subscription, CHANGED, viewerUnreadCount=1))["totalUnreadThreads"] == 2
        await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=last["id"])
        event = await wait_for_event(subscription, CHANGED, viewerUnreadCount=0)
        assert (event["thread"]["root"]["id"], event["totalUnreadThreads"]) == (root["id"], 1)
        await reply(bob, room_id, other)  # replying reads
        event = await wait_for_event(subscription, CHANGED, viewerUnreadCount=0)
        assert (event["thread"]["root"]["id"], event["totalUnreadThreads"]) == (other["id"], 0)


async def test_an_inbox_reports_deleted_and_edited_replies(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    first, second = [await reply(ann, room_id, root, body) for body in ("one", "two")]
    async with open_inbox(bob) as (subscription, snapshot):
        assert snapshot["totalUnreadThreads"] == 0
        await ann.mutate(EDIT, messageId=first["id"], body="@bob")
        assert (await wait_for_event(subscription, CHANGED, viewerUnreadCount=2))["totalUnreadThreads"] == 1
        await ann.mutate(DELETE, messageId=second["id"])
        await wait_for_event(subscription, CHANGED, viewerUnreadCount=1)
        await ann.mutate(DELETE, messageId=first["id"])
        assert (await wait_for_event(subscription, CHANGED, viewerUnreadCount=0))["totalUnreadThreads"] == 0


async def test_an_inbox_reports_a_thread_that_is_not_followed_any_more(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "topic")
    await reply(ann, room_id, root)
    async with open_inbox(bob) as (subscription, _):
        await bob.mutate(FOLLOW, threadRootId=root["id"], following=False)
        event = await wait_for_event(subscription, CHANGED, viewerIsFollowing=False)
        assert (event["thread"]["viewerUnreadCount"], event["totalUnreadThreads"]) == (0, 0)


async def test_reading_a_thread_clears_the_mentions_in_it(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    async with open_inbox(bob) as (subscription, _):
        last = await reply(ann, room_id, root, "@bob")
        assert (await wait_for_event(subscription, "UnreadChanged", mentionCount=1))["totalMentions"] == 1
        await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=last["id"])
        assert (await wait_for_event(subscription, "UnreadChanged", mentionCount=0))["totalMentions"] == 0


@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
@pytest.mark.parametrize("way", ["leaves", "is removed", "room deleted"])
async def test_threads_of_a_lost_room_are_not_counted_any_more(
    visibility: str, way: str, ann: UserClient, bob: UserClient
) -> None:
    room_id, kept_id = [
        await ann.create_room(name, visibility=visibility, memberIds=[bob.id]) for name in ("den", "hall")
    ]
    for place in (room_id, kept_id):
        [root] = await bob.send_messages(place, "topic")
        await reply(ann, place, root, "secret")
    async with open_inbox(bob) as (subscription, snapshot):
        assert snapshot["totalUnreadThreads"] == 2
        if way == "leaves":
            await bob.leave(room_id)
        elif way == "is removed":
            await change(ann, "removeMember", roomId=room_id, userId=bob.id)
        else:
            assert (await ann.mutate(DELETE_ROOM, roomId=room_id))["errors"] == []
        total, events = 2, list[Json]()
        while total != 1:
            events.append(await subscription.next_event())
            total = events[-1].get("totalUnreadThreads", total)
        shown = [event for event in events if event["__typename"] == CHANGED]
        assert (len(shown) == 1) == (visibility == "PUBLIC" and way != "room deleted")
        assert await followed(bob, unreadOnly=True) == [(root["id"], 1)]


# ------------------------------------------------------------------ several processes, lost frames


async def test_a_thread_that_is_read_in_one_process_is_read_in_the_inbox_of_another(
    make_app: MakeApp,
    app: RunningApp,  # noqa: F811
    ann: UserClient,
    bob: UserClient,
    redis_url: str,  # noqa: F811
) -> None:
    second = await make_app(bus_url=redis_url, rate_limits="off")
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "topic")
    async with open_inbox(bob) as (subscription, _), at(second, ann) as other_ann, at(second, bob) as other_bob:
        last = await reply(other_ann, room_id, root)
        assert (await wait_for_event(subscription, CHANGED, viewerUnreadCount=1))["totalUnreadThreads"] == 1
        await other_bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=last["id"])
        assert (await wait_for_event(subscription, CHANGED, viewerUnreadCount=0))["totalUnreadThreads"] == 0


async def test_an_inbox_finds_threads_with_lost_frames(
    ann: UserClient,
    bob: UserClient,
    cut_off_app: RunningApp,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_reconciler, "CHECK_SECONDS", 2.0)
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "topic")
    async with (
        open_inbox(bob) as (subscription, _),
        at(cut_off_app, ann) as remote_ann,
        at(cut_off_app, bob) as remote_bob,
    ):
        last = await reply(remote_ann, room_id, root)
        await wait_for_event(subscription, CHANGED, viewerUnreadCount=1, totalUnreadThreads=1)
        await remote_bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=last["id"])
        await wait_for_event(subscription, CHANGED, viewerUnreadCount=0, totalUnreadThreads=0)
        await reply(remote_ann, room_id, root)
        await wait_for_event(subscription, CHANGED, viewerUnreadCount=1)
        await remote_bob.mutate(FOLLOW, threadRootId=root["id"], following=False)
        await wait_for_event(subscription, CHANGED, viewerIsFollowing=False, totalUnreadThreads=0)


# ------------------------------------------------------------------ random steps


class ThreadCache:
    """A client's copy of its unread threads, kept by inbox events. Replaced by each snapshot."""

    def __init__(self, person: UserClient, subscription: ClientSubscription) -> None:
        self._person, self._subscription = person, subscription
        self.counts: dict[str, int] = {}
        self.total = 0

    async def load(self, snapshot: Json) -> None:
        self.total = snapshot["totalUnreadThreads"]
        self.counts = dict(await followed(self._person, unreadOnly=True))

    async def run(self) -> None:
        while True:
            event = await self._subscription.next_event()
            if event["__typename"] == "InboxSnapshot":
                await self.load(event)
            elif event["__typename"] == CHANGED:
                self.total = event["totalUnreadThreads"]
                self.counts[event["thread"]["root"]["id"]] = event["thread"]["viewerUnreadCount"]

    async def has_converged(self) -> bool:
        truth = dict(await followed(self._person, unreadOnly=True))
        return self.total == len(truth) and {id_: count for id_, count in self.counts.items() if count} == truth


@asynccontextmanager
async def running_cache(person: UserClient) -> AsyncIterator[ThreadCache]:
    async with open_inbox(person) as (subscription, snapshot):
        cache = ThreadCache(person, subscription)
        await cache.load(snapshot)
        task = asyncio.create_task(cache.run())
        yield cache
        task.cancel()


@pytest.mark.parametrize("seed", [10, 11])
async def test_a_copy_kept_by_the_inbox_equals_what_a_query_returns(
    seed: int, ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    walk = await start_walk(seed, ann, bob, cleo)
    async with running_cache(ann) as of_ann, running_cache(bob) as of_bob:
        for _ in range(5):
            for _ in range(15):
                await walk.step()
            async with asyncio.timeout(10):
                for cache in (of_ann, of_bob):
                    while not await cache.has_converged():  # noqa: ASYNC110 (there is no event for it)
                        await asyncio.sleep(0.05)
