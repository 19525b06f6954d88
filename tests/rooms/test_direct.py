"""Direct conversations: one for each set of people, and nothing to the others before its first message."""

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
NAMED = "query Q($query: String!) { rooms(filter: { query: $query }) { totalCount nodes { id } } }"
MINE = "{ rooms(filter: { kind: DIRECT }) { totalCount nodes { id directPeers { username } } } }"


async def test_the_same_people_always_have_the_same_conversation(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    made = await bob.mutate(OPEN, userIds=[cleo.id, bob.id])
    room = made["room"]
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


async def test_two_who_open_at_once_meet(bob: UserClient, cleo: UserClient) -> None:
    opened = await asyncio.gather(
        *(person.mutate(OPEN, userIds=[other.id]) for _ in range(5) for person, other in ((bob, cleo), (cleo, bob)))
    )
    assert all(payload["errors"] == [] for payload in opened)
    assert len({payload["room"]["id"] for payload in opened}) == 1
    assert sorted(payload["cursor"] is None for payload in opened) == [False] + [True] * 9


async def test_the_others_see_it_at_its_first_message(bob: UserClient, cleo: UserClient) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    assert (await bob.execute(MINE))["rooms"]["totalCount"] == 1
    assert (await cleo.execute(MINE))["rooms"] == {"totalCount": 0, "nodes": []}
    assert (await cleo.execute("query N($id: ID!) { node(id: $id) { id } }", id=room))["node"] is None
    async with replay_invariant(bob, room) as told:
        await bob.send_messages(room, "psst")
    assert event_kinds(told) == ["MessageCreated"]
    assert (await cleo.execute(MINE))["rooms"]["nodes"] == [{"id": room, "directPeers": [{"username": "bob"}]}]


async def test_a_conversation_is_found_by_the_names_of_its_other_people(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    await cleo.mutate(mutation("updateProfile", "{ errors { code } }"), displayName="Cléo Größe")
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    await bob.mutate(OPEN, userIds=[ann.id])
    await bob.create_room("cleophas")
    for query, found in (("grosse", [room]), ("CLÉO g", [room]), ("bob", []), ("%", [])):
        shown = (await bob.execute(NAMED, query=query))["rooms"]
        assert shown["totalCount"] == len(shown["nodes"])
        assert [node["id"] for node in shown["nodes"]] == found, query
    assert (await bob.execute(NAMED, query="cleo"))["rooms"]["totalCount"] == 2
    assert (await cleo.execute(NAMED, query="bob"))["rooms"]["totalCount"] == 0
    await bob.send_messages(room, "psst")
    assert [node["id"] for node in (await cleo.execute(NAMED, query="BOB"))["rooms"]["nodes"]] == [room]
    assert (await ann.execute(NAMED, query="cleo"))["rooms"]["totalCount"] == 0


async def test_a_conversation_with_somebody_banned_is_found_and_none_is_begun(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    assert (await ann.mutate(BAN, userId=cleo.id))["errors"] == []
    assert (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"] == room
    assert (await ann.mutate(OPEN, userIds=[cleo.id]))["errors"][0]["code"] == "NOT_FOUND"
    assert (await bob.mutate(OPEN, userIds=[cleo.id, "user_nobody"]))["errors"][0]["code"] == "NOT_FOUND"


async def test_nobody_enters_leaves_or_rules_a_conversation(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room = (await bob.mutate(OPEN, userIds=[cleo.id]))["room"]["id"]
    person = {"roomId": room, "userId": cleo.id}
    assert await refusal(bob, "leaveRoom", roomId=room) == "FORBIDDEN"
    assert await refusal(bob, "addMembers", roomId=room, userIds=[ann.id]) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", **person) == "FORBIDDEN"
    assert await refusal(bob, "setMemberRole", **person, role="OWNER") == "FORBIDDEN"
    assert await refusal(bob, "muteMember", **person, seconds=60) == "FORBIDDEN"
    assert await refusal(bob, "archiveRoom", roomId=room) == "FORBIDDEN"
    assert await refusal(bob, "updateRoom", roomId=room, name="us") == "FORBIDDEN"
    for document in (CREATE_INVITE, DELETE):
        assert (await bob.mutate(document, roomId=room))["errors"][0]["code"] == "FORBIDDEN"
        assert (await ann.mutate(document, roomId=room))["errors"][0]["code"] == "NOT_FOUND"
    assert (await change(bob, "joinRoom", roomId=room))["cursor"] is None


async def test_a_conversation_needs_people_who_exist(bob: UserClient) -> None:
    assert (await bob.mutate(OPEN, userIds=[bob.id]))["errors"][0]["code"] == "VALIDATION_FAILED"
    assert (await bob.mutate(OPEN, userIds=[]))["errors"][0]["code"] == "VALIDATION_FAILED"
    assert (await bob.mutate(OPEN, userIds=["user_nobody"]))["errors"][0]["code"] == "NOT_FOUND"
    crowd = [await sign_up(bob.app, f"guest{number}") for number in range(20)]
    assert (await bob.mutate(OPEN, userIds=[guest.id for guest in crowd]))["errors"][0]["code"] == "VALIDATION_FAILED"
    for guest in crowd:
        await guest.http.aclose()
