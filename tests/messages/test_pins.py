"""Pins: what moderators keep at hand for everybody in a room."""

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, PIN, UNPIN, codes
from tests.replay_invariant import replay_invariant

PINNED = (
    "query Pinned($id: ID!, $after: String) { room(id: $id) { pinnedMessages(first: 1, after: $after) "
    "{ nodes { body } pageInfo { hasNextPage endCursor } streamCursor } } }"
)


async def pinned(person: UserClient, room_id: str) -> list[str]:
    """The bodies of all pins, page by page."""
    bodies, after = list[str](), None
    while True:
        page = (await person.execute(PINNED, id=room_id, after=after))["room"]["pinnedMessages"]
        bodies += [node["body"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return bodies
        after = page["pageInfo"]["endCursor"]


async def test_pins_are_announced_and_the_newest_pin_comes_first(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    rules, menu = await ann.send_messages(den, "rules", "menu")
    async with replay_invariant(bob, den) as told:
        for message in (menu, rules, rules):
            assert codes(await ann.mutate(PIN, messageId=message["id"])) == []
    assert [event["reason"] for event in told] == ["PINNED", "PINNED"]
    assert await pinned(bob, den) == ["rules", "menu"]
    async with replay_invariant(bob, den) as told:
        await ann.mutate(UNPIN, messageId=rules["id"])
        await ann.mutate(UNPIN, messageId=rules["id"])
    assert [event["reason"] for event in told] == ["UNPINNED"]
    assert await pinned(bob, den) == ["menu"]


async def test_a_deleted_message_is_not_pinned_any_more(ann: UserClient) -> None:
    den = await ann.create_room("den")
    [menu] = await ann.send_messages(den, "menu")
    await ann.mutate(PIN, messageId=menu["id"])
    async with replay_invariant(ann, den):
        await ann.mutate(DELETE, messageId=menu["id"])
    assert await pinned(ann, den) == []
    assert codes(await ann.mutate(PIN, messageId=menu["id"])) == ["CONFLICT"]


async def test_who_does_not_moderate_pins_nothing(bob: UserClient, cleo: UserClient) -> None:
    den, hall = await bob.create_room("den", visibility="PRIVATE"), await bob.create_room("hall")
    [private], [public] = await bob.send_messages(den, "ours"), await bob.send_messages(hall, "all's")
    assert codes(await cleo.mutate(PIN, messageId=private["id"])) == ["NOT_FOUND"]
    assert codes(await cleo.mutate(PIN, messageId=public["id"])) == ["NOT_A_MEMBER"]
    await cleo.join(hall)
    assert codes(await cleo.mutate(PIN, messageId=public["id"])) == ["FORBIDDEN"]
