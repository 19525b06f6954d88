"""Payloads of mutations carry what changed, and nothing after a failure."""

import uuid
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from roomcast.api.schema.root import build_schema
from tests.api_clients import PASSWORD, AnonymousClient, Json, UserClient
from tests.uploads.documents import ATTACHMENT, upload

SCHEMA = build_schema()._schema
assert SCHEMA.mutation_type is not None
MUTATIONS = SCHEMA.mutation_type.fields

MEMBER = "{ role mutedUntil user { username } }"
EDGES = (
    "query Edges($room: ID!, $root: ID) "
    "{ messages(roomId: $room, threadRootId: $root) { edges { cursor node { id } } } }"
)
UNKNOWN = str(uuid.UUID(int=7))
ROOM, USER, MESSAGE = {"roomId": f"room_{UNKNOWN}"}, {"userId": f"user_{UNKNOWN}"}, {"messageId": f"msg_{UNKNOWN}"}
WRONG: dict[str, Json] = {
    "signup": {"username": "?", "password": PASSWORD},
    "login": {"usernameOrEmail": "nobody", "password": PASSWORD},
    "refreshSession": {"refreshToken": "nonsense"},
    "revokeSession": {"sessionId": "session_x"},
    "changePassword": {"currentPassword": "wrong", "newPassword": PASSWORD[::-1]},
    "updateProfile": {"displayName": "x" * 1000},
    "setUserRole": {**USER, "role": "ADMIN"},
    "banUser": USER,
    "unbanUser": USER,
    "createRoom": {"name": ""},
    "updateRoom": ROOM,
    "archiveRoom": ROOM,
    "unarchiveRoom": ROOM,
    "deleteRoom": ROOM,
    "openDirectMessage": {"userIds": []},
    "joinRoom": ROOM,
    "leaveRoom": ROOM,
    "addMembers": {**ROOM, "userIds": []},
    "removeMember": ROOM | USER,
    "setMemberRole": {**ROOM, **USER, "role": "OWNER"},
    "muteMember": {**ROOM, **USER, "seconds": 60},
    "createInvite": ROOM,
    "revokeInvite": {"code": "nonsense"},
    "sendMessage": {**ROOM, "body": "hello"},
    "editMessage": {**MESSAGE, "body": "hello"},
    "deleteMessage": MESSAGE,
    "addReaction": {**MESSAGE, "emoji": "👍"},
    "removeReaction": {**MESSAGE, "emoji": "👍"},
    "pinMessage": MESSAGE,
    "unpinMessage": MESSAGE,
    "setPresence": {"statusEmoji": "no emoji"},
    "setTyping": {**ROOM, "typing": True},
    "markRead": {**ROOM, "upToMessageId": f"msg_{UNKNOWN}"},
    "setRoomPreferences": ROOM,
    "markThreadRead": {"threadRootId": f"msg_{UNKNOWN}", "upToMessageId": f"msg_{UNKNOWN}"},
    "setThreadFollowing": {"threadRootId": f"msg_{UNKNOWN}", "following": True},
    "createUpload": {"filename": "notes.txt", "contentType": "text/plain", "byteSize": 0},
    "reportMessage": {**MESSAGE, "reason": "spam"},
    "registerPushSubscription": {"endpoint": "nonsense", "p256dh": "x", "auth": "x"},
}
"""An input of each mutation that is refused in the payload. The others have no errors of their own."""


def whole_payload(name: str) -> str:
    """The document of a mutation that selects every field of its payload."""
    payload = get_named_type(MUTATIONS[name].type)
    assert isinstance(payload, GraphQLObjectType)
    selected = [
        key if is_leaf_type(get_named_type(field.type)) else f"{key} {{ __typename }}"
        for key, field in payload.fields.items()
    ]
    type_ = MUTATIONS[name].args["input"].type
    return f"mutation M($input: {type_}) {{ {name}(input: $input) {{ {' '.join(selected)} }} }}"


async def run(client: AnonymousClient, name: str, selection: str, /, **arguments: Any) -> Json:
    """Run a mutation that must succeed. Returns its payload."""
    type_ = MUTATIONS[name].args["input"].type
    document = f"mutation M($input: {type_}) {{ {name}(input: $input) {{ errors {{ code path }} {selection} }} }}"
    payload = await client.mutate(document, **arguments)
    assert payload["errors"] == []
    return payload


async def test_after_a_failure_every_other_field_is_null(ann: UserClient) -> None:
    without_errors = {"logout", "unregisterPushSubscription"}
    assert WRONG.keys() >= MUTATIONS.keys() - without_errors
    for name, wrong in WRONG.items():
        payload = await ann.mutate(whole_payload(name), **wrong)
        assert len(payload.pop("errors")) == 1, name
        assert payload.pop("replayed", False) is False
        assert set(payload.values()) <= {None}, name


async def test_membership_mutations_return_the_memberships(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den")
    joined = await run(bob, "joinRoom", "membership { role joinedAt unreadCount }", roomId=room_id)
    assert (joined["membership"]["role"], joined["membership"]["unreadCount"]) == ("MEMBER", 0)
    again = await run(bob, "joinRoom", "cursor membership { role joinedAt unreadCount }", roomId=room_id)
    assert again == {**joined, "cursor": None}
    ids = [bob.id, cleo.id]
    added = await run(ann, "addMembers", f"cursor members {MEMBER}", roomId=room_id, userIds=ids, role="READ_ONLY")
    assert added["members"] == [{"role": "READ_ONLY", "mutedUntil": None, "user": {"username": "cleo"}}]
    none = await run(ann, "addMembers", f"cursor members {MEMBER}", roomId=room_id, userIds=ids)
    assert (none["cursor"], none["members"]) == (None, [])
    cleo_in = {"roomId": room_id, "userId": cleo.id}
    for _ in range(2):  # the second time nothing changes
        promoted = await run(ann, "setMemberRole", f"member {MEMBER}", **cleo_in, role="MEMBER")
        assert promoted["member"] == {"role": "MEMBER", "mutedUntil": None, "user": {"username": "cleo"}}
    assert (await run(ann, "muteMember", f"member {MEMBER}", **cleo_in, seconds=60))["member"]["mutedUntil"]
    for _ in range(2):
        assert (await run(ann, "muteMember", f"member {MEMBER}", **cleo_in, seconds=0))["member"]["mutedUntil"] is None
    for _ in range(2):
        assert (await run(ann, "removeMember", "removedUserId", **cleo_in))["removedUserId"] == cleo.id


async def test_the_edge_of_a_sent_message_is_that_of_its_history(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    selection = "replayed message { id } messageEdge { cursor node { id } }"
    root = await run(ann, "sendMessage", selection, roomId=room_id, body="hello")
    history = (await ann.execute(EDGES, room=room_id))["messages"]["edges"]
    assert root["messageEdge"] == history[-1]
    assert root["messageEdge"]["node"] == root["message"]
    in_thread = {"roomId": room_id, "body": "a reply", "threadRootId": root["message"]["id"]}
    key = str(uuid.uuid4())
    reply = await run(ann, "sendMessage", selection, **in_thread, clientMessageId=key)
    thread = (await ann.execute(EDGES, room=room_id, root=root["message"]["id"]))["messages"]["edges"]
    assert [reply["messageEdge"]] == thread
    again = await run(ann, "sendMessage", selection, **in_thread, clientMessageId=key)
    assert again == {**reply, "replayed": True}


async def test_a_message_with_an_attachment_needs_no_body(ann: UserClient) -> None:
    room_id, attachments = await ann.create_room("den"), f"message {{ body attachments {{ {ATTACHMENT} }} }}"
    for body in ({}, {"body": None}, {"body": ""}):
        files = [await upload(ann, b"minutes")]
        sent = (await run(ann, "sendMessage", attachments, roomId=room_id, attachmentIds=files, **body))["message"]
        assert (sent["body"], [file["id"] for file in sent["attachments"]]) == ("", files)
    send = (
        "mutation M($input: SendMessageInput!) { sendMessage(input: $input) { errors { code path } message { id } } }"
    )
    nothing: list[Json] = [{}, {"attachmentIds": []}, {"attachmentIds": None}]
    for more in nothing:
        refused = await ann.mutate(send, roomId=room_id, **more)
        assert refused == {"errors": [{"code": "VALIDATION_FAILED", "path": ["input", "body"]}], "message": None}


async def test_read_state_mutations_return_the_room_and_the_membership(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    first, second = await ann.send_messages(room_id, "one", "two")
    membership = "lastReadSeq unreadCount favourite notificationLevel"
    selection = f"room {{ id viewerMembership {{ {membership} }} }} membership {{ {membership} }}"
    for message, unread in ((first, 1), (second, 0)):
        read = await run(bob, "markRead", selection, roomId=room_id, upToMessageId=message["id"])
        assert (read["membership"]["lastReadSeq"], read["membership"]["unreadCount"]) == (message["seq"], unread)
        assert read["room"] == {"id": room_id, "viewerMembership": read["membership"]}
    preferred = await run(bob, "setRoomPreferences", selection, roomId=room_id, favourite=True)
    assert preferred["membership"] == {**read["membership"], "favourite": True}
    assert preferred["room"]["viewerMembership"] == preferred["membership"]


async def test_account_mutations_return_the_account(ann: UserClient, bob: UserClient) -> None:
    changed = await run(
        bob,
        "updateProfile",
        "user { id displayName } viewer { id email user { displayName } }",
        displayName="Bobby",
        email="bob@example.org",
        currentPassword=PASSWORD,
    )
    assert changed["user"] == {"id": bob.id, "displayName": "Bobby"}
    viewer = (await bob.execute("{ me { id email user { displayName } } }"))["me"]
    assert viewer == changed["viewer"]
    assert viewer["email"] == "bob@example.org"
    new = await run(bob, "changePassword", "viewer { id }", currentPassword=PASSWORD, newPassword=PASSWORD[::-1])
    assert new["viewer"] == {"id": viewer["id"]}
    for name in ("banUser", "unbanUser"):
        for _ in range(2):  # the second time nothing changes
            assert (await run(ann, name, "user { username }", userId=bob.id))["user"] == {"username": "bob"}


@pytest.mark.parametrize("is_current", [True, False])
async def test_a_revoked_session_is_returned(bob: UserClient, anonymous: AnonymousClient, is_current: bool) -> None:
    login = {"usernameOrEmail": "bob", "password": PASSWORD, "deviceName": "the phone"}
    phone = await run(anonymous, "login", "session { id } tokens { accessToken }", **login)
    async with AnonymousClient(bob.app, phone["tokens"]["accessToken"]) as on_phone:
        client = on_phone if is_current else bob
        selection = "session { id deviceName current }"
        revoked = await run(client, "revokeSession", selection, sessionId=phone["session"]["id"])
        assert revoked["session"] == {"id": phone["session"]["id"], "deviceName": "the phone", "current": is_current}
        assert (await on_phone.post({"query": "{ me { id } }"})).status_code == 401


async def test_setting_presence_returns_it(bob: UserClient) -> None:
    async with bob.connect() as socket:
        document = (
            "mutation M($input: SetPresenceInput!) { setPresence(input: $input) "
            "{ errors { code } presence { state statusText statusEmoji } } }"
        )
        answers = [
            (await socket.execute(document, input=update))["data"]["setPresence"]["presence"]
            for update in ({"state": "IDLE", "statusText": "reading"}, {"statusText": None, "state": "ACTIVE"})
        ]
    assert answers == [
        {"state": "IDLE", "statusText": "reading", "statusEmoji": None},
        {"state": "ACTIVE", "statusText": None, "statusEmoji": None},
    ]
