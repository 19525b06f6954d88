"""Reactions: real emoji, each person's each once, counted alike by those who listened and those who come back."""

import asyncio

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, REACT, SEEN, TAKE_BACK, codes
from tests.replay_invariant import event_kinds, replay_invariant


async def test_a_reaction_is_counted_once_for_each_person(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    [message] = await ann.send_messages(den, "lunch?")
    async with replay_invariant(bob, den) as told:
        await ann.mutate(REACT, messageId=message["id"], emoji="👍")
        await bob.mutate(REACT, messageId=message["id"], emoji="👍")
        again = await bob.mutate(REACT, messageId=message["id"], emoji="👍")
    assert [(event["emoji"], event["count"], event["added"]) for event in told] == [("👍", 1, True), ("👍", 2, True)]
    assert again["cursor"] is None
    [group] = again["message"]["reactions"]
    assert (group["count"], group["viewerHasReacted"], group["users"]["totalCount"]) == (2, True, 2)
    assert [user["username"] for user in group["users"]["nodes"]] == ["ann", "bob"]


async def test_a_reaction_taken_back_is_gone(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    [message] = await ann.send_messages(den, "lunch?")
    await bob.mutate(REACT, messageId=message["id"], emoji="🎉")
    async with replay_invariant(ann, den) as told:
        gone = await bob.mutate(TAKE_BACK, messageId=message["id"], emoji="🎉")
        await bob.mutate(TAKE_BACK, messageId=message["id"], emoji="🎉")
    assert event_kinds(told) == ["ReactionChanged"]
    assert (told[0]["added"], told[0]["count"]) == (False, 0)
    assert gone["message"]["reactions"] == []


async def test_two_who_react_at_once_are_both_counted(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    [message] = await ann.send_messages(den, "now")
    async with replay_invariant(ann, den) as told:
        await asyncio.gather(*(person.mutate(REACT, messageId=message["id"], emoji="⏱️") for person in (ann, bob)))
    assert [event["count"] for event in told] == [1, 2]


async def test_only_an_emoji_is_a_reaction(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, "hm")
    for text in ("", "a", "ok", "1", ":+1:", "👍👍", "🏻", "👍 ", "<b>", "\u200d", "🇩"):
        assert codes(await ann.mutate(REACT, messageId=message["id"], emoji=text)) == ["VALIDATION_FAILED"], text


async def test_spellings_of_one_emoji_are_one_reaction(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [message] = await ann.send_messages(den, "hm")
    for spelling in ("❤", "❤️", "🇩🇪", "👩🏽‍🚀", "1️⃣"):
        last = await ann.mutate(REACT, messageId=message["id"], emoji=spelling)
    assert {group["emoji"] for group in last["message"]["reactions"]} == {"❤️", "🇩🇪", "👩🏽‍🚀", "1️⃣"}


async def test_strangers_guests_and_the_dead_have_no_reactions(bob: UserClient, cleo: UserClient) -> None:
    den, hall = await bob.create_room("den", visibility="PRIVATE"), await bob.create_room("hall")
    [private], [public] = await bob.send_messages(den, "ours"), await bob.send_messages(hall, "all's")
    assert codes(await cleo.mutate(REACT, messageId=private["id"], emoji="👍")) == ["NOT_FOUND"]
    assert codes(await cleo.mutate(REACT, messageId=public["id"], emoji="👍")) == ["NOT_A_MEMBER"]
    await bob.mutate(REACT, messageId=public["id"], emoji="👍")
    async with replay_invariant(cleo, hall):
        await bob.mutate(DELETE, messageId=public["id"])
    assert (await cleo.execute(SEEN, id=public["id"]))["message"]["reactions"] == []
    assert codes(await bob.mutate(REACT, messageId=public["id"], emoji="👍")) == ["CONFLICT"]
