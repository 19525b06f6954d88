"""What people ask about presence and typing, and time that a test lets pass."""

import asyncio
from collections.abc import Callable, Collection
from uuid import UUID

from sqlmodel import col, update

from roomcast.accounts.models import User
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.ids import uuid7
from roomcast.rooms.models import Membership, Room
from tests.api_clients import LOGIN, PASSWORD, AnonymousClient, ClientSubscription, Json, UserClient
from tests.running_app import RunningApp

SHOWN = "state lastActiveAt statusText statusEmoji"
SET = "mutation S($input: SetPresenceInput!) { setPresence(input: $input) { errors { code path } } }"
TYPE = "mutation T($input: SetTypingInput!) { setTyping(input: $input) { errors { code path } } }"
SEEN = "query Q($id: ID!) { user(id: $id) { presence { " + SHOWN + " } } }"
PRESENCE = (
    "subscription P($roomId: ID!) { presence(roomId: $roomId) "
    "{ snapshot users { username presence { " + SHOWN + " } } } }"
)
TYPING = "subscription T($roomId: ID!) { typing(roomId: $roomId) { roomId users { username } expiresInMs } }"
ACTIVE_USERS = "query A($id: ID!) { room(id: $id) { activeUsers { username } } }"

States = dict[str, str]


async def another_device(person: UserClient) -> UserClient:
    """The same person, signed in once more."""
    async with AnonymousClient(person.app) as anonymous:
        return UserClient(
            person.app, person.name, await anonymous.mutate(LOGIN, usernameOrEmail=person.name, password=PASSWORD)
        )


async def sockets(app: RunningApp, count: int, seconds: float = 5.0) -> None:
    """Wait until the server has so many: it learns a little later that one has closed."""
    async with asyncio.timeout(seconds):
        while len(app.roomcast.sockets.open) != count:  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.005)


async def seen(onlooker: UserClient, person: UserClient) -> Json:
    """How somebody is shown to another one."""
    found: Json = (await onlooker.execute(SEEN, id=person.id))["user"]["presence"]
    return found


async def state(onlooker: UserClient, person: UserClient) -> str:
    return str((await seen(onlooker, person))["state"])


async def until_state(onlooker: UserClient, person: UserClient, wanted: str, seconds: float = 10.0) -> None:
    """Asks until it is so: another process says it when it says it."""
    async with asyncio.timeout(seconds):
        while await state(onlooker, person) != wanted:  # noqa: ASYNC110 (another process says it to who asks)
            await asyncio.sleep(0.05)


def states(change: Json) -> States:
    """By name."""
    return {user["username"]: user["presence"]["state"] for user in change["users"]}


def typists(shown: Json) -> list[str]:
    return [user["username"] for user in shown["users"]]


async def until_shown(watching: ClientSubscription, wanted: Callable[[States], bool]) -> States:
    """What a client that follows the stream knows once that is so: a snapshot replaces, who is OFFLINE goes."""
    known: States = {}
    while True:
        change = await watching.next_event()
        known = states(change) if change["snapshot"] else {**known, **states(change)}
        known = {name: state for name, state in known.items() if state != "OFFLINE"}
        if wanted(known):
            return known


def are(*names: str) -> Callable[[States], bool]:
    """Whether exactly these are shown."""
    wanted = set(names)
    return lambda known: known.keys() == wanted


async def sets(person: UserClient, **wish: object) -> Json:
    payload = await person.mutate(SET, **wish)
    assert payload["errors"] == []
    return payload


async def types(person: UserClient, room: str, *, typing: bool = True) -> None:
    assert (await person.mutate(TYPE, roomId=room, typing=typing))["errors"] == []


async def typed_by(watching: ClientSubscription, wanted: Collection[str]) -> Json:
    """The payload that shows exactly these."""
    while True:
        shown = await watching.next_event()
        if set(typists(shown)) == set(wanted):
            return shown


def passes(apps: Collection[RunningApp], seconds: float) -> None:
    """For presence and typing, so much time has gone by, in which the processes have heard each other."""
    for app in apps:
        signals, clock = app.roomcast.backend.presence, app.roomcast.backend.presence.clock
        signals.clock = lambda clock=clock: clock() + seconds  # type: ignore[misc]
        signals._rolls.excuse(signals.clock())
        signals.tick()


async def crowd_of(ann: UserClient, room: str, count: int) -> list[Actor]:
    """So many members of the room, put there by the shortest way: person0, person1 and so on."""
    room_id, actors = UUID(room.removeprefix("room_")), [Actor(uuid7(), uuid7(), False, now()) for _ in range(count)]
    async with ann.app.roomcast.db.work() as work:
        work.session.add_all(account(actor, f"person{number}") for number, actor in enumerate(actors))
        await work.session.flush()
        work.session.add_all(Membership(room_id=room_id, user_id=actor.user_id, joined_at=now()) for actor in actors)
        await work.session.exec(update(Room).where(col(Room.id) == room_id).values(member_count=count + 1))
    return actors


def account(actor: Actor, name: str) -> User:
    return User(
        id=actor.user_id,
        username=name,
        username_key=name,
        display_name=name,
        search_key=name,
        password_hash="-",
        created_at=now(),
    )
