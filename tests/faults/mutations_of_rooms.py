"""Trials of the mutations of rooms, members, messages and moderation."""

import uuid

from tests.faults.lanes import Lane
from tests.faults.trials import Trial, do, message, people, room, shared_room, trial_of, uid

ROOM = "SELECT count(*) FROM rooms WHERE id = $1 AND "
MEMBER = "SELECT count(*) FROM memberships WHERE room_id = $1 AND user_id = $2"
MESSAGE = "SELECT count(*) FROM messages WHERE id = $1 AND "


@trial_of("createRoom")
async def create_room(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    name = lane.name("new room ")
    return Trial(ann, {"name": name, "memberIds": [bob.id]}, "SELECT count(*) FROM rooms WHERE name = $1", (name,))


@trial_of("createRoom:keyed")
async def create_room_with_key(lane: Lane) -> Trial:
    trial = await create_room(lane)
    trial.variables["idempotencyKey"], trial.is_keyed = str(uuid.uuid4()), True
    return trial


@trial_of("updateRoom")
async def update_room(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    changed, topic = await room(lane), lane.name("topic ")
    return Trial(ann, {"roomId": changed, "topic": topic}, ROOM + "topic = $2", (uid(changed), topic), changed)


@trial_of("archiveRoom")
async def archive_room(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    changed = await room(lane)
    return Trial(ann, {"roomId": changed}, ROOM + "archived_at IS NOT NULL", (uid(changed),), changed)


@trial_of("unarchiveRoom")
async def unarchive_room(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    changed = await room(lane)
    await do(ann, "archiveRoom", roomId=changed)
    return Trial(ann, {"roomId": changed}, ROOM + "archived_at IS NULL", (uid(changed),), changed)


@trial_of("deleteRoom")
async def delete_room(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    room_id = await room(lane, bob)
    await ann.send_messages(room_id, "something")
    return Trial(ann, {"roomId": room_id}, "SELECT 1 - count(*) FROM rooms WHERE id = $1", (uid(room_id),))


@trial_of("openDirectMessage")
async def open_direct_message(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    other = await lane.person("other")
    effect = "SELECT count(*) FROM rooms JOIN memberships ON room_id = id WHERE kind = 'DIRECT' AND user_id = $1"
    return Trial(ann, {"userIds": [other.id]}, effect, (uid(other.id),), is_keyed=True)


@trial_of("joinRoom")
async def join_room(lane: Lane) -> Trial:
    _, bob = await people(lane)
    joined_room_id = await room(lane)
    return Trial(bob, {"roomId": joined_room_id}, MEMBER, (uid(joined_room_id), uid(bob.id)), joined_room_id)


@trial_of("joinRoom:by invite")
async def join_room_by_invite(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    joined_room_id = await room(lane, visibility="PRIVATE")
    code = (await do(ann, "createInvite", roomId=joined_room_id, maxUses=1))["invite"]["code"]
    effect = f"SELECT ({MEMBER}) * uses FROM invites WHERE room_id = $1"  # noqa: S608 (constants of this module)
    return Trial(bob, {"inviteCode": code}, effect, (uid(joined_room_id), uid(bob.id)), joined_room_id)


@trial_of("leaveRoom")
async def leave_room(lane: Lane) -> Trial:
    _, bob = await people(lane)
    left = await room(lane, bob)
    return Trial(bob, {"roomId": left}, f"SELECT 1 - ({MEMBER})", (uid(left), uid(bob.id)), left)


@trial_of("addMembers")
async def add_members(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    joined_room_id = await room(lane)
    return Trial(
        ann, {"roomId": joined_room_id, "userIds": [bob.id]}, MEMBER, (uid(joined_room_id), uid(bob.id)), joined_room_id
    )


@trial_of("removeMember")
async def remove_member(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    left = await room(lane, bob)
    variables = {"roomId": left, "userId": bob.id}
    return Trial(ann, variables, f"SELECT 1 - ({MEMBER})", (uid(left), uid(bob.id)), left)


@trial_of("setMemberRole")
async def set_member_role(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    changed = await room(lane, bob)
    variables = {"roomId": changed, "userId": bob.id, "role": "MODERATOR"}
    return Trial(ann, variables, f"{MEMBER} AND role = 'MODERATOR'", (uid(changed), uid(bob.id)), changed)


@trial_of("muteMember")
async def mute_member(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    changed = await room(lane, bob)
    variables = {"roomId": changed, "userId": bob.id, "seconds": 60}
    return Trial(ann, variables, f"{MEMBER} AND muted_until IS NOT NULL", (uid(changed), uid(bob.id)), changed)


@trial_of("createInvite")
async def create_invite(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    open_to = await room(lane)
    return Trial(ann, {"roomId": open_to}, "SELECT count(*) FROM invites WHERE room_id = $1", (uid(open_to),))


@trial_of("revokeInvite")
async def revoke_invite(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    code = (await do(ann, "createInvite", roomId=await room(lane)))["invite"]["code"]
    effect = "SELECT count(*) FROM invites WHERE code = $1 AND revoked_at IS NOT NULL"
    return Trial(ann, {"code": code}, effect, (code,))


@trial_of("setRoomPreferences")
async def set_room_preferences(lane: Lane) -> Trial:
    _, bob = await people(lane)
    changed = await room(lane, bob)
    variables = {"roomId": changed, "favourite": True}
    return Trial(bob, variables, f"{MEMBER} AND favourite", (uid(changed), uid(bob.id)), changed)


@trial_of("markRead")
async def mark_read(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    read = await room(lane, bob)
    [first] = await ann.send_messages(read, "something")
    variables = {"roomId": read, "upToMessageId": first["id"]}
    return Trial(bob, variables, f"{MEMBER} AND last_read_seq = $3", (uid(read), uid(bob.id), first["seq"]), read)


THREAD_STATE = "SELECT count(*) FROM thread_states WHERE root_id = $1 AND user_id = $2 AND "


@trial_of("markThreadRead")
async def mark_thread_read(lane: Lane) -> Trial:
    ann, bob = await people(lane)
    place = await room(lane, bob)
    [root] = await ann.send_messages(place, "something")
    reply = (await do(ann, "sendMessage", roomId=place, body="reply", threadRootId=root["id"]))["message"]
    variables = {"threadRootId": root["id"], "upToMessageId": reply["id"]}
    return Trial(bob, variables, THREAD_STATE + "last_read_seq > 0", (uid(root["id"]), uid(bob.id)), place)


@trial_of("setThreadFollowing")
async def set_thread_following(lane: Lane) -> Trial:
    _, bob = await people(lane)
    root_id = await message(lane)
    variables = {"threadRootId": root_id, "following": True}
    return Trial(bob, variables, THREAD_STATE + "is_following", (uid(root_id), uid(bob.id)), await shared_room(lane))


# ------------------------------------------------------------------ messages


@trial_of("sendMessage")
async def send_message(lane: Lane) -> Trial:
    _, bob = await people(lane)
    body = lane.name("body")
    effect = "SELECT count(*) FROM messages WHERE body = $1"
    return Trial(bob, {"roomId": await shared_room(lane), "body": body}, effect, (body,), await shared_room(lane))


@trial_of("sendMessage:keyed")
async def send_message_with_key(lane: Lane) -> Trial:
    trial = await send_message(lane)
    trial.variables["clientMessageId"], trial.is_keyed = str(uuid.uuid4()), True
    return trial


@trial_of("sendMessage:in a thread")
async def send_reply(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    trial = await send_message(lane)
    trial.variables |= {"threadRootId": await message(lane), "replyToId": None}
    trial.variables["body"] += f" @{ann.name}"
    trial.arguments = (trial.variables["body"],)
    return trial


@trial_of("editMessage")
async def edit_message(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    id_, body = await message(lane), lane.name("edited")
    return Trial(
        ann, {"messageId": id_, "body": body}, MESSAGE + "body = $2", (uid(id_), body), await shared_room(lane)
    )


@trial_of("deleteMessage")
async def delete_message(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    id_ = await message(lane)
    return Trial(ann, {"messageId": id_}, MESSAGE + "deleted_at IS NOT NULL", (uid(id_),), await shared_room(lane))


@trial_of("addReaction")
async def add_reaction(lane: Lane) -> Trial:
    _, bob = await people(lane)
    id_ = await message(lane)
    effect = "SELECT count(*) FROM reactions WHERE message_id = $1"
    return Trial(bob, {"messageId": id_, "emoji": "👍"}, effect, (uid(id_),), await shared_room(lane))


@trial_of("removeReaction")
async def remove_reaction(lane: Lane) -> Trial:
    trial = await add_reaction(lane)
    await do(trial.actor, "addReaction", **trial.variables)
    trial.effect = "SELECT 1 - count(*) FROM reactions WHERE message_id = $1"
    return trial


@trial_of("pinMessage")
async def pin_message(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    pinned = await room(lane)
    [sent] = await ann.send_messages(pinned, "something")
    return Trial(ann, {"messageId": sent["id"]}, MESSAGE + "pinned_at IS NOT NULL", (uid(sent["id"]),), pinned)


@trial_of("unpinMessage")
async def unpin_message(lane: Lane) -> Trial:
    trial = await pin_message(lane)
    await do(trial.actor, "pinMessage", **trial.variables)
    trial.effect = MESSAGE + "pinned_at IS NULL"
    return trial


@trial_of("reportMessage")
async def report_message(lane: Lane) -> Trial:
    _, bob = await people(lane)
    id_ = await message(lane)
    effect = "SELECT count(*) FROM reports WHERE message_id = $1"
    return Trial(bob, {"messageId": id_, "reason": "it is rude"}, effect, (uid(id_),))
