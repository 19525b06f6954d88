"""Lists of rooms: own and discoverable ones, filters and orders, and the number of SQL statements per page."""

import asyncio

import pytest

from tests.api_clients import CREATE_ROOM, UserClient, sign_up
from tests.conftest import MakeApp
from tests.rooms.documents import add, change, room_names
from tests.statements import statements

PAGE = (
    "query P($first: Int, $after: String, $orderBy: RoomOrder!, $filter: RoomFilter) "
    "{ rooms(first: $first, after: $after, orderBy: $orderBy, filter: $filter) "
    "{ nodes { name } pageInfo { hasNextPage endCursor } } }"
)
FULL = (
    "query F($first: Int, $filter: RoomFilter) { rooms(first: $first, filter: $filter) { totalCount nodes { id name "
    "streamCursor createdBy { username } directPeers { username } viewerMembership { role lastReadSeq } "
    "viewerPermissions { canSend canInvite } lastMessage { body author { username } } } } }"
)
MEMBERS = (
    "query M($id: ID!, $first: Int) { room(id: $id) { members(first: $first) "
    "{ totalCount nodes { role mutedUntil user { username displayName } } } } }"
)


async def test_users_see_their_own_rooms_and_public_rooms(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    await bob.create_room("open")
    await bob.create_room("shut", visibility="PRIVATE")
    both = await bob.create_room("both", memberIds=[cleo.id])
    await change(bob, "archiveRoom", roomId=await bob.create_room("old"))
    assert await room_names(bob) == ["both", "open", "shut"]
    assert await room_names(cleo) == ["both"]
    for other in (ann, cleo):
        assert "open" in await room_names(other, membership="DISCOVERABLE")
        assert "shut" not in await room_names(other, membership="ALL")
        assert await room_names(other, membership="ALL", query="shut") == []
    assert await room_names(cleo, membership="ALL") == ["both", "open"]
    assert await room_names(bob, archived=True) == await room_names(cleo, membership="ALL", archived=True) == ["old"]
    assert await room_names(cleo, membership="DISCOVERABLE", archived=True) == []
    assert await room_names(bob, kind="DIRECT") == []
    await change(cleo, "leaveRoom", roomId=both)
    assert await room_names(cleo) == []


async def test_the_name_filter_ignores_case_and_accents(bob: UserClient) -> None:
    for name in ("Café Größe", "100% cotton", "snake_case", "plain"):
        await bob.create_room(name)
    found = {
        "cafe": ["Café Größe"],
        "GRÖSSE": ["Café Größe"],
        "%": ["100% cotton"],
        "e_c": ["snake_case"],
        "\0": [],
        "\u3164": [],
        " ": ["100% cotton", "Café Größe", "plain", "snake_case"],
    }
    for query, names in found.items():
        assert await room_names(bob, query=query) == names, query


async def test_rooms_are_ordered_by_activity_name_or_age_across_pages(bob: UserClient) -> None:
    rooms = {name: await bob.create_room(name) for name in ("beta", "Alpha", "gamma", "delta")}
    for name in ("gamma", "beta"):
        await bob.send_messages(rooms[name], "hi")
    orders = {
        "LAST_ACTIVITY_DESC": ["beta", "gamma", "delta", "Alpha"],
        "NAME_ASC": ["Alpha", "beta", "delta", "gamma"],
        "CREATED_AT_DESC": ["delta", "gamma", "Alpha", "beta"],
    }
    for order, names in orders.items():
        names_by_page: list[str] = []
        after = None
        for _ in names:
            page = (await bob.execute(PAGE, first=1, after=after, orderBy=order))["rooms"]
            names_by_page += [room["name"] for room in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            assert page["pageInfo"]["hasNextPage"] is (len(names_by_page) < len(names))
        assert names_by_page == names


async def test_the_unread_filter_shows_rooms_with_unread_messages_of_others(bob: UserClient, cleo: UserClient) -> None:
    for name in ("unread", "own words", "quiet", "left"):
        room = await bob.create_room(name)
        await bob.send_messages(room, "before anybody came")
        await add(bob, room, cleo)
        if name == "own words":
            await cleo.send_messages(room, "talking to myself")
        elif name != "quiet":
            await bob.send_messages(room, "unread by cleo")
        if name == "left":
            await change(cleo, "leaveRoom", roomId=room)
    assert await room_names(cleo, unreadOnly=True) == ["unread"]
    assert await room_names(cleo, unreadOnly=True, membership="ALL") == ["unread"]
    assert await room_names(bob, unreadOnly=True) == ["own words"]


async def test_room_creation_can_be_limited_to_administrators(make_app: MakeApp) -> None:
    app = await make_app(room_creation="admins")
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        await ann.create_room("den")
        assert (await bob.mutate(CREATE_ROOM, name="mine"))["errors"] == [{"code": "FORBIDDEN", "path": None}]


async def test_concurrent_requests_with_one_idempotency_key_create_one_room(bob: UserClient) -> None:
    arguments = {"name": "den", "idempotencyKey": "00000000-0000-4000-8000-000000000001"}
    payloads = await asyncio.gather(*(bob.mutate(CREATE_ROOM, **arguments) for _ in range(5)))
    assert len({payload["room"]["id"] for payload in payloads}) == 1
    assert sorted(payload["cursor"] is None for payload in payloads) == [False, True, True, True, True]


@pytest.mark.parametrize("membership_filter", ["JOINED", "ALL"])
async def test_a_page_of_rooms_takes_as_many_statements_at_any_size(
    membership_filter: str, bob: UserClient, cleo: UserClient
) -> None:
    for number in range(6):
        room = await bob.create_room(f"room {number}", memberIds=[cleo.id])
        await cleo.send_messages(room, "hi")
    costs = []
    for size in (2, 6):
        with statements() as executed:
            page_of_rooms = (await bob.execute(FULL, first=size, filter={"membership": membership_filter}))["rooms"]
        assert len(page_of_rooms["nodes"]) == size
        costs.append(len(executed))
    assert costs[0] == costs[1]


async def test_a_page_of_members_takes_as_many_statements_at_any_size(
    bob: UserClient, cleo: UserClient, ann: UserClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id, ann.id])
    costs = []
    for size in (1, 3):
        with statements() as executed:
            page_of_rooms = (await bob.execute(MEMBERS, id=room_id, first=size))["room"]["members"]
        assert len(page_of_rooms["nodes"]) == size
        costs.append(len(executed))
    assert costs[0] == costs[1]
