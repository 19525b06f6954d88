"""What administrators do to accounts: roles and bans, audited, felt at once, never leaving the house unruled."""

import asyncio

from tests.accounts.documents import (
    A_SECOND,
    BAN,
    ME,
    SET_ROLE,
    TRY,
    UNBAN,
    audited,
    codes,
    sign_in,
    until_signed_out,
    within,
)
from tests.api_clients import PASSWORD, ROOM_EVENTS, AnonymousClient, UserClient
from tests.conftest import MakeApp

DEEDS = {SET_ROLE: {"role": "ADMIN"}, BAN: {"reason": "spam"}, UNBAN: {}}
NOBODY = "user_00000000-0000-7000-8000-000000000000"


async def test_an_administrator_names_another_one(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect() as connection:
        assert (await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN"))["user"]["role"] == "ADMIN"
        assert (await bob.execute(ME))["me"]["role"] == "ADMIN"
        assert (await connection.execute(ME))["data"]["me"]["role"] == "ADMIN"
    assert await audited(ann.app) == [("USER_ROLE_CHANGED", bob.id, "MEMBER to ADMIN")]


async def test_one_who_is_demoted_rules_no_more_at_once(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    async with bob.connect() as connection:
        await connection.execute(ME)
        await ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER")
        over_socket = await connection.execute(BAN, input={"userId": cleo.id})
        assert codes(over_socket["data"]["banUser"]) == ["FORBIDDEN"]
    assert codes(await bob.mutate(BAN, userId=cleo.id)) == ["FORBIDDEN"]


async def test_members_and_strangers_rule_nobody(
    ann: UserClient, bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    for deed, more in DEEDS.items():
        assert codes(await bob.mutate(deed, userId=cleo.id, **more)) == ["FORBIDDEN"]
        assert codes(await bob.mutate(deed, userId=NOBODY, **more)) == ["FORBIDDEN"]
        assert await anonymous.error_codes(deed, input={"userId": cleo.id, **more}) == ["UNAUTHENTICATED"]
    assert await audited(ann.app) == []


async def test_nobody_can_be_done_to_who_is_not_there(ann: UserClient) -> None:
    for deed, more in DEEDS.items():
        for user_id in (NOBODY, "nonsense"):
            assert codes(await ann.mutate(deed, userId=user_id, **more)) == ["NOT_FOUND"]


async def test_the_last_administrator_stays_one(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(SET_ROLE, userId=ann.id, role="MEMBER")) == ["CONFLICT"]
    assert codes(await ann.mutate(BAN, userId=ann.id)) == ["CONFLICT"]
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    await ann.mutate(BAN, userId=bob.id)
    assert codes(await ann.mutate(SET_ROLE, userId=ann.id, role="MEMBER")) == ["CONFLICT"]
    assert (await ann.execute(ME))["me"]["role"] == "ADMIN"


async def test_two_who_demote_each_other_at_once_leave_one(ann: UserClient, bob: UserClient) -> None:
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    answers = await asyncio.gather(
        ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER"), bob.mutate(SET_ROLE, userId=ann.id, role="MEMBER")
    )
    assert sorted(code for answer in answers for code in codes(answer)) == ["FORBIDDEN"]


async def test_a_ban_ends_sessions_and_streams_and_is_told_at_the_door(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den")
    async with await sign_in(anonymous, "bob") as phone, bob.connect() as connection, ann.connect() as mine:
        events, own = (
            await connection.subscribe(ROOM_EVENTS, roomId=room_id),
            await mine.subscribe(ROOM_EVENTS, roomId=room_id),
        )
        await events.wait_until_ready()
        await own.wait_until_ready()
        assert codes(await ann.mutate(BAN, userId=bob.id, reason=" spam ")) == []
        assert (await events.next_event())["reason"] == "BANNED"
        assert (await events.next_message())["type"] == "complete"
        assert (await connection.closed())[0] == 4401
        for session in (bob, phone):
            assert await session.error_codes(ME) == ["UNAUTHENTICATED"]
        assert own.is_empty
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == ["BANNED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password="not it")) == ["INVALID_CREDENTIALS"]
    assert await audited(ann.app) == [("USER_BANNED", bob.id, "spam")]


async def test_a_ban_is_felt_in_another_process_within_a_second(
    ann: UserClient, bob: UserClient, make_app: MakeApp
) -> None:
    elsewhere = await make_app()
    room_id = await ann.create_room("den")
    async with AnonymousClient(elsewhere) as door, await sign_in(door, "bob") as away, away.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        await away.execute(ME)
        with within(A_SECOND):
            await ann.mutate(BAN, userId=bob.id)
            assert (await events.next_event())["reason"] == "BANNED"
            assert (await connection.closed())[0] == 4401
            await until_signed_out(away)


async def test_one_who_is_unbanned_may_sign_in_again(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    await ann.mutate(BAN, userId=bob.id)
    assert codes(await ann.mutate(UNBAN, userId=bob.id)) == []
    assert await bob.error_codes(ME) == ["UNAUTHENTICATED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == []
    assert [action for action, _, _ in await audited(ann.app)] == ["USER_BANNED", "USER_UNBANNED"]


async def test_what_changes_nothing_is_not_audited(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER")) == []
    assert codes(await ann.mutate(UNBAN, userId=bob.id)) == []
    assert (
        codes(await ann.mutate(BAN, userId=bob.id)) == codes(await ann.mutate(BAN, userId=bob.id, reason="again")) == []
    )
    assert await audited(ann.app) == [("USER_BANNED", bob.id, None)]


async def test_a_reason_has_its_limits(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(BAN, userId=bob.id, reason="x" * 501)) == ["VALIDATION_FAILED"]
    assert codes(await ann.mutate(BAN, userId=bob.id, reason="a\0b")) == ["VALIDATION_FAILED"]
    assert (await bob.execute(ME))["me"]["role"] == "MEMBER"
