"""Whatever people do to a room's membership, in whatever order: it keeps an owner, nobody gains what nobody may give,
what was refused has left no trace, and a private room stays unseen from outside."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, SEND, UserClient, sign_up
from tests.conftest import MakeApp
from tests.replay_invariant import replay_invariant, snapshot
from tests.rooms.documents import CREATE_INVITE, DELETE, change, mutation, room_names
from tests.running_app import RunningApp

ACTORS = ["ann", "bob", "cleo", "dora"]
ROLES = ["READ_ONLY", "MEMBER", "MODERATOR", "OWNER"]
DEEDS = ["joinRoom", "leaveRoom", "addMembers", "removeMember", "setMemberRole", "invite"]
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SPEAKS = {"canSend", "canUpload", "canInvite"}
MODERATES = SPEAKS | {"canManageMembers", "canPin", "canDeleteOthersMessages"}
RIGHTS: dict[str | None, set[str]] = {
    None: set(),
    "READ_ONLY": set(),
    "MEMBER": SPEAKS,
    "MODERATOR": MODERATES,
    "OWNER": MODERATES | {"canEditRoom", "canArchive"},
}
PERMISSIONS = (
    "query P($id: ID!) { room(id: $id) { viewerPermissions "
    "{ canSend canInvite canEditRoom canManageMembers canPin canDeleteOthersMessages canArchive canUpload } } }"
)
FROM_OUTSIDE = (
    "query O($room: ID!, $message: ID!, $name: String!) { room(id: $room) { id } message(id: $message) { id } "
    "one: node(id: $room) { id } many: nodes(ids: [$room, $message]) { id } "
    "rooms(filter: { membership: ALL, query: $name }) { totalCount nodes { id } } }"
)


@pytest_asyncio.fixture
async def app(make_app: MakeApp) -> RunningApp:
    """Where what random people do in a hurry is not limited by how fast they do it."""
    return await make_app(rate_limits="off")


class Step(NamedTuple):
    deed: str
    who: str
    whom: str
    role: str


steps = st.builds(Step, *map(st.sampled_from, (DEEDS, ACTORS, ACTORS, ROLES)))


class Stage(NamedTuple):
    """A room with a name that is said nowhere else, and everybody by name. `watch` reads it and is left alone."""

    people: dict[str, UserClient]
    room_id: str
    message_id: str
    secret: str
    ruled: bool
    """Whether administrators rule here."""

    async def roles(self) -> dict[str, str]:
        """By name."""
        names = {person.id: name for name, person in self.people.items()}
        known, _ = await snapshot(self.people["watch"], self.room_id)
        return {names[user_id]: member["role"] for user_id, member in known.members.items()}

    async def take(self, step: Step) -> list[str]:
        """Do it; the codes of its refusal."""
        actor, target = self.people[step.who], self.people[step.whom]
        if step.deed == "invite":
            code = (await actor.mutate(CREATE_INVITE, roomId=self.room_id, maxUses=1))["code"]
            payload = await target.mutate(mutation("joinRoom"), inviteCode=code or "0" * 24)
        else:
            more: dict[str, dict[str, Any]] = {
                "addMembers": {"userIds": [target.id], "role": step.role},
                "removeMember": {"userId": target.id},
                "setMemberRole": {"userId": target.id, "role": step.role},
            }
            payload = await actor.mutate(mutation(step.deed), roomId=self.room_id, **more.get(step.deed, {}))
        return [error["code"] for error in payload["errors"]]


async def stage(people: dict[str, UserClient], visibility: str) -> Stage:
    bob, secret = people["bob"], uuid.uuid4().hex
    room_id = await bob.create_room(secret, visibility=visibility, topic=secret)
    for name, role in (("watch", "READ_ONLY"), ("cleo", "MODERATOR"), ("dora", "MEMBER")):
        await change(bob, "addMembers", roomId=room_id, userIds=[people[name].id], role=role)
    [said] = await bob.send_messages(room_id, secret)
    return Stage(people, room_id, said["id"], secret, ruled=visibility == "PUBLIC")


@pytest_asyncio.fixture
async def people(app: RunningApp) -> AsyncIterator[dict[str, UserClient]]:
    """ann is an administrator; eve is nobody's friend."""
    found = {name: await sign_up(app, name) for name in [*ACTORS, "watch", "eve"]}
    yield found
    for person in found.values():
        await person.http.aclose()


@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
@FEW
@given(script=st.lists(steps, min_size=4, max_size=12))
async def test_no_sequence_of_deeds_breaks_a_room(
    visibility: str, script: list[Step], people: dict[str, UserClient]
) -> None:
    on = await stage(people, visibility)
    async with replay_invariant(people["watch"], on.room_id):
        before = await on.roles()
        for step in script:
            refused = await on.take(step)
            after = await on.roles()
            assert "OWNER" in after.values()
            assert all(_may_cause(on, step, before, name, after.get(name)) for name in people), (step, before, after)
            assert not refused or after == before
            before = after
    for name, person in people.items():
        if name in before or on.ruled:
            assert await _rights(person, on.room_id) == _deserved(on, name, before.get(name))
        else:
            await _sees_nothing(person, on)


def _may_cause(on: Stage, step: Step, before: dict[str, str], name: str, role: str | None) -> bool:
    """Whether who took the step could have made that of somebody: the rules said anew, not asked of the policies."""
    was, mine = before.get(name), before.get(step.who)
    rules = step.who == "ann" and on.ruled
    if role == was:
        return True
    if name not in (step.who, step.whom):
        return False
    owns = rules or mine == "OWNER"
    if was is None:
        return role in ("READ_ONLY", "MEMBER") or (step.deed == "addMembers" and owns)
    if role is None:
        above = mine is not None and ROLES.index(mine) > max(ROLES.index(was), ROLES.index("MEMBER"))
        return (step.deed == "leaveRoom" and name == step.who) or (step.deed == "removeMember" and (above or rules))
    return step.deed == "setMemberRole" and owns and (was != "OWNER" or rules or name == step.who)


def _deserved(on: Stage, name: str, role: str | None) -> set[str]:
    if name == "ann" and on.ruled:
        return RIGHTS["OWNER"] if role else RIGHTS["OWNER"] - {"canSend", "canUpload"}
    return RIGHTS[role]


async def _rights(person: UserClient, room_id: str) -> set[str]:
    shown = (await person.execute(PERMISSIONS, id=room_id))["room"]["viewerPermissions"]
    return {right for right, has in shown.items() if has}


async def _sees_nothing(person: UserClient, on: Stage) -> None:
    """Through no field, connection, node, search, stream or refusal can this person tell that the room exists."""
    shown = await person.execute(FROM_OUTSIDE, room=on.room_id, message=on.message_id, name=on.secret)
    assert shown == {
        "room": None,
        "message": None,
        "one": None,
        "many": [None, None],
        "rooms": {"totalCount": 0, "nodes": []},
    }
    assert on.secret not in await room_names(person, membership="DISCOVERABLE")
    assert await person.error_codes("query H($id: ID!) { messages(roomId: $id) { nodes { id } } }", id=on.room_id) == [
        "NOT_FOUND"
    ]
    other = {"roomId": on.room_id, "userId": on.people["bob"].id}
    wishes: list[tuple[str, dict[str, Any]]] = [
        (SEND, {"roomId": on.room_id, "body": "hello?"}),
        (CREATE_INVITE, {"roomId": on.room_id}),
        (DELETE, {"roomId": on.room_id}),
        (mutation("joinRoom"), {"roomId": on.room_id}),
        (mutation("leaveRoom"), {"roomId": on.room_id}),
        (mutation("updateRoom"), {"roomId": on.room_id, "name": "mine"}),
        (mutation("archiveRoom"), {"roomId": on.room_id}),
        (mutation("unarchiveRoom"), {"roomId": on.room_id}),
        (mutation("addMembers"), {"roomId": on.room_id, "userIds": [person.id]}),
        (mutation("removeMember"), other),
        (mutation("setMemberRole"), {**other, "role": "MEMBER"}),
        (mutation("muteMember"), {**other, "seconds": 1}),
        (mutation("reportMessage", "{ errors { code } }"), {"messageId": on.message_id, "reason": "spam"}),
    ]
    for document, arguments in wishes:
        payload = await person.mutate(document, **arguments)
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"], document
        assert on.secret not in json.dumps(payload)
    async with person.connect() as wire:
        for document in (ROOM_EVENTS, ROOM_MESSAGES):
            told = await (await wire.subscribe(document, roomId=on.room_id)).next_message()
            assert (told["type"], told["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")
