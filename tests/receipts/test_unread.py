"""Unread counts, read positions, readers and room preferences."""

from tests.api_clients import Json, UserClient
from tests.messages.documents import DELETE
from tests.statements import statements

MEMBERSHIP = "lastReadSeq unreadCount unreadIsCapped mentionCount notificationLevel snoozedUntil favourite"
MARK_READ = (
    "mutation Mark($input: MarkReadInput!) { markRead(input: $input) "
    "{ errors { code path } membership { " + MEMBERSHIP + " } } }"
)
SET_PREFERENCES = (
    "mutation Prefer($input: SetRoomPreferencesInput!) { setRoomPreferences(input: $input) "
    "{ errors { code } room { viewerMembership { " + MEMBERSHIP + " } } } }"
)
ROOMS = (
    "query Rooms { me { totalUnread totalMentions } rooms { nodes { id viewerMembership { " + MEMBERSHIP + " } } } }"
)
READ_BY = "query ReadBy($id: ID!) { message(id: $id) { readBy(first: 5) { totalCount nodes { username } } } }"
READ_MARKERS = (
    "subscription Marks($roomId: ID!, $after: Cursor) { roomEvents(roomId: $roomId, after: $after) "
    "{ __typename cursor replayed ... on ReadMarkerMoved { user { username } upToSeq } "
    "... on MessageCreated { message { seq } } } }"
)


async def unread(person: UserClient, room_id: str) -> Json:
    """The user's membership in the room, from their list of rooms."""
    nodes = (await person.execute(ROOMS))["rooms"]["nodes"]
    [membership] = [node["viewerMembership"] for node in nodes if node["id"] == room_id]
    return dict(membership)


async def test_messages_of_others_are_unread_until_they_are_marked_read(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "before bob")
    await bob.join(room_id)
    assert (await unread(bob, room_id))["unreadCount"] == 0
    messages = await ann.send_messages(room_id, "one", "two", "three")
    await ann.mutate(DELETE, messageId=messages[0]["id"])
    assert (await unread(bob, room_id))["unreadCount"] == 2
    assert (await unread(ann, room_id))["unreadCount"] == 0
    marked = await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=messages[1]["id"])
    assert marked["membership"]["unreadCount"] == 1
    assert marked["membership"]["lastReadSeq"] == messages[1]["seq"]


async def test_the_read_position_moves_back_only_with_force(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    one, two = await ann.send_messages(room_id, "one", "two")
    for message, force, left in ((two, False, 0), (one, False, 0), (one, True, 1)):
        marked = await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=message["id"], force=force)
        assert marked["membership"]["unreadCount"] == left


async def test_counts_are_exact_to_a_hundred_and_then_capped(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await ann.send_messages(room_id, *("@bob" for _ in range(100)))
    full = await unread(bob, room_id)
    assert (full["unreadCount"], full["unreadIsCapped"], full["mentionCount"]) == (100, False, 100)
    await ann.send_messages(room_id, "one more")
    capped = await unread(bob, room_id)
    assert (capped["unreadCount"], capped["unreadIsCapped"]) == (100, True)


async def test_a_message_moves_its_authors_read_position_and_a_thread_reply_does_not(
    ann: UserClient, bob: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [root] = await ann.send_messages(room_id, "topic")
    await bob.send(room_id, "aside", threadRootId=root["id"])
    assert (await unread(bob, room_id))["unreadCount"] == 1
    assert (await unread(ann, room_id))["unreadCount"] == 0
    [own_message] = await bob.send_messages(room_id, "hello")
    after = await unread(bob, room_id)
    assert (after["unreadCount"], after["lastReadSeq"]) == (0, own_message["seq"])


async def test_each_message_counts_as_one_mention_in_threads_too(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    root, *_, last = await ann.send_messages(room_id, "@bob", "@room @bob", "@room", "`@bob`", "@ann")
    await ann.send(room_id, "@bob", threadRootId=root["id"])
    assert [(await unread(person, room_id))["mentionCount"] for person in (ann, bob, cleo)] == [0, 4, 2]
    await ann.mutate(DELETE, messageId=root["id"])
    assert (await unread(bob, room_id))["mentionCount"] == 3
    marked = await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=last["id"])
    assert marked["membership"]["mentionCount"] == 1


async def test_totals_are_sums_over_all_rooms(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    await ann.send_messages(room_id, "one", "@bob")
    await ann.send_messages(other_room_id, "three")
    assert (await bob.execute(ROOMS))["me"] == {"totalUnread": 3, "totalMentions": 1}


async def test_only_members_can_mark_messages_of_the_room_read(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = await ann.create_room("den", visibility="PRIVATE"), await ann.create_room("hall")
    [private], [public] = await ann.send_messages(room_id, "ours"), await ann.send_messages(other_room_id, "all's")
    for room, message, code in ((room_id, private, "NOT_FOUND"), (other_room_id, public, "NOT_A_MEMBER")):
        assert (await bob.mutate(MARK_READ, roomId=room, upToMessageId=message["id"]))["errors"][0]["code"] == code
    assert (await ann.mutate(MARK_READ, roomId=room_id, upToMessageId=public["id"]))["errors"][0]["code"] == "NOT_FOUND"


async def test_read_by_lists_the_members_who_have_read_a_message(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [message] = await ann.send_messages(room_id, "news")
    assert (await ann.execute(READ_BY, id=message["id"]))["message"]["readBy"] == {"totalCount": 0, "nodes": []}
    await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=message["id"])
    read_by = (await ann.execute(READ_BY, id=message["id"]))["message"]["readBy"]
    assert read_by == {"totalCount": 1, "nodes": [{"username": "bob"}]}


async def test_a_read_marker_is_sent_live_and_never_replayed(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(READ_MARKERS, roomId=room_id)
        await subscription.wait_until_ready()
        sent = await ann.send(room_id, "one")
        assert (await subscription.next_event())["message"] == {"seq": sent["message"]["seq"]}
        for _ in range(2):
            await bob.mutate(MARK_READ, roomId=room_id, upToMessageId=sent["message"]["id"])
        event = await subscription.next_event()
        assert event == {
            "__typename": "ReadMarkerMoved",
            "cursor": sent["cursor"],
            "replayed": False,
            "user": {"username": "bob"},
            "upToSeq": sent["message"]["seq"],
        }
        await bob.send_messages(room_id, "two")
        assert (await subscription.next_event())["__typename"] == "MessageCreated"
        late = await connection.subscribe(READ_MARKERS, roomId=room_id, after=sent["cursor"])
        await late.wait_until_ready()
        assert [event["__typename"] for event in await late.wait_until_ready()] == ["MessageCreated", "StreamReady"]


async def test_preferences_are_per_member_and_omitted_ones_stay(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    until = "2030-01-01T00:00:00.000Z"
    first = await bob.mutate(
        SET_PREFERENCES, roomId=room_id, notificationLevel="MENTIONS", snoozedUntil=until, favourite=True
    )
    chosen = first["room"]["viewerMembership"]
    assert (chosen["notificationLevel"], chosen["snoozedUntil"], chosen["favourite"]) == ("MENTIONS", until, True)
    second = (await bob.mutate(SET_PREFERENCES, roomId=room_id, favourite=False))["room"]["viewerMembership"]
    assert (second["notificationLevel"], second["snoozedUntil"], second["favourite"]) == ("MENTIONS", until, False)
    third = (await bob.mutate(SET_PREFERENCES, roomId=room_id, snoozedUntil=None))["room"]["viewerMembership"]
    assert third["snoozedUntil"] is None
    ann_membership = await unread(ann, room_id)
    assert (ann_membership["notificationLevel"], ann_membership["favourite"]) == ("ALL", False)


async def test_unread_counts_of_many_rooms_cost_as_many_statements_as_of_few(ann: UserClient, bob: UserClient) -> None:
    rooms = [await ann.create_room(f"room {n}", memberIds=[bob.id]) for n in range(2)]
    few = await statement_count(bob, ROOMS)
    rooms += [await ann.create_room(f"room {n}", memberIds=[bob.id]) for n in range(2, 12)]
    await ann.send_messages(rooms[-1], "hello")
    assert await statement_count(bob, ROOMS) == few


async def statement_count(person: UserClient, document: str) -> int:
    """The number of statements that the operation executes."""
    with statements() as seen:
        await person.execute(document)
    return len(seen)
