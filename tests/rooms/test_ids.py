"""Global ids of members, memberships and invites: how `node` finds them, and for whom."""

from tests.api_clients import Json, UserClient
from tests.rooms.documents import add, change, invite

IDS = (
    "query Ids($id: ID!) { room(id: $id) { members { nodes { id room { id } user { id } } } "
    "viewerMembership { id room { id } } invites { nodes { id code room { id } } } } }"
)
NODES = (
    "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on RoomMember { member: role user { username } "
    "room { id } } ... on RoomMembership { own: role unreadCount room { id } } ... on RoomInvite { code uses } } }"
)


async def ids(client: UserClient, room_id: str) -> Json:
    """The ids that this user reads in a room: of the members by user id, of their own membership, and of invites."""
    room = (await client.execute(IDS, id=room_id))["room"]
    own, invites = room["viewerMembership"], room["invites"]
    shown = [*room["members"]["nodes"], *([own] if own else []), *(invites["nodes"] if invites else [])]
    assert {each["room"]["id"] for each in shown} == {room_id}
    return {
        "members": {member["user"]["id"]: member["id"] for member in room["members"]["nodes"]},
        "membership": own and own["id"],
        "invites": [each["id"] for each in invites["nodes"]] if invites else None,
    }


async def nodes(client: UserClient, *ids: str) -> list[Json | None]:
    return list((await client.execute(NODES, ids=list(ids)))["nodes"])


async def test_ids_are_unique_stable_and_found_by_node(ann: UserClient, bob: UserClient) -> None:
    rooms = [await bob.create_room(name, visibility="PRIVATE", memberIds=[ann.id]) for name in ("den", "hall")]
    code = await invite(bob, rooms[0])
    found = [await ids(bob, room_id) for room_id in rooms]
    shown = [id_ for each in found for id_ in [*each["members"].values(), each["membership"], *each["invites"]]]
    assert len(shown) == len(set(shown)) == 7
    assert [await ids(bob, room_id) for room_id in rooms] == found
    [member, membership, invitation] = await nodes(
        bob, found[0]["members"][ann.id], found[0]["membership"], *found[0]["invites"]
    )
    assert member == {
        "__typename": "RoomMember",
        "id": found[0]["members"][ann.id],
        "member": "MEMBER",
        "user": {"username": "ann"},
        "room": {"id": rooms[0]},
    }
    assert membership == {
        "__typename": "RoomMembership",
        "id": found[0]["membership"],
        "own": "OWNER",
        "unreadCount": 0,
        "room": {"id": rooms[0]},
    }
    assert invitation == {"__typename": "RoomInvite", "id": found[0]["invites"][0], "code": code, "uses": 0}


async def test_the_two_types_of_one_row_are_told_apart_in_one_request(bob: UserClient) -> None:
    found = await ids(bob, await bob.create_room("den"))
    member, membership = found["members"][bob.id], found["membership"]
    kinds = [node and node["__typename"] for node in await nodes(bob, member, membership, membership, member)]
    assert kinds == ["RoomMember", "RoomMembership", "RoomMembership", "RoomMember"]


async def test_strangers_find_nothing_and_readers_find_the_members(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    for visibility in ("PRIVATE", "PUBLIC"):
        room_id = await bob.create_room(f"den {visibility}", visibility=visibility)
        await invite(bob, room_id)
        found = await ids(bob, room_id)
        wanted = [found["members"][bob.id], found["membership"], *found["invites"]]
        kinds = [node and node["__typename"] for node in await nodes(cleo, *wanted)]
        assert kinds == ([None] * 3 if visibility == "PRIVATE" else ["RoomMember", None, None])
        # An administrator is a moderator of public rooms and a stranger in private ones.
        kinds = [node and node["__typename"] for node in await nodes(ann, *wanted)]
        assert kinds == ([None] * 3 if visibility == "PRIVATE" else ["RoomMember", None, "RoomInvite"])


async def test_ids_end_with_the_membership_and_are_the_same_after_a_return(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    before = await ids(cleo, room_id)
    member, membership = before["members"][cleo.id], before["membership"]
    await cleo.leave(room_id)
    assert await nodes(cleo, member, membership) == [None, None]
    await cleo.join(room_id)
    assert await ids(cleo, room_id) == before


async def test_malformed_ids_are_unknown_ids(bob: UserClient) -> None:
    found = await ids(bob, await bob.create_room("den"))
    member: str = found["members"][bob.id]
    swapped = "_".join([member.split("_")[0], *reversed(member.split("_")[1:])])
    wrong = (
        swapped,
        member.upper(),
        member + "0",
        member.replace("member", "user"),
        "member_",
        "invite_\0",
        "invite_%",
    )
    assert await nodes(bob, *wrong, found["membership"].replace("membership", "invite")) == [None] * 8


async def test_a_member_finds_their_own_invite_and_moderators_list_all(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    document = (
        "query I($id: ID!, $after: String) { room(id: $id) { invites(first: 2, after: $after) { pageInfo { endCursor "
        "hasNextPage } nodes { id code url uses maxUses revokedAt expiresAt createdBy { username } } } } }"
    )
    room_id = await bob.create_room("den", visibility="PRIVATE")
    await add(bob, room_id, cleo)
    codes = [await invite(bob, room_id), await invite(cleo, room_id, maxUses=3), await invite(bob, room_id)]
    assert (await cleo.execute(document, id=room_id))["room"]["invites"] is None
    [own, other] = await nodes(cleo, f"invite_{codes[1]}", f"invite_{codes[0]}")
    assert own is not None
    assert (own["code"], other) == (codes[1], None)
    await bob.execute('mutation R { revokeInvite(input: {code: "%s"}) { errors { code } } }' % codes[2])  # noqa: UP031
    first = (await bob.execute(document, id=room_id))["room"]["invites"]
    assert [each["code"] for each in first["nodes"]] == [codes[2], codes[1]]
    assert first["nodes"][0]["revokedAt"] is not None
    assert first["nodes"][1] == {
        "id": f"invite_{codes[1]}",
        "code": codes[1],
        "url": f"{bob.app.url}/?invite={codes[1]}",
        "uses": 0,
        "maxUses": 3,
        "revokedAt": None,
        "expiresAt": None,
        "createdBy": {"username": "cleo"},
    }
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await bob.execute(document, id=room_id, after=first["pageInfo"]["endCursor"]))["room"]["invites"]
    assert [each["code"] for each in rest["nodes"]] == [codes[0]]
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="MODERATOR")
    assert len((await cleo.execute(document, id=room_id))["room"]["invites"]["nodes"]) == 2


async def test_nobody_outside_lists_the_invites_of_a_public_room(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den")
    await invite(bob, room_id)
    document = "query I($id: ID!) { room(id: $id) { invites { nodes { code } } } }"
    assert (await cleo.execute(document, id=room_id))["room"]["invites"] is None
    assert len((await ann.execute(document, id=room_id))["room"]["invites"]["nodes"]) == 1
