"""Who gets a push for a message. The conditions are evaluated at the scan and again before sending."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.messages.models import Message
from roomcast.notifications.policy import MAX_MESSAGE_AGE
from tests.api_clients import UserClient
from tests.messages.documents import DELETE
from tests.notifications.browsers import PushService, collect_pending, deliver_pending, push_everything, subscribe
from tests.receipts.documents import FOLLOW, MARK_THREAD_READ, reply
from tests.receipts.test_unread import MARK_READ, SET_PREFERENCES
from tests.rooms.documents import change
from tests.running_app import RunningApp

OPEN = (
    "mutation O($input: OpenDirectMessageInput!) { openDirectMessage(input: $input) { errors { code } room { id } } }"
)


async def set_preferences(client: UserClient, room_id: str, **preferences: object) -> None:
    assert (await client.mutate(SET_PREFERENCES, roomId=room_id, **preferences))["errors"] == []


@pytest.mark.parametrize(
    ("level", "pushed_texts"),
    [
        ("ALL", ["@cleo and others", "by @bob's name", "plain", "to @room"]),
        ("MENTIONS", ["by @bob's name", "to @room"]),
        ("NONE", []),
    ],
)
async def test_the_notification_level_decides_what_is_pushed(
    app: RunningApp,
    ann: UserClient,
    bob: UserClient,
    cleo: UserClient,
    service: PushService,
    level: str,
    pushed_texts: list[str],
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    browser = await subscribe(bob, service)
    await set_preferences(bob, room_id, notificationLevel=level)
    texts = []
    for body in ("plain", "by @bob's name", "to @room", "@cleo and others"):
        before = len(browser.pushed)
        await ann.send_messages(room_id, body)
        await push_everything(app)
        texts += [(await browser.next_payload())["text"] for _ in browser.pushed[before:]]
    assert sorted(texts) == pushed_texts


async def test_a_mention_is_marked_and_urgent(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    for body, mention, urgency in (("plain", False, "normal"), ("@bob", True, "high")):
        await ann.send_messages(room_id, body)
        await push_everything(app)
        payloads = await browser.next_payload()
        assert (payloads["mention"], browser.pushed[-1].headers["urgency"]) == (mention, urgency)


async def test_authors_and_non_members_get_no_push(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browsers = [await subscribe(client, service) for client in (ann, bob, cleo)]
    await ann.send_messages(room_id, "hello @cleo")
    await push_everything(app)
    assert [len(browser.pushed) for browser in browsers] == [0, 1, 0]


async def test_a_direct_message_is_pushed_without_a_room_name(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    direct = (await ann.mutate(OPEN, userIds=[bob.id]))["room"]["id"]
    browser = await subscribe(bob, service)
    await ann.send_messages(direct, "psst")
    await push_everything(app)
    payloads = await browser.next_payload()
    assert (payloads["roomKind"], payloads["roomName"], payloads["author"], payloads["text"]) == (
        "DIRECT",
        None,
        "ann",
        "psst",
    )
    assert browser.pushed[0].headers["urgency"] == "high"


async def test_a_thread_reply_is_pushed_to_its_participants(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await bob.send_messages(room_id, "a question")
    browsers = [await subscribe(client, service) for client in (ann, bob, cleo)]

    async def pushes_after_reply(by: UserClient, body: str) -> list[int]:
        before = [len(browser.pushed) for browser in browsers]
        assert (await by.send(room_id, body, threadRootId=root["id"]))["errors"] == []
        await push_everything(app)
        return [len(browser.pushed) - count for browser, count in zip(browsers, before, strict=True)]

    assert await pushes_after_reply(ann, "an answer") == [0, 1, 0]
    assert await pushes_after_reply(bob, "thanks") == [1, 0, 0]
    assert await pushes_after_reply(bob, "and @cleo?") == [1, 0, 1]
    payloads = await browsers[1].next_payload()
    assert (payloads["threadRootId"], payloads["text"], payloads["unread"]) == (root["id"], "an answer", 0)


async def test_a_thread_reply_is_pushed_until_the_thread_is_read_or_not_followed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await bob.send_messages(room_id, "a question")
    browser = await subscribe(bob, service)
    answer = await reply(ann, room_id, root, "an answer")
    [later] = await ann.send_messages(room_id, "something else")
    assert (await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=later["id"]))["errors"] == []
    await push_everything(app)
    assert (await browser.next_payload())["text"] == "an answer"
    answer = await reply(ann, room_id, root, "@bob, another one")
    marked = await bob.mutate(MARK_THREAD_READ, threadRootId=root["id"], upToMessageId=answer["id"])
    assert marked["errors"] == []
    await push_everything(app)
    assert (await bob.mutate(FOLLOW, threadRootId=root["id"], following=False))["errors"] == []
    await reply(ann, room_id, root, "one more")
    await push_everything(app)
    assert len(browser.pushed) == 1


async def left(ann: UserClient, bob: UserClient, room_id: str, _message: str) -> None:
    await bob.leave(room_id)


async def removed(ann: UserClient, bob: UserClient, room_id: str, _message: str) -> None:
    await change(ann, "removeMember", roomId=room_id, userId=bob.id)


async def read(ann: UserClient, bob: UserClient, room_id: str, message: str) -> None:
    assert (await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=message))["errors"] == []


async def snoozed(ann: UserClient, bob: UserClient, room_id: str, _message: str) -> None:
    await set_preferences(bob, room_id, snoozedUntil=(now() + timedelta(hours=1)).isoformat())


async def silenced(ann: UserClient, bob: UserClient, room_id: str, _message: str) -> None:
    await set_preferences(bob, room_id, notificationLevel="NONE")


async def deleted(ann: UserClient, bob: UserClient, _room_id: str, message: str) -> None:
    assert (await ann.mutate(DELETE, messageId=message))["errors"] == []


@pytest.mark.parametrize("cancel", [left, removed, read, snoozed, silenced, deleted])
@pytest.mark.parametrize("when", ["before the scan", "between scan and push"])
async def test_a_message_that_needs_no_push_any_more_is_not_pushed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, cancel: object, when: str
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    [message] = await ann.send_messages(room_id, "hello @bob")
    if when == "between scan and push":
        assert len(await collect_pending(app)) == 1
    await cancel(ann, bob, room_id, message["id"])  # type: ignore[operator]
    await push_everything(app)
    assert browser.pushed == []
    assert await collect_pending(app) == []


async def test_messages_of_one_room_are_one_push_that_replaces_the_previous_one(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "attic")]
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "one", "two")
    assert len(await collect_pending(app)) == 1
    await ann.send_messages(room_id, "three")
    assert len(await collect_pending(app)) == 1
    await deliver_pending(app)
    await ann.send_messages(room_id, "four")
    await push_everything(app)
    await ann.send_messages(other_room_id, "elsewhere")
    await push_everything(app)
    payloads = [await browser.next_payload() for _ in range(3)]
    assert [(each["text"], each["unread"], each["badge"]) for each in payloads] == [
        ("three", 3, 3),
        ("four", 4, 4),
        ("elsewhere", 1, 5),
    ]
    topics = [pushed.headers["topic"] for pushed in browser.pushed]
    assert topics[0] == topics[1] != topics[2]
    assert len(topics[0]) <= 32


async def test_a_message_sent_just_before_a_push_is_pushed_once(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "before the scan")
    assert len(await collect_pending(app)) == 1
    await ann.send_messages(room_id, "after the scan")
    await deliver_pending(app)
    await push_everything(app)
    payloads = [(await browser.next_payload())["text"] for _ in browser.pushed]
    assert payloads == ["before the scan", "after the scan"]


async def test_an_old_message_is_not_pushed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "before the power cut")
    assert len(await collect_pending(app)) == 1
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(table(Message)).values(created_at=now() - MAX_MESSAGE_AGE))
    await deliver_pending(app)
    assert await collect_pending(app) == []
    await ann.send_messages(room_id, "and after it")
    await push_everything(app)
    assert ((await browser.next_payload())["text"], len(browser.pushed)) == ("and after it", 1)


async def test_a_message_older_than_the_subscription_is_not_pushed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await ann.send_messages(room_id, "early")
    browser = await subscribe(bob, service)
    await push_everything(app)
    assert browser.pushed == []


async def test_deleting_a_room_deletes_its_pending_pushes(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "hello")
    assert len(await collect_pending(app)) == 1
    assert (
        await ann.mutate(
            "mutation D($input: DeleteRoomInput!) { deleteRoom(input: $input) { errors { code } } }", roomId=room_id
        )
    )["errors"] == []
    await push_everything(app)
    assert browser.pushed == []
