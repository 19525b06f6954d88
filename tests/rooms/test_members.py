"""Members and roles: who may make whom what, what leaving does not undo, and that a room never loses its last owner."""

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import add, change, invite, refusal


async def test_joining_twice_is_joining_once(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    async with replay_invariant(bob, den) as told:
        assert (await change(cleo, "joinRoom", roomId=den))["room"]["memberCount"] == 2
        assert (await change(cleo, "joinRoom", roomId=den))["cursor"] is None
        assert (await change(cleo, "leaveRoom", roomId=den))["room"]["memberCount"] == 1
        assert await refusal(cleo, "leaveRoom", roomId=den) == "NOT_A_MEMBER"
    assert event_kinds(told) == ["JOINED", "@cleo joined.", "LEFT", "@cleo left."]


async def test_a_private_room_is_entered_by_being_added(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE")
    assert await refusal(cleo, "joinRoom", roomId=den) == "NOT_FOUND"
    assert await refusal(cleo, "addMembers", roomId=den, userIds=[cleo.id]) == "NOT_FOUND"
    async with replay_invariant(bob, den) as told:
        await add(bob, den, cleo, ann, bob)
        assert (await change(bob, "addMembers", roomId=den, userIds=[cleo.id]))["cursor"] is None
        assert await refusal(bob, "addMembers", roomId=den, userIds=["user_nobody"]) == "NOT_FOUND"
    assert event_kinds(told) == ["JOINED", "JOINED", "@bob added @ann and @cleo."]
    left = await change(cleo, "leaveRoom", roomId=den)
    assert left["room"] is None, "what one cannot read any more is not shown"
    assert left["cursor"] is not None


async def test_members_add_members_and_only_owners_give_more(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    den = await bob.create_room("den", visibility="PRIVATE")
    await add(bob, den, cleo)
    assert await refusal(cleo, "addMembers", roomId=den, userIds=[ann.id], role="MODERATOR") == "FORBIDDEN"
    await add(cleo, den, ann)
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="READ_ONLY")
    assert await refusal(cleo, "addMembers", roomId=den, userIds=[ann.id]) == "FORBIDDEN"


async def test_only_owners_change_roles(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    wish = {"roomId": den, "userId": cleo.id, "role": "OWNER"}
    assert await refusal(cleo, "setMemberRole", **wish) == "NOT_A_MEMBER"
    await add(bob, den, cleo, role="MODERATOR")
    assert await refusal(cleo, "setMemberRole", **wish) == "FORBIDDEN"
    assert await refusal(bob, "setMemberRole", roomId=den, userId=ann.id, role="MEMBER") == "NOT_FOUND"
    async with replay_invariant(cleo, den) as told:
        await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="READ_ONLY")
        assert (await cleo.send(den, "hm"))["errors"][0]["code"] == "READ_ONLY"
        await change(ann, "setMemberRole", **wish)
        assert (await change(bob, "setMemberRole", **wish))["cursor"] is None
    assert event_kinds(told) == ["ROLE_CHANGED", "ROLE_CHANGED"]
    shut = await bob.create_room("shut", visibility="PRIVATE")
    assert await refusal(ann, "setMemberRole", roomId=shut, userId=bob.id, role="MEMBER") == "NOT_FOUND"


async def test_the_last_owner_hands_over_before_going(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    down = {"roomId": den, "userId": bob.id, "role": "MEMBER"}
    assert await refusal(bob, "leaveRoom", roomId=den) == "CONFLICT"
    assert await refusal(bob, "setMemberRole", **down) == "CONFLICT"
    assert await refusal(ann, "setMemberRole", **down) == "CONFLICT"
    assert await refusal(ann, "removeMember", roomId=den, userId=bob.id) == "CONFLICT"
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="OWNER")
    await change(bob, "setMemberRole", **down)
    await change(bob, "leaveRoom", roomId=den)


async def test_an_owner_is_unseated_by_itself_or_an_administrator(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    den = await bob.create_room("den")
    await add(bob, den, cleo, role="OWNER")
    assert await refusal(cleo, "setMemberRole", roomId=den, userId=bob.id, role="MEMBER") == "FORBIDDEN"
    assert await refusal(cleo, "removeMember", roomId=den, userId=bob.id) == "FORBIDDEN"
    async with replay_invariant(cleo, den) as told:
        await change(ann, "removeMember", roomId=den, userId=bob.id)
    assert event_kinds(told) == ["REMOVED", "@ann removed @bob."]


async def test_moderators_remove_people_below_themselves(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    await add(ann, den, bob, role="MODERATOR")
    await add(ann, den, cleo)
    assert await refusal(cleo, "removeMember", roomId=den, userId=bob.id) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", roomId=den, userId=ann.id) == "FORBIDDEN"
    assert await refusal(bob, "removeMember", roomId=den, userId=bob.id) == "FORBIDDEN"
    async with replay_invariant(ann, den) as told:
        await change(bob, "removeMember", roomId=den, userId=cleo.id, reason="spam")
        assert (await change(bob, "removeMember", roomId=den, userId=cleo.id))["cursor"] is None
    assert event_kinds(told) == ["REMOVED", "@bob removed @cleo."]
    assert await refusal(cleo, "removeMember", roomId=den, userId=bob.id) == "NOT_FOUND"


async def test_a_removed_member_hears_nothing_more(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id])
    async with cleo.connect() as wire:
        events, messages = (
            await wire.subscribe(ROOM_EVENTS, roomId=den),
            await wire.subscribe(ROOM_MESSAGES, roomId=den),
        )
        await events.next_event()
        await bob.app.wait_for_streams(2)
        await change(bob, "removeMember", roomId=den, userId=cleo.id)
        await bob.send_messages(den, "they are gone")
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "REMOVED_FROM_ROOM")
        assert (await events.next_message())["type"] == (await messages.next_message())["type"] == "complete"
    await bob.app.wait_for_streams(0)


async def test_who_was_removed_comes_back_only_by_invitation(
    bob: UserClient, cleo: UserClient, ann: UserClient
) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id, ann.id])
    own, other = await invite(cleo, den), await invite(ann, den)
    await change(bob, "removeMember", roomId=den, userId=cleo.id)
    assert await refusal(cleo, "joinRoom", roomId=den) == "FORBIDDEN"
    assert await refusal(cleo, "joinRoom", inviteCode=own) == "INVITE_INVALID", "no way back of one's own making"
    assert await refusal(cleo, "joinRoom", inviteCode=other) == "FORBIDDEN", "it is older than the removal"
    await change(cleo, "joinRoom", inviteCode=await invite(bob, den))
    await change(cleo, "leaveRoom", roomId=den)
    await change(cleo, "joinRoom", roomId=den)


async def test_an_invite_brings_back_the_removed_only_if_its_author_may_remove_people(
    bob: UserClient, cleo: UserClient, ann: UserClient
) -> None:
    den = await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id, ann.id])
    older = await invite(bob, den)
    await change(bob, "removeMember", roomId=den, userId=cleo.id)
    members = await invite(ann, den)
    for code in (older, members):
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "FORBIDDEN"
    await change(bob, "setMemberRole", roomId=den, userId=ann.id, role="MODERATOR")
    await change(cleo, "joinRoom", inviteCode=members)
    await change(bob, "removeMember", roomId=den, userId=cleo.id)
    await add(ann, den, cleo)


async def test_leaving_undoes_no_decision_of_a_moderator(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="READ_ONLY")
    await change(bob, "muteMember", roomId=den, userId=cleo.id, seconds=600)
    async with replay_invariant(bob, den) as told:
        await change(cleo, "leaveRoom", roomId=den)
        await change(cleo, "joinRoom", roomId=den)
    assert event_kinds(told) == ["LEFT", "@cleo left.", "JOINED", "@cleo joined."]
    assert told[2]["role"] == "READ_ONLY"
    assert told[2]["mutedUntil"] is not None
    await change(cleo, "leaveRoom", roomId=den)
    await add(bob, den, cleo)
    assert (await cleo.send(den, "back"))["errors"][0]["code"] == "MUTED"
