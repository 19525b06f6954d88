"""Direct conversations: one for each set of members, hidden from the others until its first message."""

import asyncio

from tests.accounts.documents import BAN
from tests.api_clients import UserClient, sign_up
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import CREATE_INVITE, DELETE, change, mutation, refusal

OPEN = mutation(
    "openDirectMessage",
    "{ errors { code path } cursor room { id kind visibility name memberCount directPeers { username } "
    "viewerPermissions { canSend canInvite canEditRoom canManageMembers canPin canDeleteOthersMessages canArchive } "
    "members { nodes { role user { username } } } } }",
)
ROOMS_BY_NAME = "query Q($query: String!) { rooms(filter: { query: $query }) { totalCount nodes { id } } }"
OWN_DIRECT_ROOMS = "{ rooms(filter: { kind: DIRECT }) { totalCount nodes { id directPeers { username } } } }"


async def test_the_same_members_always_have_the_same_conversation(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    first = await bob.mutate(OPEN, userIds=[cleo.id, bob.id])
    room = first["room"]
    assert (room["kind"], room["visibility"], room["name"], room["memberCount"]) == ("DIRECT", "PRIVATE", None, 2)
    assert room["directPeers"] == [{"username": "cleo"}]
    assert {member["role"] for member in room["members"]["nodes"]} == {"MEMBER"}
    assert room["viewerPermissions"].pop("canSend") is True
    assert set(room["viewerPermissions"].values()) == {False}
    again = await cleo.mutate(OPEN, userIds=[bob.id])
    assert (again["room"]["id"], again["cursor"]) == (room["id"], None)
    three = await ann.mutate(OPEN, userIds=[bob.id, cleo.id])
    assert three["room"]["id"] != room["id"]
    assert [peer["username"] for peer in three["room"]["directPeers"]] == ["bob", "cleo"]


async def test_concurrent_requests_open_one_conversation(bob: UserClient, cleo: UserClient) -> None:
    opened = await asyncio.gather(
        *(client.mutate(OPEN, userIds=[other.id]) for _ in range(5) for client, other in ((bob, cleo), (cleo, bob)))
    )
    assert all(payload["errors"] == [] for payload in opened)
    assert len({payload["room"]["id"] for payload in opened}) == 1
    assert sorted(payload["cursor"] is None for payload in opened) == [False] + [True] * 9


async def test_other_members_see_a_conversation_from_its_first_message_on(bob: UserClient, cleo: UserClient) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    assert (await bob.execute(OWN_DIRECT_ROOMS))["rooms"]["totalCount"] == 1
    assert (await cleo.execute(OWN_DIRECT_ROOMS))["rooms"] == {"totalCount": 0, "nodes": []}
    assert (await cleo.execute("query N($id: ID!) { node(id: $id) { id } }", id=room))["node"] is None
    async with replay_invariant(bob, room) as events:
        await bob.send_messages(room, "psst")
    assert event_kinds(events) == ["MessageCreated"]
    assert (await cleo.execute(OWN_DIRECT_ROOMS))["rooms"]["nodes"] == [
        {"id": room, "directPeers": [{"username": "bob"}]}
    ]


async def test_a_conversation_is_found_by_the_names_of_its_other_members(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    await cleo.mutate(mutation("updateProfile", "{ errors { code } }"), displayName="Cléo Größe")
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    await bob.mutate(OPEN, userIds=[ann.id])
    await bob.create_room("cleophas")
    for query, found in (("grosse", [room]), ("CLÉO g", [room]), ("bob", []), ("%", [])):
        found_rooms = (await bob.execute(ROOMS_BY_NAME, query=query))["rooms"]
        assert found_rooms["totalCount"] == len(found_rooms["nodes"])
        assert [node["id"] for node in found_rooms["nodes"]] == found, query
    assert (await bob.execute(ROOMS_BY_NAME, query="cleo"))["rooms"]["totalCount"] == 2
    assert (await cleo.execute(ROOMS_BY_NAME, query="bob"))["rooms"]["totalCount"] == 0
    await bob.send_messages(room, "psst")
    assert [node["id"] for node in (await cleo.execute(ROOMS_BY_NAME, query="BOB"))["rooms"]["nodes"]] == [room]
    assert (await ann.execute(ROOMS_BY_NAME, query="cleo"))["rooms"]["totalCount"] == 0


async def test_a_conversation_with_a_banned_user_can_be_opened_and_not_created(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    assert (await ann.mutate(BAN, userId=cleo.id))["errors"] == []
    assert (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"] == room
    assert (await ann.mutate(OPEN, userIds=[cleo.id]))["errors"][0]["code"] == "NOT_FOUND"
    assert (await bob.mutate(OPEN, userIds=[cleo.id, "user_nobody"]))["errors"][0]["code"] == "NOT_FOUND"


async def test_the_members_and_settings_of_a_conversation_cannot_be_changed(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    arguments = {"roomId": room, "userId": cleo.id}
    assert await refusal(bob, "leaveRoom", roomId=room) == "FORBIDDEN"
    assert await refusal(bob, "addMembers", roomId=room, userIds=[ann.id]) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", **arguments) == "FORBIDDEN"
    assert await refusal(bob, "setMemberRole", **arguments, role="OWNER") == "FORBIDDEN"
    assert await refusal(bob, "muteMember", **arguments, seconds=60) == "FORBIDDEN"
    assert await refusal(bob, "archiveRoom", roomId=room) == "FORBIDDEN"
    assert await refusal(bob, "updateRoom", roomId=room, name="us") == "FORBIDDEN"
    for document in (CREATE_INVITE, DELETE):
        assert (await bob.mutate(document, roomId=room))["errors"][0]["code"] == "FORBIDDEN"
        assert (await ann.mutate(document, roomId=room))["errors"][0]["code"] == "NOT_FOUND"
    assert (await change(bob, "joinRoom", roomId=room))["cursor"] is None


async def test_a_conversation_needs_2_to_20_existing_users(bob: UserClient) -> None:
    assert (await bob.mutate(OPEN, userIds=[bob.id]))["errors"][0]["code"] == "VALIDATION_FAILED"
    assert (await bob.mutate(OPEN, userIds=[]))["errors"][0]["code"] == "VALIDATION_FAILED"
    assert (await bob.mutate(OPEN, userIds=["user_nobody"]))["errors"][0]["code"] == "NOT_FOUND"
    clients = [await sign_up(bob.app, f"client_{number}") for number in range(20)]
    assert (await bob.mutate(OPEN, userIds=[client_.id for client_ in clients]))["errors"][0][
        "code"
    ] == "VALIDATION_FAILED"
    for client_ in clients:
        await client_.http.aclose()
