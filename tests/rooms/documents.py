"""GraphQL documents of room operations, and helpers that run them."""

from typing import Any

from tests.api_clients import Json, UserClient

ROOM = "{ errors { code path retryAfterMs } cursor room { id memberCount } }"


def mutation(name: str, selection: str = ROOM) -> str:
    """A mutation whose input type is named after it."""
    return f"mutation M($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {selection} }}"


OWN_INVITE = "code url room { id } createdBy { username } createdAt expiresAt maxUses uses revokedAt"
CREATE_INVITE = mutation("createInvite", "{ errors { code path } invite { " + OWN_INVITE + " } }")
REVOKE_INVITE = mutation("revokeInvite", "{ errors { code path } invite { code revokedAt } }")
DELETE = mutation("deleteRoom", "{ errors { code } deletedRoomId }")
INVITE = (
    "query I($code: String!) { invite(code: $code) { code roomId roomName inviter { username } usesLeft expiresAt } }"
)
NAMES = (
    "query N($filter: RoomFilter, $orderBy: RoomOrder! = NAME_ASC) "
    "{ rooms(filter: $filter, orderBy: $orderBy) { nodes { name } totalCount } }"
)


async def change(client: UserClient, name: str, /, **arguments: Any) -> Json:
    """Run a mutation that must succeed. Returns its payload."""
    payload = await client.mutate(mutation(name), **arguments)
    assert payload["errors"] == []
    return payload


async def refusal(client: UserClient, name: str, /, **arguments: Any) -> str:
    """Run a mutation that must be refused. Returns the code of its only error."""
    payload = await client.mutate(mutation(name), **arguments)
    assert payload["room"] is None
    assert payload["cursor"] is None
    [error] = payload["errors"]
    return str(error["code"])


async def invite(client: UserClient, room_id: str, **terms: Any) -> str:
    """Create an invite. Returns its code."""
    payload = await client.mutate(CREATE_INVITE, roomId=room_id, **terms)
    assert payload["errors"] == []
    return str(payload["invite"]["code"])


async def room_names(client: UserClient, order: str = "NAME_ASC", **filter_: Any) -> list[str]:
    """The names of the rooms in this user's list."""
    answer = (await client.execute(NAMES, filter=filter_, orderBy=order))["rooms"]
    assert answer["totalCount"] == len(answer["nodes"])
    return [room["name"] for room in answer["nodes"]]


async def add(owner: UserClient, room_id: str, *clients: UserClient, role: str = "MEMBER") -> None:
    await change(owner, "addMembers", roomId=room_id, userIds=[client.id for client in clients], role=role)
