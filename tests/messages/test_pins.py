"""Pinned messages."""

from tests.api_clients import UserClient
from tests.messages.documents import DELETE, PIN, UNPIN, codes
from tests.replay_invariant import replay_invariant

PINNED = (
    "query Pinned($id: ID!, $after: String) { room(id: $id) { pinnedMessages(first: 1, after: $after) "
    "{ nodes { body } pageInfo { hasNextPage endCursor } streamCursor } } }"
)


async def pinned(client: UserClient, room_id: str) -> list[str]:
    """The bodies of all pinned messages, loaded page by page."""
    bodies, after = list[str](), None
    while True:
        page = (await client.execute(PINNED, id=room_id, after=after))["room"]["pinnedMessages"]
        bodies += [node["body"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return bodies
        after = page["pageInfo"]["endCursor"]


async def test_pins_are_announced_and_the_newest_pin_comes_first(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    rules, menu = await ann.send_messages(room_id, "rules", "menu")
    async with replay_invariant(bob, room_id) as events:
        for message in (menu, rules, rules):
            assert codes(await ann.mutate(PIN, messageId=message["id"])) == []
    assert [event["updateReason"] for event in events] == ["PINNED", "PINNED"]
    assert await pinned(bob, room_id) == ["rules", "menu"]
    async with replay_invariant(bob, room_id) as events:
        await ann.mutate(UNPIN, messageId=rules["id"])
        await ann.mutate(UNPIN, messageId=rules["id"])
    assert [event["updateReason"] for event in events] == ["UNPINNED"]
    assert await pinned(bob, room_id) == ["menu"]


async def test_a_deleted_message_is_not_pinned_any_more(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [menu] = await ann.send_messages(room_id, "menu")
    await ann.mutate(PIN, messageId=menu["id"])
    async with replay_invariant(ann, room_id):
        await ann.mutate(DELETE, messageId=menu["id"])
    assert await pinned(ann, room_id) == []
    assert codes(await ann.mutate(PIN, messageId=menu["id"])) == ["CONFLICT"]


async def test_only_moderators_pin_messages(bob: UserClient, cleo: UserClient) -> None:
    room_id, other_room_id = await bob.create_room("den", visibility="PRIVATE"), await bob.create_room("hall")
    [private], [public] = await bob.send_messages(room_id, "ours"), await bob.send_messages(other_room_id, "all's")
    assert codes(await cleo.mutate(PIN, messageId=private["id"])) == ["NOT_FOUND"]
    assert codes(await cleo.mutate(PIN, messageId=public["id"])) == ["NOT_A_MEMBER"]
    await cleo.join(other_room_id)
    assert codes(await cleo.mutate(PIN, messageId=public["id"])) == ["FORBIDDEN"]
