"""Invites: a way in for people outside, counted exactly, and one answer for all that do not admit."""

import asyncio

from tests.accounts.documents import BAN
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, Json, UserClient, sign_up
from tests.conftest import MakeApp
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import CREATE_INVITE, INVITE, REVOKE_INVITE, change, invite, refusal


async def test_an_invite_shows_where_it_leads_and_admits(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    den = await bob.create_room("den", visibility="PRIVATE")
    made = await bob.mutate(CREATE_INVITE, roomId=den, maxUses=2, expiresInSeconds=60)
    assert made["url"] == f"{bob.app.url}/?invite={made['code']}"
    shown = (await anonymous.execute(INVITE, code=made["code"]))["invite"]
    assert shown == {
        "code": made["code"],
        "roomId": den,
        "roomName": "den",
        "inviter": {"username": "bob"},
        "usesLeft": 2,
        "expiresAt": made["expiresAt"],
    }
    async with replay_invariant(bob, den) as told:
        await change(cleo, "joinRoom", inviteCode=made["code"], roomId=den)
        assert (await change(cleo, "joinRoom", inviteCode=made["code"]))["cursor"] is None
    assert event_kinds(told) == ["JOINED", "@cleo joined."]
    assert (await anonymous.execute(INVITE, code=made["code"]))["invite"]["usesLeft"] == 1


async def test_an_invite_that_does_not_admit_says_nothing_of_why(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    den = await bob.create_room("den", visibility="PRIVATE")
    revoked, short = await invite(bob, den), await invite(bob, den, expiresInSeconds=1)
    assert (await bob.mutate(REVOKE_INVITE, code=revoked))["errors"] == []
    async with asyncio.timeout(5):
        while (await anonymous.execute(INVITE, code=short))["invite"] is not None:  # noqa: ASYNC110 (time itself says it)
            await asyncio.sleep(0.05)
    for code in (revoked, short, "0" * 24, "nonsense\0"):
        assert (await anonymous.execute(INVITE, code=code))["invite"] is None
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"
    elsewhere = await cleo.create_room("elsewhere")
    good = await invite(bob, den)
    assert await refusal(cleo, "joinRoom", inviteCode=good, roomId=elsewhere) == "INVITE_INVALID"
    assert await refusal(cleo, "joinRoom") == "VALIDATION_FAILED"


async def test_three_uses_admit_three_of_ten_at_once(bob: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE")
    code = await invite(bob, den, maxUses=3)
    crowd = [await sign_up(bob.app, f"guest{number}") for number in range(10)]
    async with replay_invariant(bob, den) as told:
        payloads = await asyncio.gather(
            *(
                guest.mutate(
                    "mutation J($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }",
                    inviteCode=code,
                )
                for guest in crowd
            )
        )
    answers = [[error["code"] for error in payload["errors"]] for payload in payloads]
    assert sorted(answers) == [[]] * 3 + [["INVITE_INVALID"]] * 7
    assert event_kinds(told).count("JOINED") == 3
    for guest in crowd:
        await guest.http.aclose()


async def test_who_may_invite_and_revoke(bob: UserClient, cleo: UserClient, ann: UserClient) -> None:
    den = await bob.create_room("den", visibility="PRIVATE", memberIds=[ann.id])
    assert await _codes(cleo, CREATE_INVITE, roomId=den) == ["NOT_FOUND"]
    code = await invite(ann, den)
    assert await _codes(cleo, REVOKE_INVITE, code=code) == ["NOT_FOUND"]
    await change(cleo, "joinRoom", inviteCode=code)
    assert await _codes(cleo, REVOKE_INVITE, code=code) == ["FORBIDDEN"]
    assert await _codes(bob, REVOKE_INVITE, code=code) == []
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="READ_ONLY")
    assert await _codes(cleo, CREATE_INVITE, roomId=den) == ["FORBIDDEN"]
    assert await _codes(bob, CREATE_INVITE, roomId=den, maxUses=0) == ["VALIDATION_FAILED"]
    public = await bob.create_room("open")
    assert await _codes(cleo, CREATE_INVITE, roomId=public) == ["NOT_A_MEMBER"]


async def test_the_invites_of_the_banned_admit_nobody(
    ann: UserClient, bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    shut, den = await bob.create_room("shut", visibility="PRIVATE"), await ann.create_room("den", memberIds=[bob.id])
    codes = [await invite(bob, shut), await invite(bob, den)]
    good = await invite(ann, den)
    assert await _codes(ann, BAN, userId=bob.id) == []
    for code in codes:
        assert (await anonymous.execute(INVITE, code=code))["invite"] is None
        assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"
    await change(cleo, "joinRoom", inviteCode=good)


async def test_who_leaves_takes_their_invites_along(
    bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    code = await invite(cleo, den)
    await change(cleo, "leaveRoom", roomId=den)
    await change(bob, "updateRoom", roomId=den, visibility="PRIVATE")
    assert (await anonymous.execute(INVITE, code=code))["invite"] is None
    assert await refusal(cleo, "joinRoom", inviteCode=code) == "INVITE_INVALID"


async def test_signup_by_invitation_enters_the_room(make_app: MakeApp) -> None:
    opened = await make_app()
    async with await sign_up(opened, "ann") as ann:
        den = await ann.create_room("den", visibility="PRIVATE")
        code = await invite(ann, den, maxUses=1)
        app = await make_app(signup_mode="invite_only", public_url="https://chat.example.org")
        async with AnonymousClient(app) as anonymous:
            assert await _signup_codes(anonymous, "bob") == ["SIGNUP_CLOSED"]
            assert await _signup_codes(anonymous, "bob", inviteCode="f" * 24) == ["INVITE_INVALID"]
            async with replay_invariant(ann, den) as told:
                assert await _signup_codes(anonymous, "bob", inviteCode=code) == []
            assert event_kinds(told) == ["JOINED", "@bob joined."]
            assert await _signup_codes(anonymous, "cleo", inviteCode=code) == ["INVITE_INVALID"]
        async with AnonymousClient(app, ann.token) as same:
            made: Json = await same.mutate(CREATE_INVITE, roomId=den)
            assert made["url"] == f"https://chat.example.org/?invite={made['code']}"


async def test_a_closed_house_admits_nobody_with_an_invite(make_app: MakeApp) -> None:
    opened = await make_app()
    async with await sign_up(opened, "ann") as ann:
        code = await invite(ann, await ann.create_room("den"))
    async with AnonymousClient(await make_app(signup_mode="closed")) as anonymous:
        assert await _signup_codes(anonymous, "bob", inviteCode=code) == ["SIGNUP_CLOSED"]


async def _codes(person: UserClient, document: str, **arguments: object) -> list[str]:
    return [error["code"] for error in (await person.mutate(document, **arguments))["errors"]]


async def _signup_codes(anonymous: AnonymousClient, name: str, **more: str) -> list[str]:
    payload = await anonymous.mutate(SIGNUP, username=name, password=PASSWORD, **more)
    return [error["code"] for error in payload["errors"]]
