"""Members and roles: who may change whom, and that a room always has an owner."""

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import add, change, invite, refusal


async def test_joining_twice_changes_nothing(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    async with replay_invariant(bob, room_id) as recorded:
        assert (await change(cleo, "joinRoom", roomId=room_id))["room"]["memberCount"] == 2
        assert (await change(cleo, "joinRoom", roomId=room_id))["cursor"] is None
        assert (await change(cleo, "leaveRoom", roomId=room_id))["room"]["memberCount"] == 1
        assert await refusal(cleo, "leaveRoom", roomId=room_id) == "NOT_A_MEMBER"
    assert event_kinds(recorded) == ["JOINED", "cleo joined.", "LEFT", "cleo left."]


async def test_users_are_added_to_a_private_room(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    assert await refusal(cleo, "joinRoom", roomId=room_id) == "NOT_FOUND"
    assert await refusal(cleo, "addMembers", roomId=room_id, userIds=[cleo.id]) == "NOT_FOUND"
    async with replay_invariant(bob, room_id) as recorded:
        await add(bob, room_id, cleo, ann, bob)
        assert (await change(bob, "addMembers", roomId=room_id, userIds=[cleo.id]))["cursor"] is None
        assert await refusal(bob, "addMembers", roomId=room_id, userIds=["user_nobody"]) == "NOT_FOUND"
    assert event_kinds(recorded) == ["JOINED", "JOINED", "bob added ann and cleo."]
    left = await change(cleo, "leaveRoom", roomId=room_id)
    assert left["room"] is None, "a room that the user cannot read any more is not returned"
    assert left["cursor"] is not None


async def test_members_add_members_and_only_owners_give_higher_roles(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    await add(bob, room_id, cleo)
    assert await refusal(cleo, "addMembers", roomId=room_id, userIds=[ann.id], role="MODERATOR") == "FORBIDDEN"
    await add(cleo, room_id, ann)
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="READ_ONLY")
    assert await refusal(cleo, "addMembers", roomId=room_id, userIds=[ann.id]) == "FORBIDDEN"


async def test_only_owners_change_roles(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    arguments = {"roomId": room_id, "userId": cleo.id, "role": "OWNER"}
    assert await refusal(cleo, "setMemberRole", **arguments) == "NOT_A_MEMBER"
    await add(bob, room_id, cleo, role="MODERATOR")
    assert await refusal(cleo, "setMemberRole", **arguments) == "FORBIDDEN"
    assert await refusal(bob, "setMemberRole", roomId=room_id, userId=ann.id, role="MEMBER") == "NOT_FOUND"
    async with replay_invariant(cleo, room_id) as recorded:
        await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="READ_ONLY")
        assert (await cleo.send(room_id, "hm"))["errors"][0]["code"] == "READ_ONLY"
        await change(ann, "setMemberRole", **arguments)
        assert (await change(bob, "setMemberRole", **arguments))["cursor"] is None
    assert event_kinds(recorded) == ["ROLE_CHANGED", "ROLE_CHANGED"]
    private_room = await bob.create_room("shut", visibility="PRIVATE")
    assert await refusal(ann, "setMemberRole", roomId=private_room, userId=bob.id, role="MEMBER") == "NOT_FOUND"


async def test_the_last_owner_can_leave_only_after_naming_another(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    to_member = {"roomId": room_id, "userId": bob.id, "role": "MEMBER"}
    assert await refusal(bob, "leaveRoom", roomId=room_id) == "CONFLICT"
    assert await refusal(bob, "setMemberRole", **to_member) == "CONFLICT"
    assert await refusal(ann, "setMemberRole", **to_member) == "CONFLICT"
    assert await refusal(ann, "removeMember", roomId=room_id, userId=bob.id) == "CONFLICT"
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="OWNER")
    await change(bob, "setMemberRole", **to_member)
    await change(bob, "leaveRoom", roomId=room_id)


async def test_an_owners_role_is_changed_by_themselves_or_an_administrator(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await bob.create_room("den")
    await add(bob, room_id, cleo, role="OWNER")
    assert await refusal(cleo, "setMemberRole", roomId=room_id, userId=bob.id, role="MEMBER") == "FORBIDDEN"
    assert await refusal(cleo, "removeMember", roomId=room_id, userId=bob.id) == "FORBIDDEN"
    async with replay_invariant(cleo, room_id) as recorded:
        await change(ann, "removeMember", roomId=room_id, userId=bob.id)
    assert event_kinds(recorded) == ["REMOVED", "ann removed bob."]


async def test_moderators_remove_members_with_a_lower_role(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    await add(ann, room_id, bob, role="MODERATOR")
    await add(ann, room_id, cleo)
    assert await refusal(cleo, "removeMember", roomId=room_id, userId=bob.id) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", roomId=room_id, userId=ann.id) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", roomId=room_id, userId=bob.id) == "FORBIDDEN"
    async with replay_invariant(ann, room_id) as recorded:
        await change(bob, "removeMember", roomId=room_id, userId=cleo.id, reason="spam")
        assert (await change(bob, "removeMember", roomId=room_id, userId=cleo.id))["cursor"] is None
    assert event_kinds(recorded) == ["REMOVED", "bob removed cleo."]
    assert await refusal(cleo, "removeMember", roomId=room_id, userId=bob.id) == "NOT_FOUND"


async def test_a_removed_member_gets_no_more_events(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    async with cleo.connect() as socket:
        events = await socket.subscribe(ROOM_EVENTS, roomId=room_id)
        messages = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await events.next_event()
        await bob.app.wait_for_streams(2)
        await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
        await bob.send_messages(room_id, "they are gone")
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "REMOVED_FROM_ROOM")
        assert (await events.next_message())["type"] == (await messages.next_message())["type"] == "complete"
    await bob.app.wait_for_streams(0)


async def test_a_removed_member_returns_only_with_a_newer_invite(
    bob: UserClient, cleo: UserClient, ann: UserClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id, ann.id])
    own_invite, older_invite = await invite(cleo, room_id), await invite(ann, room_id)
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    assert await refusal(cleo, "joinRoom", roomId=room_id) == "FORBIDDEN"
    assert await refusal(cleo, "joinRoom", inviteCode=own_invite) == "INVITE_INVALID", "the removal revoked it"
    assert await refusal(cleo, "joinRoom", inviteCode=older_invite) == "FORBIDDEN", "it is older than the removal"
    await change(cleo, "joinRoom", inviteCode=await invite(bob, room_id))
    await change(cleo, "leaveRoom", roomId=room_id)
    await change(cleo, "joinRoom", roomId=room_id)


async def test_an_invite_readmits_a_removed_member_only_if_its_creator_may_remove_members(
    bob: UserClient, cleo: UserClient, ann: UserClient
) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id, ann.id])
    older_invite = await invite(bob, room_id)
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    invite_of_ann = await invite(ann, room_id)
    for code in (older_invite, invite_of_ann):
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "FORBIDDEN"
    await change(bob, "setMemberRole", roomId=room_id, userId=ann.id, role="MODERATOR")
    await change(cleo, "joinRoom", inviteCode=invite_of_ann)
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    await add(ann, room_id, cleo)


async def test_leaving_and_returning_keeps_role_and_mute(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="READ_ONLY")
    await change(bob, "muteMember", roomId=room_id, userId=cleo.id, seconds=600)
    async with replay_invariant(bob, room_id) as recorded:
        await change(cleo, "leaveRoom", roomId=room_id)
        await change(cleo, "joinRoom", roomId=room_id)
    assert event_kinds(recorded) == ["LEFT", "cleo left.", "JOINED", "cleo joined."]
    assert recorded[2]["role"] == "READ_ONLY"
    assert recorded[2]["mutedUntil"] is not None
    await change(cleo, "leaveRoom", roomId=room_id)
    await add(bob, room_id, cleo)
    assert (await cleo.send(room_id, "back"))["errors"][0]["code"] == "MUTED"
