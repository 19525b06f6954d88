"""Invites: exact counting of uses, and one answer for all invalid invites."""

import asyncio

from tests.accounts.documents import BAN
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, Json, UserClient, sign_up
from tests.conftest import MakeApp
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import CREATE_INVITE, INVITE, REVOKE_INVITE, change, invite, refusal


async def test_an_invite_can_be_previewed_and_redeemed(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    created = (await bob.mutate(CREATE_INVITE, roomId=room_id, maxUses=2, expiresInSeconds=60))["invite"]
    assert created["url"] == f"{bob.app.url}/?invite={created['code']}"
    assert (created["room"], created["createdBy"]) == ({"id": room_id}, {"username": "bob"})
    assert (created["maxUses"], created["uses"], created["revokedAt"]) == (2, 0, None)
    preview = (await anonymous.execute(INVITE, code=created["code"]))["invite"]
    assert preview == {
        "code": created["code"],
        "roomId": room_id,
        "roomName": "den",
        "inviter": {"username": "bob"},
        "usesLeft": 2,
        "expiresAt": created["expiresAt"],
    }
    async with replay_invariant(bob, room_id) as events:
        await change(cleo, "joinRoom", inviteCode=created["code"])
        assert (await change(cleo, "joinRoom", inviteCode=created["code"]))["cursor"] is None
    assert event_kinds(events) == ["JOINED", "cleo joined."]
    assert (await anonymous.execute(INVITE, code=created["code"]))["invite"]["usesLeft"] == 1


async def test_all_invalid_invites_get_the_same_answer(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    revoked, short = await invite(bob, room_id), await invite(bob, room_id, expiresInSeconds=1)
    assert (await bob.mutate(REVOKE_INVITE, code=revoked))["invite"]["revokedAt"] is not None
    async with asyncio.timeout(5):
        while (await anonymous.execute(INVITE, code=short))["invite"] is not None:  # noqa: ASYNC110 (only time ends it)
            await asyncio.sleep(0.05)
    for code in (revoked, short, "0" * 24, "nonsense\0"):
        assert (await anonymous.execute(INVITE, code=code))["invite"] is None
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"


async def test_an_invite_with_three_uses_admits_three_of_ten_concurrent_users(bob: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE")
    code = await invite(bob, room_id, maxUses=3)
    clients = [await sign_up(bob.app, f"client_{number}") for number in range(10)]
    async with replay_invariant(bob, room_id) as events:
        payloads = await asyncio.gather(
            *(
                client_.mutate(
                    "mutation J($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }",
                    inviteCode=code,
                )
                for client_ in clients
            )
        )
    answers = [[error["code"] for error in payload["errors"]] for payload in payloads]
    assert sorted(answers) == [[]] * 3 + [["INVITE_INVALID"]] * 7
    assert event_kinds(events).count("JOINED") == 3
    for client_ in clients:
        await client_.http.aclose()


async def test_who_may_create_and_revoke_invites(bob: UserClient, cleo: UserClient, ann: UserClient) -> None:
    room_id = await bob.create_room("den", visibility="PRIVATE", memberIds=[ann.id])
    assert await _codes(cleo, CREATE_INVITE, roomId=room_id) == ["NOT_FOUND"]
    code = await invite(ann, room_id)
    assert await _codes(cleo, REVOKE_INVITE, code=code) == ["NOT_FOUND"]
    await change(cleo, "joinRoom", inviteCode=code)
    assert await _codes(cleo, REVOKE_INVITE, code=code) == ["FORBIDDEN"]
    assert await _codes(bob, REVOKE_INVITE, code=code) == []
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="READ_ONLY")
    assert await _codes(cleo, CREATE_INVITE, roomId=room_id) == ["FORBIDDEN"]
    assert await _codes(bob, CREATE_INVITE, roomId=room_id, maxUses=0) == ["VALIDATION_FAILED"]
    public = await bob.create_room("open")
    assert await _codes(cleo, CREATE_INVITE, roomId=public) == ["NOT_A_MEMBER"]


async def test_a_ban_revokes_the_users_invites(
    ann: UserClient, bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    private_room, room_id = (
        await bob.create_room("shut", visibility="PRIVATE"),
        await ann.create_room("den", memberIds=[bob.id]),
    )
    codes = [await invite(bob, private_room), await invite(bob, room_id)]
    good = await invite(ann, room_id)
    assert await _codes(ann, BAN, userId=bob.id) == []
    for code in codes:
        assert (await anonymous.execute(INVITE, code=code))["invite"] is None
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"
    await change(cleo, "joinRoom", inviteCode=good)


async def test_leaving_a_room_revokes_the_users_invites_to_it(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    code = await invite(cleo, room_id)
    await change(cleo, "leaveRoom", roomId=room_id)
    await change(bob, "updateRoom", roomId=room_id, visibility="PRIVATE")
    assert (await anonymous.execute(INVITE, code=code))["invite"] is None
    assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"


async def test_signup_with_an_invite_joins_its_room(make_app: MakeApp) -> None:
    open_app = await make_app()
    async with await sign_up(open_app, "ann") as ann:
        room_id = await ann.create_room("den", visibility="PRIVATE")
        code = await invite(ann, room_id, maxUses=1)
        app = await make_app(signup_mode="invite_only", public_url="https://chat.example.org")
        async with AnonymousClient(app) as anonymous:
            assert await _signup_codes(anonymous, "bob") == ["SIGNUP_CLOSED"]
            assert await _signup_codes(anonymous, "bob", inviteCode="f" * 24) == ["INVITE_INVALID"]
            async with replay_invariant(ann, room_id) as events:
                assert await _signup_codes(anonymous, "bob", inviteCode=code) == []
            assert event_kinds(events) == ["JOINED", "bob joined."]
            assert await _signup_codes(anonymous, "cleo", inviteCode=code) == ["INVITE_INVALID"]
        async with AnonymousClient(app, ann.token) as ann_client:
            created: Json = (await ann_client.mutate(CREATE_INVITE, roomId=room_id))["invite"]
            assert created["url"] == f"https://chat.example.org/?invite={created['code']}"


async def test_a_server_with_closed_signup_refuses_invites(make_app: MakeApp) -> None:
    open_app = await make_app()
    async with await sign_up(open_app, "ann") as ann:
        code = await invite(ann, await ann.create_room("den"))
    async with AnonymousClient(await make_app(signup_mode="closed")) as anonymous:
        assert await _signup_codes(anonymous, "bob", inviteCode=code) == ["SIGNUP_CLOSED"]


async def _codes(client: UserClient, document: str, **arguments: object) -> list[str]:
    return [error["code"] for error in (await client.mutate(document, **arguments))["errors"]]


async def _signup_codes(anonymous: AnonymousClient, name: str, **more: str) -> list[str]:
    payload = await anonymous.mutate(SIGNUP, username=name, password=PASSWORD, **more)
    return [error["code"] for error in payload["errors"]]
