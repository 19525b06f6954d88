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
SAID = SEND.replace("retryable", "retryable retryAfterMs")


async def entries(person: UserClient, **chosen: object) -> list[Json]:
    return list((await person.execute(AUDIT, filter=chosen))["auditLog"]["nodes"])


async def test_who_is_muted_says_nothing_until_then(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    key = str(uuid.uuid4())
    first = await cleo.send(den, "before", clientMessageId=key)
    async with replay_invariant(cleo, den) as told:
        await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=600, reason="shouting")
        [error] = (await cleo.mutate(SAID, roomId=den, body="but"))["errors"]
        assert (error["code"], error["retryable"]) == ("MUTED", True)
        assert 590_000 < error["retryAfterMs"] <= 600_000
        again = await cleo.send(den, "before", clientMessageId=key)
        assert (again["replayed"], again["message"]) == (True, first["message"])
        await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=0)
        assert (await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=0))["cursor"] is None
        await cleo.send_messages(den, "thanks")
    assert event_kinds(told) == ["MUTED", "UNMUTED", "MessageCreated"]
    assert datetime.fromisoformat(told[0]["mutedUntil"]) > datetime.fromisoformat(told[0]["at"])


async def test_moderators_mute_people_below_themselves(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    wish = {"roomId": den, "userId": bob.id, "seconds": 60}
    assert await refusal(cleo, "muteMember", **wish) == "NOT_FOUND"
    await add(ann, den, bob, role="MODERATOR")
    await add(ann, den, cleo)
    assert await refusal(cleo, "muteMember", **wish) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", roomId=den, userId=ann.id, seconds=60) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", **wish) == "FORBIDDEN"
    assert await refusal(bob, "muteMember", roomId=den, userId="user_x", seconds=60) == "NOT_FOUND"
    assert await refusal(bob, "muteMember", roomId=den, userId=cleo.id, seconds=-1) == "VALIDATION_FAILED"
    await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=60)
    await change(ann, "muteMember", **wish)
    assert (await bob.send(den, "hey"))["errors"][0]["code"] == "MUTED"
    await change(ann, "setMemberRole", roomId=den, userId=cleo.id, role="MODERATOR")
    await cleo.send_messages(den, "who is trusted to moderate may speak")


async def test_slow_mode_paces_members_and_not_moderators(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    await change(bob, "updateRoom", roomId=den, slowModeSeconds=600)
    key = str(uuid.uuid4())
    sent = await cleo.send(den, "one", clientMessageId=key)
    [error] = (await cleo.mutate(SAID, roomId=den, body="two"))["errors"]
    assert (error["code"], error["retryable"]) == ("SLOW_MODE", True)
    assert 590_000 < error["retryAfterMs"] <= 600_000
    assert (await cleo.send(den, "one", clientMessageId=key))["message"] == sent["message"]
    await bob.send_messages(den, "as", "fast", "as I like")
    await change(cleo, "leaveRoom", roomId=den)
    await change(cleo, "joinRoom", roomId=den)
    assert (await cleo.send(den, "back so soon"))["errors"][0]["code"] == "SLOW_MODE"
    await change(bob, "updateRoom", roomId=den, slowModeSeconds=0)
    await cleo.send_messages(den, "at", "last")


async def test_a_report_is_found_once_by_administrators(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    [said] = await bob.send_messages(den, "rude words")
    for _ in range(2):
        assert (await cleo.mutate(REPORT, messageId=said["id"], reason="rude"))["errors"] == []
    [entry] = await entries(ann, action="MESSAGE_REPORTED")
    assert (entry["actor"], entry["targetId"], entry["reason"]) == ({"username": "cleo"}, said["id"], "rude")
    assert (entry["roomId"], entry["ipAddress"]) == (den, "127.0.0.1")
    [blank] = (await cleo.mutate(REPORT, messageId=said["id"], reason=" "))["errors"]
    assert blank == {"code": "VALIDATION_FAILED", "path": ["input", "reason"]}
    for stranger, message in ((ann, said["id"]), (cleo, "msg_nonsense")):
        assert (await stranger.mutate(REPORT, messageId=message, reason="rude"))["errors"][0]["code"] == "NOT_FOUND"


async def test_every_deed_of_a_moderator_is_in_the_audit_log(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    code = (await bob.mutate(CREATE_INVITE, roomId=den))["code"]
    await bob.mutate(REVOKE_INVITE, code=code)
    await change(bob, "updateRoom", roomId=den, topic="tea")
    await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=60, reason="loud")
    await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=0)
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="READ_ONLY")
    await change(bob, "removeMember", roomId=den, userId=cleo.id, reason="gone")
    await change(bob, "archiveRoom", roomId=den)
    await change(bob, "unarchiveRoom", roomId=den)
    await bob.mutate(DELETE, roomId=den)
    noted = await entries(ann, actorId=bob.id)
    assert [(entry["action"], entry["targetId"], entry["reason"]) for entry in reversed(noted)] == [
        ("INVITE_REVOKED", den, None),
        ("ROOM_UPDATED", den, None),
        ("MEMBER_MUTED", cleo.id, "loud"),
        ("MEMBER_UNMUTED", cleo.id, None),
        ("MEMBER_ROLE_CHANGED", cleo.id, None),
        ("MEMBER_REMOVED", cleo.id, "gone"),
        ("ROOM_ARCHIVED", den, None),
        ("ROOM_UNARCHIVED", den, None),
        ("ROOM_DELETED", den, None),
    ]
    assert {entry["roomId"] for entry in noted} == {den}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_audit_log_is_paged_filtered_and_for_administrators(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den")
    for number in range(5):
        await change(ann, "updateRoom", roomId=den, topic=f"topic {number}")
    first = (await ann.execute(AUDIT, first=3))["auditLog"]
    rest = (await ann.execute(AUDIT, first=3, after=first["pageInfo"]["endCursor"]))["auditLog"]
    assert [len(first["nodes"]), len(rest["nodes"])] == [3, 2]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert len(await entries(ann, since=first["nodes"][0]["at"], targetId=den)) >= 1
    assert await entries(ann, actorId="user_nonsense") == await entries(ann, action="NO\0") == []
    assert await bob.error_codes(AUDIT) == ["FORBIDDEN"]
    seen = "query N($id: ID!) { node(id: $id) { id } }"
    assert (await ann.execute(seen, id=first["nodes"][0]["id"]))["node"] is not None
    assert (await bob.execute(seen, id=first["nodes"][0]["id"]))["node"] is None
