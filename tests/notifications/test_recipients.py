"""Whom a message calls: asked when it is noticed, and again before anything is sent."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.messages.models import Message
from roomcast.notifications.policy import STALE
from tests.api_clients import UserClient
from tests.messages.documents import DELETE
from tests.notifications.browsers import PushService, noticed, said, subscribe, told
from tests.receipts.test_unread import MARK_READ, SET_PREFERENCES
from tests.rooms.documents import change
from tests.running_app import RunningApp

OPEN = (
    "mutation O($input: OpenDirectMessageInput!) { openDirectMessage(input: $input) { errors { code } room { id } } }"
)


async def prefer(person: UserClient, room_id: str, **wanted: object) -> None:
    assert (await person.mutate(SET_PREFERENCES, roomId=room_id, **wanted))["errors"] == []


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("ALL", ["@cleo and others", "by @bob's name", "plain", "to @room"]),
        ("MENTIONS", ["by @bob's name", "to @room"]),
        ("NONE", []),
    ],
)
async def test_a_level_says_what_calls(
    app: RunningApp,
    ann: UserClient,
    bob: UserClient,
    cleo: UserClient,
    service: PushService,
    level: str,
    heard: list[str],
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    browser = await subscribe(bob, service)
    await prefer(bob, den, notificationLevel=level)
    texts = []
    for body in ("plain", "by @bob's name", "to @room", "@cleo and others"):
        before = len(browser.pushed)
        await ann.say(den, body)
        await told(app)
        texts += [(await browser.hears())["text"] for _ in browser.pushed[before:]]
    assert sorted(texts) == heard


async def test_a_mention_says_that_it_is_one_and_is_urgent(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    for body, mention, urgency in (("plain", False, "normal"), ("@bob", True, "high")):
        await ann.say(den, body)
        await told(app)
        heard = await browser.hears()
        assert (heard["mention"], browser.pushed[-1].headers["urgency"]) == (mention, urgency)


async def test_nobody_hears_themselves_or_a_room_that_they_are_not_in(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browsers = [await subscribe(person, service) for person in (ann, bob, cleo)]
    await ann.say(den, "hello @cleo")
    await told(app)
    assert [len(browser.pushed) for browser in browsers] == [0, 1, 0]


async def test_a_direct_message_calls_without_a_room_name(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    direct = (await ann.mutate(OPEN, userIds=[bob.id]))["room"]["id"]
    browser = await subscribe(bob, service)
    await ann.say(direct, "psst")
    await told(app)
    heard = await browser.hears()
    assert (heard["roomKind"], heard["roomName"], heard["author"], heard["text"]) == ("DIRECT", None, "ann", "psst")
    assert browser.pushed[0].headers["urgency"] == "high"


async def test_a_thread_calls_those_who_have_a_part_in_it(
    app: RunningApp, ann: UserClient, bob: UserClient, cleo: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root] = await bob.say(den, "a question")
    browsers = [await subscribe(person, service) for person in (ann, bob, cleo)]

    async def answered(by: UserClient, body: str) -> list[int]:
        before = [len(browser.pushed) for browser in browsers]
        assert (await by.send(den, body, threadRootId=root["id"]))["errors"] == []
        await told(app)
        return [len(browser.pushed) - count for browser, count in zip(browsers, before, strict=True)]

    assert await answered(ann, "an answer") == [0, 1, 0]
    assert await answered(bob, "thanks") == [1, 0, 0]
    assert await answered(bob, "and @cleo?") == [1, 0, 1]
    heard = await browsers[1].hears()
    assert (heard["threadRootId"], heard["text"], heard["unread"]) == (root["id"], "an answer", 0)


async def left(ann: UserClient, bob: UserClient, den: str, _message: str) -> None:
    await bob.leave(den)


async def removed(ann: UserClient, bob: UserClient, den: str, _message: str) -> None:
    await change(ann, "removeMember", roomId=den, userId=bob.id)


async def read(ann: UserClient, bob: UserClient, den: str, message: str) -> None:
    assert (await bob.mutate(MARK_READ, roomId=den, upToMessageId=message))["errors"] == []


async def snoozed(ann: UserClient, bob: UserClient, den: str, _message: str) -> None:
    await prefer(bob, den, mutedUntil=(now() + timedelta(hours=1)).isoformat())


async def silenced(ann: UserClient, bob: UserClient, den: str, _message: str) -> None:
    await prefer(bob, den, notificationLevel="NONE")


async def deleted(ann: UserClient, bob: UserClient, _den: str, message: str) -> None:
    assert (await ann.mutate(DELETE, messageId=message))["errors"] == []


@pytest.mark.parametrize("change_of_mind", [left, removed, read, snoozed, silenced, deleted])
@pytest.mark.parametrize("when", ["before it is noticed", "just before it is sent"])
async def test_what_is_no_news_any_more_is_not_told(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService, change_of_mind: object, when: str
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    [message] = await ann.say(den, "hello @bob")
    if when == "just before it is sent":
        assert len(await noticed(app)) == 1
    await change_of_mind(ann, bob, den, message["id"])  # type: ignore[operator]
    await told(app)
    assert browser.pushed == []
    assert await noticed(app) == []


async def test_several_messages_of_a_room_are_one_push_that_replaces_the_one_before(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den, attic = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "attic")]
    browser = await subscribe(bob, service)
    await ann.say(den, "one", "two")
    assert len(await noticed(app)) == 1
    await ann.say(den, "three")
    assert len(await noticed(app)) == 1
    await said(app)
    await ann.say(den, "four")
    await told(app)
    await ann.say(attic, "elsewhere")
    await told(app)
    heard = [await browser.hears() for _ in range(3)]
    assert [(each["text"], each["unread"], each["badge"]) for each in heard] == [
        ("three", 3, 3),
        ("four", 4, 4),
        ("elsewhere", 1, 5),
    ]
    topics = [pushed.headers["topic"] for pushed in browser.pushed]
    assert topics[0] == topics[1] != topics[2]
    assert len(topics[0]) <= 32


async def test_what_was_said_just_before_a_push_left_is_told_once(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.say(den, "noticed")
    assert len(await noticed(app)) == 1
    await ann.say(den, "not noticed yet")
    await said(app)
    await told(app)
    heard = [(await browser.hears())["text"] for _ in browser.pushed]
    assert heard == ["noticed", "not noticed yet"]


async def test_what_was_said_long_ago_is_skipped(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.say(den, "before the power cut")
    assert len(await noticed(app)) == 1
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(table(Message)).values(created_at=now() - STALE))
    await said(app)
    assert await noticed(app) == []
    await ann.say(den, "and after it")
    await told(app)
    assert ((await browser.hears())["text"], len(browser.pushed)) == ("and after it", 1)


async def test_what_was_said_before_a_browser_came_is_not_told(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    await ann.say(den, "early")
    browser = await subscribe(bob, service)
    await told(app)
    assert browser.pushed == []


async def test_a_deleted_room_takes_what_was_to_be_said_along(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.say(den, "hello")
    assert len(await noticed(app)) == 1
    assert (
        await ann.mutate(
            "mutation D($input: RoomIdInput!) { deleteRoom(input: $input) { errors { code } } }", roomId=den
        )
    )["errors"] == []
    await told(app)
    assert browser.pushed == []
