"""Random sequences of membership changes: a room keeps an owner, no user gains a role that nobody may grant, a refused
mutation changes nothing, and a private room stays hidden from non-members."""

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
MUTATIONS = ["joinRoom", "leaveRoom", "addMembers", "removeMember", "setMemberRole", "invite"]
FEW_EXAMPLES = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SENDER_RIGHTS = {"canSend", "canUpload", "canInvite"}
MODERATOR_RIGHTS = SENDER_RIGHTS | {"canManageMembers", "canPin", "canDeleteOthersMessages"}
RIGHTS: dict[str | None, set[str]] = {
    None: set(),
    "READ_ONLY": set(),
    "MEMBER": SENDER_RIGHTS,
    "MODERATOR": MODERATOR_RIGHTS,
    "OWNER": MODERATOR_RIGHTS | {"canEditRoom", "canArchive"},
}
PERMISSIONS = (
    "query P($id: ID!) { room(id: $id) { viewerPermissions "
    "{ canSend canInvite canEditRoom canManageMembers canPin canDeleteOthersMessages canArchive canUpload } } }"
)
READ_EVERYTHING = (
    "query O($room: ID!, $message: ID!, $name: String!) { room(id: $room) { id } message(id: $message) { id } "
    "one: node(id: $room) { id } many: nodes(ids: [$room, $message]) { id } "
    "rooms(filter: { membership: ALL, query: $name }) { totalCount nodes { id } } }"
)


@pytest_asyncio.fixture
async def app(make_app: MakeApp) -> RunningApp:
    """Without rate limits, because the tests send many requests at once."""
    return await make_app(rate_limits="off")


class Step(NamedTuple):
    name: str
    actor: str
    target: str
    role: str


steps = st.builds(Step, *map(st.sampled_from, (MUTATIONS, ACTORS, ACTORS, ROLES)))


class RoomUnderTest(NamedTuple):
    """A room whose name occurs nowhere else, and all clients by name. `watch` only observes: no step targets it."""

    clients: dict[str, UserClient]
    room_id: str
    message_id: str
    secret: str
    admin_has_rights: bool
    """Whether administrators have an owner's rights in this room."""

    async def roles(self) -> dict[str, str]:
        """The role of each member by name."""
        names = {client.id: name for name, client in self.clients.items()}
        known, _ = await snapshot(self.clients["watch"], self.room_id)
        return {names[user_id]: member["role"] for user_id, member in known.members.items()}

    async def run(self, step: Step) -> list[str]:
        """Run the step. Returns the codes of its errors."""
        actor, target = self.clients[step.actor], self.clients[step.target]
        if step.name == "invite":
            created = (await actor.mutate(CREATE_INVITE, roomId=self.room_id, maxUses=1))["invite"]
            payload = await target.mutate(mutation("joinRoom"), inviteCode=created["code"] if created else "0" * 24)
        else:
            more: dict[str, dict[str, Any]] = {
                "addMembers": {"userIds": [target.id], "role": step.role},
                "removeMember": {"userId": target.id},
                "setMemberRole": {"userId": target.id, "role": step.role},
            }
            payload = await actor.mutate(mutation(step.name), roomId=self.room_id, **more.get(step.name, {}))
        return [error["code"] for error in payload["errors"]]


async def create_room_under_test(clients: dict[str, UserClient], visibility: str) -> RoomUnderTest:
    bob, secret = clients["bob"], uuid.uuid4().hex
    room_id = await bob.create_room(secret, visibility=visibility, topic=secret)
    for name, role in (("watch", "READ_ONLY"), ("cleo", "MODERATOR"), ("dora", "MEMBER")):
        await change(bob, "addMembers", roomId=room_id, userIds=[clients[name].id], role=role)
    [first_message] = await bob.send_messages(room_id, secret)
    return RoomUnderTest(clients, room_id, first_message["id"], secret, admin_has_rights=visibility == "PUBLIC")


@pytest_asyncio.fixture
async def clients(app: RunningApp) -> AsyncIterator[dict[str, UserClient]]:
    """ann is an administrator. eve is never a member."""
    found = {name: await sign_up(app, name) for name in [*ACTORS, "watch", "eve"]}
    yield found
    for client in found.values():
        await client.http.aclose()


@pytest.mark.parametrize("visibility", ["PUBLIC", "PRIVATE"])
@FEW_EXAMPLES
@given(script=st.lists(steps, min_size=4, max_size=12))
async def test_no_sequence_of_membership_changes_breaks_a_room(
    visibility: str, script: list[Step], clients: dict[str, UserClient]
) -> None:
    room = await create_room_under_test(clients, visibility)
    async with replay_invariant(clients["watch"], room.room_id):
        before = await room.roles()
        for step in script:
            refused = await room.run(step)
            after = await room.roles()
            assert "OWNER" in after.values()
            assert all(_may_change_role(room, step, before, name, after.get(name)) for name in clients), (
                step,
                before,
                after,
            )
            assert not refused or after == before
            before = after
    for name, client in clients.items():
        if name in before or room.admin_has_rights:
            assert await _rights(client, room.room_id) == _expected_rights(room, name, before.get(name))
        else:
            await _assert_hidden_from(client, room)


def _may_change_role(room: RoomUnderTest, step: Step, before: dict[str, str], name: str, role: str | None) -> bool:
    """Whether the step may have caused this change of `name`'s role. The rules are written again here, so that the
    policies are not tested against themselves."""
    role_before, actor_role = before.get(name), before.get(step.actor)
    is_admin = step.actor == "ann" and room.admin_has_rights
    if role == role_before:
        return True
    if name not in (step.actor, step.target):
        return False
    owns = is_admin or actor_role == "OWNER"
    if role_before is None:
        return role in ("READ_ONLY", "MEMBER") or (step.name == "addMembers" and owns)
    if role is None:
        above = actor_role is not None and ROLES.index(actor_role) > max(
            ROLES.index(role_before), ROLES.index("MEMBER")
        )
        return (step.name == "leaveRoom" and name == step.actor) or (
            step.name == "removeMember" and (above or is_admin)
        )
    return step.name == "setMemberRole" and owns and (role_before != "OWNER" or is_admin or name == step.actor)


def _expected_rights(room: RoomUnderTest, name: str, role: str | None) -> set[str]:
    if name == "ann" and room.admin_has_rights:
        return RIGHTS["OWNER"] if role else RIGHTS["OWNER"] - {"canSend", "canUpload"}
    return RIGHTS[role]


async def _rights(client: UserClient, room_id: str) -> set[str]:
    answer = (await client.execute(PERMISSIONS, id=room_id))["room"]["viewerPermissions"]
    return {right for right, has in answer.items() if has}


async def _assert_hidden_from(client: UserClient, room: RoomUnderTest) -> None:
    """Assert that no field, connection, node, search, stream or error reveals to this client that the room exists."""
    answer = await client.execute(READ_EVERYTHING, room=room.room_id, message=room.message_id, name=room.secret)
    assert answer == {
        "room": None,
        "message": None,
        "one": None,
        "many": [None, None],
        "rooms": {"totalCount": 0, "nodes": []},
    }
    assert room.secret not in await room_names(client, membership="DISCOVERABLE")
    history = "query H($id: ID!) { messages(roomId: $id) { nodes { id } } }"
    assert await client.error_codes(history, id=room.room_id) == ["NOT_FOUND"]
    other = {"roomId": room.room_id, "userId": room.clients["bob"].id}
    attempts: list[tuple[str, dict[str, Any]]] = [
        (SEND, {"roomId": room.room_id, "body": "hello?"}),
        (CREATE_INVITE, {"roomId": room.room_id}),
        (DELETE, {"roomId": room.room_id}),
        (mutation("joinRoom"), {"roomId": room.room_id}),
        (mutation("leaveRoom"), {"roomId": room.room_id}),
        (mutation("updateRoom"), {"roomId": room.room_id, "name": "mine"}),
        (mutation("archiveRoom"), {"roomId": room.room_id}),
        (mutation("unarchiveRoom"), {"roomId": room.room_id}),
        (mutation("addMembers"), {"roomId": room.room_id, "userIds": [client.id]}),
        (mutation("removeMember"), other),
        (mutation("setMemberRole"), {**other, "role": "MEMBER"}),
        (mutation("muteMember"), {**other, "seconds": 1}),
        (mutation("reportMessage", "{ errors { code } }"), {"messageId": room.message_id, "reason": "spam"}),
    ]
    for document, arguments in attempts:
        payload = await client.mutate(document, **arguments)
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"], document
        assert room.secret not in json.dumps(payload)
    async with client.connect() as socket:
        for document in (ROOM_EVENTS, ROOM_MESSAGES):
            frame = await (await socket.subscribe(document, roomId=room.room_id)).next_message()
            assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")
