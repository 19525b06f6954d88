"""Administration of accounts: roles and bans. They are audited, take effect at once, and leave an administrator."""

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

MUTATIONS = {SET_ROLE: {"role": "ADMIN"}, BAN: {"reason": "spam"}, UNBAN: {}}
NOBODY = "user_00000000-0000-7000-8000-000000000000"


async def test_an_administrator_grants_the_role_to_another_user(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect() as connection:
        assert (await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN"))["user"]["role"] == "ADMIN"
        assert (await bob.execute(ME))["me"]["role"] == "ADMIN"
        assert (await connection.execute(ME))["data"]["me"]["role"] == "ADMIN"
    assert await audited(ann.app) == [("USER_ROLE_CHANGED", bob.id, "MEMBER to ADMIN")]


async def test_a_demoted_administrator_loses_their_rights_at_once(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    async with bob.connect() as connection:
        await connection.execute(ME)
        await ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER")
        over_socket = await connection.execute(BAN, input={"userId": cleo.id})
        assert codes(over_socket["data"]["banUser"]) == ["FORBIDDEN"]
    assert codes(await bob.mutate(BAN, userId=cleo.id)) == ["FORBIDDEN"]


async def test_members_and_anonymous_clients_cannot_administer_users(
    ann: UserClient, bob: UserClient, cleo: UserClient, anonymous: AnonymousClient
) -> None:
    for mutation, arguments in MUTATIONS.items():
        assert codes(await bob.mutate(mutation, userId=cleo.id, **arguments)) == ["FORBIDDEN"]
        assert codes(await bob.mutate(mutation, userId=NOBODY, **arguments)) == ["FORBIDDEN"]
        assert await anonymous.error_codes(mutation, input={"userId": cleo.id, **arguments}) == ["UNAUTHENTICATED"]
    assert await audited(ann.app) == []


async def test_administering_an_unknown_user_is_not_found(ann: UserClient) -> None:
    for mutation, arguments in MUTATIONS.items():
        for user_id in (NOBODY, "nonsense"):
            assert codes(await ann.mutate(mutation, userId=user_id, **arguments)) == ["NOT_FOUND"]


async def test_the_last_administrator_cannot_be_demoted_or_banned(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(SET_ROLE, userId=ann.id, role="MEMBER")) == ["CONFLICT"]
    assert codes(await ann.mutate(BAN, userId=ann.id)) == ["CONFLICT"]
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    await ann.mutate(BAN, userId=bob.id)
    assert codes(await ann.mutate(SET_ROLE, userId=ann.id, role="MEMBER")) == ["CONFLICT"]
    assert (await ann.execute(ME))["me"]["role"] == "ADMIN"


async def test_concurrent_mutual_demotions_leave_one_administrator(ann: UserClient, bob: UserClient) -> None:
    await ann.mutate(SET_ROLE, userId=bob.id, role="ADMIN")
    payloads = await asyncio.gather(
        ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER"), bob.mutate(SET_ROLE, userId=ann.id, role="MEMBER")
    )
    assert sorted(code for payload in payloads for code in codes(payload)) == ["FORBIDDEN"]


async def test_a_ban_ends_sessions_and_streams_and_is_reported_at_sign_in(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den")
    async with await sign_in(anonymous, "bob") as phone, bob.connect() as connection, ann.connect() as ann_connection:
        events, ann_events = (
            await connection.subscribe(ROOM_EVENTS, roomId=room_id),
            await ann_connection.subscribe(ROOM_EVENTS, roomId=room_id),
        )
        await events.wait_until_ready()
        await ann_events.wait_until_ready()
        assert codes(await ann.mutate(BAN, userId=bob.id, reason=" spam ")) == []
        assert (await events.next_event())["reason"] == "BANNED"
        assert (await events.next_message())["type"] == "complete"
        assert (await connection.closed())[0] == 4401
        for session in (bob, phone):
            assert await session.error_codes(ME) == ["UNAUTHENTICATED"]
        assert ann_events.is_empty
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == ["BANNED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password="not it")) == ["INVALID_CREDENTIALS"]
    assert await audited(ann.app) == [("USER_BANNED", bob.id, "spam")]


async def test_a_ban_takes_effect_in_another_process_within_a_second(
    ann: UserClient, bob: UserClient, make_app: MakeApp
) -> None:
    other_app = await make_app()
    room_id = await ann.create_room("den")
    async with (
        AnonymousClient(other_app) as anonymous,
        await sign_in(anonymous, "bob") as other_client,
        other_client.connect() as connection,
    ):
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        await other_client.execute(ME)
        with within(A_SECOND):
            await ann.mutate(BAN, userId=bob.id)
            assert (await events.next_event())["reason"] == "BANNED"
            assert (await connection.closed())[0] == 4401
            await until_signed_out(other_client)


async def test_an_unbanned_user_may_sign_in_again(ann: UserClient, bob: UserClient, anonymous: AnonymousClient) -> None:
    await ann.mutate(BAN, userId=bob.id)
    assert codes(await ann.mutate(UNBAN, userId=bob.id)) == []
    assert await bob.error_codes(ME) == ["UNAUTHENTICATED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == []
    assert [action for action, _, _ in await audited(ann.app)] == ["USER_BANNED", "USER_UNBANNED"]


async def test_a_change_without_effect_is_not_audited(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(SET_ROLE, userId=bob.id, role="MEMBER")) == []
    assert codes(await ann.mutate(UNBAN, userId=bob.id)) == []
    assert (
        codes(await ann.mutate(BAN, userId=bob.id)) == codes(await ann.mutate(BAN, userId=bob.id, reason="again")) == []
    )
    assert await audited(ann.app) == [("USER_BANNED", bob.id, None)]


async def test_a_ban_reason_is_limited_and_printable(ann: UserClient, bob: UserClient) -> None:
    assert codes(await ann.mutate(BAN, userId=bob.id, reason="x" * 501)) == ["VALIDATION_FAILED"]
    assert codes(await ann.mutate(BAN, userId=bob.id, reason="a\0b")) == ["VALIDATION_FAILED"]
    assert (await bob.execute(ME))["me"]["role"] == "MEMBER"
