"""Rooms found by their name, and when they were last active."""

import pytest

from tests.api_clients import AnonymousClient, UserClient
from tests.rooms.documents import change
from tests.statements import statements

BY_NAME = "query N($name: String!) { roomByName(name: $name) { id name } }"
ACTIVITY = "query A($id: ID!) { room(id: $id) { createdAt lastActivityAt lastMessage { createdAt } } }"


async def find(client: UserClient, name: str) -> str | None:
    room = (await client.execute(BY_NAME, name=name))["roomByName"]
    return str(room["id"]) if room else None


@pytest.mark.parametrize("name", ["Café 1", " café  1 ", "CAFE l", "сafé I"])
async def test_a_public_room_is_found_by_names_that_look_alike(ann: UserClient, bob: UserClient, name: str) -> None:
    room_id = await ann.create_room("Café 1")
    assert await find(bob, name) == room_id


async def test_names_that_no_public_room_has_find_nothing(bob: UserClient) -> None:
    await bob.create_room("den")
    for name in ("de", "den2", "", " ", "\0", "den\0", "d\u200ben\n", "den" * 1_000, "%", "d_n"):
        assert await find(bob, name) is None, name


async def test_private_rooms_are_never_found_by_their_name(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    assert [await find(client, "den") for client in (bob, cleo)] == [None, None]
    public_id = await cleo.create_room("den")
    assert [await find(client, "den") for client in (bob, cleo)] == [public_id, public_id]
    await change(cleo, "updateRoom", roomId=public_id, visibility="PRIVATE")
    assert await find(cleo, "den") is None
    await change(bob, "updateRoom", roomId=room_id, visibility="PUBLIC")
    assert await find(cleo, "den") == room_id


async def test_an_archived_room_is_found_and_a_deleted_one_is_not(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await change(bob, "archiveRoom", roomId=room_id)
    assert await find(cleo, "den") == room_id
    await bob.execute("mutation D($id: ID!) { deleteRoom(input: {roomId: $id}) { errors { code } } }", id=room_id)
    assert await find(cleo, "den") is None


async def test_finding_a_room_by_name_needs_a_sign_in(anonymous: AnonymousClient) -> None:
    assert await anonymous.error_codes(BY_NAME, name="den") == ["UNAUTHENTICATED"]


async def test_activity_is_the_newest_message_outside_threads(bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    room = (await bob.execute(ACTIVITY, id=room_id))["room"]
    assert room["lastActivityAt"] == room["createdAt"]
    [message] = await bob.send_messages(room_id, "hello")
    await bob.send(room_id, "in a thread", threadRootId=message["id"])
    room = (await bob.execute(ACTIVITY, id=room_id))["room"]
    assert room["lastActivityAt"] == room["lastMessage"]["createdAt"] == message["createdAt"]
    rooms = await bob.execute("{ rooms { nodes { lastActivityAt } } }")
    assert rooms["rooms"]["nodes"] == [{"lastActivityAt": message["createdAt"]}]


async def test_a_page_of_rooms_reads_activity_and_memberships_with_few_statements(bob: UserClient) -> None:
    document = "{ rooms(first: 100) { nodes { lastActivityAt viewerMembership { id room { id name } } } } }"
    counts = []
    for number in (2, 6):
        for each in range(number):
            await bob.create_room(f"room {number} {each}")
        with statements() as seen:
            nodes = (await bob.execute(document))["rooms"]["nodes"]
        counts.append(len(seen))
    assert len(nodes) == 8
    assert counts[0] == counts[1]
    assert sum("FROM rooms" in statement for statement in seen) == 1, seen
