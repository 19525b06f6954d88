"""What the tests of rooms say to the API."""

from typing import Any

from tests.api_clients import Json, UserClient

ROOM = "{ errors { code path retryAfterMs } cursor room { id memberCount } }"


def mutation(name: str, selection: str = ROOM) -> str:
    """A mutation whose input type has its name."""
    kinds = {
        "archiveRoom": "RoomIdInput",
        "unarchiveRoom": "RoomIdInput",
        "deleteRoom": "RoomIdInput",
        "leaveRoom": "RoomIdInput",
    }
    kind = kinds.get(name, name[0].upper() + name[1:] + "Input")
    return f"mutation M($input: {kind}!) {{ {name}(input: $input) {selection} }}"


CREATE_INVITE = mutation("createInvite", "{ errors { code path } code url expiresAt }")
REVOKE_INVITE = mutation("revokeInvite", "{ errors { code path } }")
DELETE = mutation("deleteRoom", "{ errors { code } deletedRoomId }")
INVITE = (
    "query I($code: String!) { invite(code: $code) { code roomId roomName inviter { username } usesLeft expiresAt } }"
)
NAMES = (
    "query N($filter: RoomFilter, $orderBy: RoomOrder! = NAME_ASC) "
    "{ rooms(filter: $filter, orderBy: $orderBy) { nodes { name } totalCount } }"
)


async def change(person: UserClient, deed: str, /, **arguments: Any) -> Json:
    """The payload of a mutation that is expected to succeed."""
    payload = await person.mutate(mutation(deed), **arguments)
    assert payload["errors"] == []
    return payload


async def refusal(person: UserClient, deed: str, /, **arguments: Any) -> str:
    """The code with which the mutation is turned down, nothing else being shown."""
    payload = await person.mutate(mutation(deed), **arguments)
    assert payload["room"] is None
    assert payload["cursor"] is None
    [error] = payload["errors"]
    return str(error["code"])


async def invite(person: UserClient, room_id: str, **terms: Any) -> str:
    payload = await person.mutate(CREATE_INVITE, roomId=room_id, **terms)
    assert payload["errors"] == []
    return str(payload["code"])


async def room_names(person: UserClient, order: str = "NAME_ASC", **chosen: Any) -> list[str]:
    """The names of the rooms that this person is shown."""
    answer = (await person.execute(NAMES, filter=chosen, orderBy=order))["rooms"]
    assert answer["totalCount"] == len(answer["nodes"])
    return [room["name"] for room in answer["nodes"]]


async def add(owner: UserClient, room_id: str, *people: UserClient, role: str = "MEMBER") -> None:
    await change(owner, "addMembers", roomId=room_id, userIds=[person.id for person in people], role=role)
