"""Reactions: one per user and emoji, with the same counts in live events and in a replay."""

import asyncio

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, MESSAGE_BY_ID, REACT, REMOVE_REACTION, codes
from tests.replay_invariant import event_kinds, replay_invariant


async def test_a_reaction_is_counted_once_per_user(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await ann.send_messages(room_id, "lunch?")
    async with replay_invariant(bob, room_id) as events:
        await ann.mutate(REACT, messageId=message["id"], emoji="👍")
        await bob.mutate(REACT, messageId=message["id"], emoji="👍")
        again = await bob.mutate(REACT, messageId=message["id"], emoji="👍")
    assert [(event["emoji"], event["count"], event["added"]) for event in events] == [("👍", 1, True), ("👍", 2, True)]
    assert again["cursor"] is None
    [group] = again["message"]["reactions"]
    assert (group["count"], group["viewerHasReacted"], group["users"]["totalCount"]) == (2, True, 2)
    assert [user["username"] for user in group["users"]["nodes"]] == ["ann", "bob"]


async def test_a_removed_reaction_is_gone(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await ann.send_messages(room_id, "lunch?")
    await bob.mutate(REACT, messageId=message["id"], emoji="🎉")
    async with replay_invariant(ann, room_id) as events:
        removed = await bob.mutate(REMOVE_REACTION, messageId=message["id"], emoji="🎉")
        await bob.mutate(REMOVE_REACTION, messageId=message["id"], emoji="🎉")
    assert event_kinds(events) == ["ReactionChanged"]
    assert (events[0]["added"], events[0]["count"]) == (False, 0)
    assert removed["message"]["reactions"] == []


async def test_two_concurrent_reactions_are_both_counted(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await ann.send_messages(room_id, "now")
    async with replay_invariant(ann, room_id) as events:
        await asyncio.gather(*(client.mutate(REACT, messageId=message["id"], emoji="⏱️") for client in (ann, bob)))
    assert [event["count"] for event in events] == [1, 2]


async def test_only_an_emoji_is_a_reaction(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "hm")
    for text in ("", "a", "ok", "1", ":+1:", "👍👍", "🏻", "👍 ", "<b>", "\u200d", "🇩"):
        assert codes(await ann.mutate(REACT, messageId=message["id"], emoji=text)) == ["VALIDATION_FAILED"], text


async def test_spellings_of_one_emoji_are_one_reaction(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "hm")
    for spelling in ("❤", "❤️", "🇩🇪", "👩🏽‍🚀", "1️⃣"):
        last = await ann.mutate(REACT, messageId=message["id"], emoji=spelling)
    assert {group["emoji"] for group in last["message"]["reactions"]} == {"❤️", "🇩🇪", "👩🏽‍🚀", "1️⃣"}


async def test_only_members_react_and_not_to_deleted_messages(bob: UserClient, cleo: UserClient) -> None:
    room_id, other_room_id = await bob.create_room("den", visibility="PRIVATE"), await bob.create_room("hall")
    [private], [public] = await bob.send_messages(room_id, "ours"), await bob.send_messages(other_room_id, "all's")
    assert codes(await cleo.mutate(REACT, messageId=private["id"], emoji="👍")) == ["NOT_FOUND"]
    assert codes(await cleo.mutate(REACT, messageId=public["id"], emoji="👍")) == ["NOT_A_MEMBER"]
    await bob.mutate(REACT, messageId=public["id"], emoji="👍")
    async with replay_invariant(cleo, other_room_id):
        await bob.mutate(DELETE, messageId=public["id"])
    assert (await cleo.execute(MESSAGE_BY_ID, id=public["id"]))["message"]["reactions"] == []
    assert codes(await bob.mutate(REACT, messageId=public["id"], emoji="👍")) == ["CONFLICT"]
