"""What the examples of the reference need on a server: people, rooms, messages, an invite."""

from dataclasses import dataclass
from typing import Any

from tests.accounts.documents import BAN
from tests.api_clients import LOGIN, PASSWORD, AnonymousClient, Json, sign_up
from tests.rooms.documents import add, change, invite
from tests.running_app import RunningApp

PIN = "mutation P($id: ID!) { pinMessage(input: {messageId: $id}) { errors { code } } }"
REACT = 'mutation R($id: ID!) { addReaction(input: {messageId: $id, emoji: "🎉"}) { errors { code } } }'
CURSOR = "query C($id: ID!) { room(id: $id) { streamCursor } }"


@dataclass
class World:
    """`real` has what the server made, by the invented values that the examples contain in its place."""

    people: dict[str, AnonymousClient]
    real: Json

    def with_real_values(self, variables: Any) -> Any:
        if isinstance(variables, dict):
            return {name: self.with_real_values(value) for name, value in variables.items()}
        if isinstance(variables, list):
            return [self.with_real_values(value) for value in variables]
        return self.real.get(variables, variables) if isinstance(variables, str) else variables


async def make_world(app: RunningApp) -> World:
    """Ann, an administrator, owns a lobby with Bob in it. Cleo is outside, Dave is banned."""
    ann, bob, cleo, dave = [await sign_up(app, name) for name in ("ann", "bob", "cleo", "dave")]
    succeeded(await ann.mutate(BAN, userId=dave.id))
    lobby, old = await ann.create_room("Lobby"), await ann.create_room("Last year")
    await add(ann, lobby, bob)
    await change(ann, "archiveRoom", roomId=old)
    cursor = (await ann.execute(CURSOR, id=lobby))["room"]["streamCursor"]
    [pinned, hello] = await ann.send_messages(lobby, "Rules of the lobby", "hello")
    reply = succeeded(await bob.send(lobby, "Good morning", threadRootId=hello["id"]))["message"]
    succeeded((await ann.execute(PIN, id=pinned["id"]))["pinMessage"])
    succeeded((await ann.execute(REACT, id=hello["id"]))["addReaction"])
    anonymous = AnonymousClient(app)
    phone = succeeded(await anonymous.mutate(LOGIN, usernameOrEmail="ann", password=PASSWORD))
    real = {
        "user_bob": bob.id,
        "user_cleo": cleo.id,
        "user_banned": dave.id,
        "room_lobby": lobby,
        "room_archived": old,
        "msg_hello": hello["id"],
        "msg_reply": reply["id"],
        "msg_pinned": pinned["id"],
        "session_phone": phone["session"]["id"],
        "the-refresh-token": ann.refresh_token,
        "the-code-of-an-invite": await invite(ann, lobby),
        "the-stream-cursor-of-the-page": cursor,
        "correct horse battery staple": PASSWORD,
        "https://push.example.org/abc": "https://localhost/push/abc",
    }
    await dave.http.aclose()
    return World({"ann": ann, "bob": bob, "cleo": cleo, "anonymous": anonymous}, real)


async def close(world: World) -> None:
    for person in world.people.values():
        await person.http.aclose()


def succeeded(payload: Json) -> Json:
    assert payload["errors"] == []
    return payload


def actor(world: World, field: str) -> AnonymousClient:
    """Who runs the example of a field."""
    return world.people[ACTORS.get(field, "ann")]


ACTORS = {
    "signup": "anonymous",
    "login": "anonymous",
    "refreshSession": "anonymous",
    "invite": "anonymous",
    "joinRoom": "cleo",
    "leaveRoom": "bob",
    "markRead": "bob",
    "reportMessage": "bob",
}
