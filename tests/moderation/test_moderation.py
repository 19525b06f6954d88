"""Mutes, slow mode, reports and the audit log."""

import uuid
from datetime import datetime

import pytest

from tests.api_clients import SEND, Json, UserClient
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import CREATE_INVITE, DELETE, REVOKE_INVITE, add, change, mutation, refusal

REPORT = mutation("reportMessage", "{ errors { code path } }")
AUDIT = (
    "query A($first: Int, $after: String, $filter: AuditFilter) "
    "{ auditLog(first: $first, after: $after, filter: $filter) "
    "{ nodes { id at action targetId roomId reason ipAddress actor { username } } "
    "pageInfo { hasNextPage endCursor } } }"
)
SEND_WITH_RETRY_AFTER = SEND.replace("retryable", "retryable retryAfterMs")


async def entries(client: UserClient, **filter_: object) -> list[Json]:
    return list((await client.execute(AUDIT, filter=filter_))["auditLog"]["nodes"])


async def test_a_muted_member_cannot_send_until_the_mute_ends(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    key = str(uuid.uuid4())
    first = await cleo.send(room_id, "before", clientMessageId=key)
    async with replay_invariant(cleo, room_id) as events:
        await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=600, reason="shouting")
        [error] = (await cleo.mutate(SEND_WITH_RETRY_AFTER, roomId=room_id, body="but"))["errors"]
        assert (error["code"], error["retryable"]) == ("MUTED", True)
        assert 590_000 < error["retryAfterMs"] <= 600_000
        again = await cleo.send(room_id, "before", clientMessageId=key)
        assert (again["replayed"], again["message"]) == (True, first["message"])
        await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=0)
        assert (await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=0))["cursor"] is None
        await cleo.send_messages(room_id, "thanks")
    assert event_kinds(events) == ["MUTED", "UNMUTED", "MessageCreated"]
    assert datetime.fromisoformat(events[0]["mutedUntil"]) > datetime.fromisoformat(events[0]["at"])


async def test_moderators_mute_members_with_a_lower_role(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    arguments = {"roomId": room_id, "userId": bob.id, "seconds": 60}
    assert await refusal(cleo, "muteMember", **arguments) == "NOT_FOUND"
    await add(ann, room_id, bob, role="MODERATOR")
    await add(ann, room_id, cleo)
    assert await refusal(cleo, "muteMember", **arguments) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", roomId=room_id, userId=ann.id, seconds=60) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", **arguments) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", roomId=room_id, userId="user_x", seconds=60) == "NOT_FOUND"
    assert await refusal(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=-1) == "VALIDATION_FAILED"
    await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=60)
    await change(ann, "muteMember", **arguments)
    assert (await bob.send(room_id, "hey"))["errors"][0]["code"] == "MUTED"
    await change(ann, "setMemberRole", roomId=room_id, userId=cleo.id, role="MODERATOR")
    await cleo.send_messages(room_id, "becoming a moderator lifts a mute")


async def test_slow_mode_limits_members_and_not_moderators(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    await change(bob, "updateRoom", roomId=room_id, slowModeSeconds=600)
    key = str(uuid.uuid4())
    sent = await cleo.send(room_id, "one", clientMessageId=key)
    [error] = (await cleo.mutate(SEND_WITH_RETRY_AFTER, roomId=room_id, body="two"))["errors"]
    assert (error["code"], error["retryable"]) == ("SLOW_MODE", True)
    assert 590_000 < error["retryAfterMs"] <= 600_000
    assert (await cleo.send(room_id, "one", clientMessageId=key))["message"] == sent["message"]
    await bob.send_messages(room_id, "as", "fast", "as I like")
    await change(cleo, "leaveRoom", roomId=room_id)
    await change(cleo, "joinRoom", roomId=room_id)
    assert (await cleo.send(room_id, "back so soon"))["errors"][0]["code"] == "SLOW_MODE"
    await change(bob, "updateRoom", roomId=room_id, slowModeSeconds=0)
    await cleo.send_messages(room_id, "at", "last")


async def test_administrators_find_each_report_once(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    [posted] = await bob.send_messages(room_id, "rude words")
    for _ in range(2):
        assert (await cleo.mutate(REPORT, messageId=posted["id"], reason="rude"))["errors"] == []
    [entry] = await entries(ann, action="MESSAGE_REPORTED")
    assert (entry["actor"], entry["targetId"], entry["reason"]) == ({"username": "cleo"}, posted["id"], "rude")
    assert (entry["roomId"], entry["ipAddress"]) == (room_id, "127.0.0.1")
    [blank] = (await cleo.mutate(REPORT, messageId=posted["id"], reason=" "))["errors"]
    assert blank == {"code": "VALIDATION_FAILED", "path": ["input", "reason"]}
    for client, message in ((ann, posted["id"]), (cleo, "msg_nonsense")):
        assert (await client.mutate(REPORT, messageId=message, reason="rude"))["errors"][0]["code"] == "NOT_FOUND"


async def test_every_action_of_a_moderator_is_in_the_audit_log(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    code = (await bob.mutate(CREATE_INVITE, roomId=room_id))["invite"]["code"]
    await bob.mutate(REVOKE_INVITE, code=code)
    await change(bob, "updateRoom", roomId=room_id, topic="tea")
    await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=60, reason="loud")
    await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=0)
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="READ_ONLY")
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id, reason="gone")
    await change(bob, "archiveRoom", roomId=room_id)
    await change(bob, "unarchiveRoom", roomId=room_id)
    await bob.mutate(DELETE, roomId=room_id)
    found = await entries(ann, actorId=bob.id)
    assert [(entry["action"], entry["targetId"], entry["reason"]) for entry in reversed(found)] == [
        ("INVITE_REVOKED", room_id, None),
        ("ROOM_UPDATED", room_id, None),
        ("MEMBER_MUTED", cleo.id, "loud"),
        ("MEMBER_UNMUTED", cleo.id, None),
        ("MEMBER_ROLE_CHANGED", cleo.id, None),
        ("MEMBER_REMOVED", cleo.id, "gone"),
        ("ROOM_ARCHIVED", room_id, None),
        ("ROOM_UNARCHIVED", room_id, None),
        ("ROOM_DELETED", room_id, None),
    ]
    assert {entry["roomId"] for entry in found} == {room_id}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_audit_log_is_paged_filtered_and_only_for_administrators(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    for number in range(5):
        await change(ann, "updateRoom", roomId=room_id, topic=f"topic {number}")
    first = (await ann.execute(AUDIT, first=3))["auditLog"]
    rest = (await ann.execute(AUDIT, first=3, after=first["pageInfo"]["endCursor"]))["auditLog"]
    assert [len(first["nodes"]), len(rest["nodes"])] == [3, 2]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert len(await entries(ann, since=first["nodes"][0]["at"], targetId=room_id)) >= 1
    assert await entries(ann, actorId="user_nonsense") == await entries(ann, action="NO\0") == []
    assert await bob.error_codes(AUDIT) == ["FORBIDDEN"]
    seen = "query N($id: ID!) { node(id: $id) { id } }"
    assert (await ann.execute(seen, id=first["nodes"][0]["id"]))["node"] is not None
    assert (await bob.execute(seen, id=first["nodes"][0]["id"]))["node"] is None
