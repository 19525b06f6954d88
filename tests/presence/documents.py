"""GraphQL documents and helpers of the presence and typing tests."""

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

PRESENCE_FIELDS = "state lastActiveAt statusText statusEmoji"
SET_PRESENCE = "mutation S($input: SetPresenceInput!) { setPresence(input: $input) { errors { code path } } }"
SET_TYPING = "mutation T($input: SetTypingInput!) { setTyping(input: $input) { errors { code path } } }"
USER_PRESENCE = "query Q($id: ID!) { user(id: $id) { presence { " + PRESENCE_FIELDS + " } } }"
PRESENCE = (
    "subscription P($roomId: ID!) { presence(roomId: $roomId) "
    "{ snapshot users { username presence { " + PRESENCE_FIELDS + " } } } }"
)
TYPING = "subscription T($roomId: ID!) { typing(roomId: $roomId) { roomId users { username } expiresInMs } }"
ACTIVE_USERS = "query A($id: ID!) { room(id: $id) { activeUsers { username } } }"

States = dict[str, str]


async def sign_in_second_device(person: UserClient) -> UserClient:
    """A second session of the same user."""
    async with AnonymousClient(person.app) as anonymous:
        return UserClient(
            person.app, person.name, await anonymous.mutate(LOGIN, usernameOrEmail=person.name, password=PASSWORD)
        )


async def wait_for_sockets(app: RunningApp, count: int, seconds: float = 5.0) -> None:
    """Wait until the server has `count` open sockets: it notices a little later that a client has closed one."""
    async with asyncio.timeout(seconds):
        while len(app.roomcast.sockets.connections) != count:  # noqa: ASYNC110 (no event to await)
            await asyncio.sleep(0.005)


async def presence_seen_by(observer: UserClient, person: UserClient) -> Json:
    """The presence of `person` as `observer` sees it."""
    found: Json = (await observer.execute(USER_PRESENCE, id=person.id))["user"]["presence"]
    return found


async def state_seen_by(observer: UserClient, person: UserClient) -> str:
    return str((await presence_seen_by(observer, person))["state"])


async def wait_for_state(observer: UserClient, person: UserClient, state: str, seconds: float = 10.0) -> None:
    """Poll until `observer` sees this state: another process may report it later."""
    async with asyncio.timeout(seconds):
        while await state_seen_by(observer, person) != state:  # noqa: ASYNC110 (only a query shows it)
            await asyncio.sleep(0.05)


def states_by_name(change: Json) -> States:
    """The states in a payload, by username."""
    return {user["username"]: user["presence"]["state"] for user in change["users"]}


def typing_names(shown: Json) -> list[str]:
    return [user["username"] for user in shown["users"]]


async def wait_for_shown(subscription: ClientSubscription, condition: Callable[[States], bool]) -> States:
    """Apply payloads as a client does until the condition holds. A snapshot replaces all; OFFLINE users are removed."""
    known: States = {}
    while True:
        change = await subscription.next_event()
        known = states_by_name(change) if change["snapshot"] else {**known, **states_by_name(change)}
        known = {name: state for name, state in known.items() if state != "OFFLINE"}
        if condition(known):
            return known


def only(*names: str) -> Callable[[States], bool]:
    """A condition: exactly these users are shown."""
    expected = set(names)
    return lambda known: known.keys() == expected


async def set_presence(person: UserClient, **values: object) -> Json:
    payload = await person.mutate(SET_PRESENCE, **values)
    assert payload["errors"] == []
    return payload


async def set_typing(person: UserClient, room: str, *, typing: bool = True) -> None:
    assert (await person.mutate(SET_TYPING, roomId=room, typing=typing))["errors"] == []


async def wait_for_typing(subscription: ClientSubscription, names: Collection[str]) -> Json:
    """The next payload that shows exactly these users."""
    while True:
        shown = await subscription.next_event()
        if set(typing_names(shown)) == set(names):
            return shown


def advance_clock(apps: Collection[RunningApp], seconds: float) -> None:
    """Advance the clock of presence and typing. The peer processes do not time out meanwhile."""
    for app in apps:
        presence, clock = app.roomcast.backend.presence, app.roomcast.backend.presence.clock
        presence.clock = lambda clock=clock: clock() + seconds  # type: ignore[misc]
        presence._peer_sync.reset_timeouts(presence.clock())
        presence.tick()


async def add_members(ann: UserClient, room: str, count: int) -> list[Actor]:
    """Insert `count` members of the room into the database: person0, person1 and so on."""
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
