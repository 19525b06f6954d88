"""Sessions: listed, named, ended; felt at once here and within a second in every other process."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from roomcast.accounts.models import Session
from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Tokens
from roomcast.core.clock import now
from roomcast.core.ids import global_id
from tests.accounts.documents import (
    A_SECOND,
    CHANGE_PASSWORD,
    LOGOUT,
    ME,
    REVOKE,
    SESSIONS,
    TRY,
    codes,
    sign_in,
    until_signed_out,
    within,
)
from tests.api_clients import PASSWORD, REFRESH, ROOM_EVENTS, ROOM_MESSAGES, AnonymousClient, UserClient
from tests.conftest import MakeApp
from tests.running_app import RunningApp

NODE = "query Node($id: ID!) { node(id: $id) { id } }"


async def test_one_sees_where_one_is_signed_in(ann: UserClient, bob: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "bob", deviceName="the phone") as phone:
        sessions = (await phone.execute(SESSIONS))["me"]["sessions"]
    assert [(session["deviceName"], session["current"]) for session in sessions] == [("the phone", True), (None, False)]
    assert {session["ipAddress"] for session in sessions} == {"127.0.0.1"}


async def test_a_session_that_logs_out_is_over_at_once(ann: UserClient, anonymous: AnonymousClient) -> None:
    assert codes((await ann.execute(LOGOUT))["logout"]) == []
    answer = await ann.post({"query": ME})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert codes(await anonymous.mutate(REFRESH, refreshToken=ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_a_session_that_logs_out_leaves_the_others(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "ann") as phone:
        await phone.execute(LOGOUT)
        assert len((await ann.execute(SESSIONS))["me"]["sessions"]) == 1


async def test_signed_out_nobody_can_end_or_change_anything(anonymous: AnonymousClient, ann: UserClient) -> None:
    assert await anonymous.error_codes(LOGOUT) == ["UNAUTHENTICATED"]
    assert await anonymous.error_codes(REVOKE, input={"sessionId": "session_x"}) == ["UNAUTHENTICATED"]
    passwords = {"currentPassword": PASSWORD, "newPassword": "quite another one"}
    assert await anonymous.error_codes(CHANGE_PASSWORD, input=passwords) == ["UNAUTHENTICATED"]
    assert await anonymous.execute(ME) == {"me": None}


async def test_one_ends_an_other_session_of_ones_own(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "ann", deviceName="lost") as lost:
        [session] = [s for s in (await ann.execute(SESSIONS))["me"]["sessions"] if s["deviceName"] == "lost"]
        assert codes(await ann.mutate(REVOKE, sessionId=session["id"])) == []
        assert await lost.error_codes(ME) == ["UNAUTHENTICATED"]
        assert codes(await ann.mutate(REVOKE, sessionId=session["id"])) == []
        assert (await ann.execute(NODE, id=session["id"]))["node"] is None


async def test_nobody_ends_or_sees_the_session_of_somebody_else(ann: UserClient, bob: UserClient) -> None:
    [session] = (await bob.execute(SESSIONS))["me"]["sessions"]
    assert (await ann.execute(NODE, id=session["id"]))["node"] is None
    for id_ in (session["id"], "session_nonsense", ann.id):
        assert codes(await ann.mutate(REVOKE, sessionId=id_)) == ["NOT_FOUND"]
    assert (await bob.execute(ME))["me"]["user"]["username"] == "bob"


async def test_a_changed_password_ends_the_other_sessions(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "ann") as other:
        new = "quite another one"
        assert codes(await ann.mutate(CHANGE_PASSWORD, currentPassword=PASSWORD, newPassword=new)) == []
        assert await other.error_codes(ME) == ["UNAUTHENTICATED"]
        assert (await ann.execute(ME))["me"]["role"] == "ADMIN"
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == ["INVALID_CREDENTIALS"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=new)) == []


@pytest.mark.parametrize(
    ("current", "new", "code"),
    [
        ("not this one", "quite another one", "INVALID_CREDENTIALS"),
        (PASSWORD, "short", "PASSWORD_TOO_WEAK"),
        (PASSWORD, "password", "PASSWORD_TOO_WEAK"),
        (PASSWORD, "x" * 129, "PASSWORD_TOO_WEAK"),
    ],
)
async def test_a_password_changes_only_for_who_knows_it_and_to_a_good_one(
    ann: UserClient, current: str, new: str, code: str
) -> None:
    assert codes(await ann.mutate(CHANGE_PASSWORD, currentPassword=current, newPassword=new)) == [code]


async def test_guessing_the_current_password_is_throttled(ann: UserClient) -> None:
    guesses = [
        await ann.mutate(CHANGE_PASSWORD, currentPassword=f"guess {n}", newPassword="a new one!") for n in range(7)
    ]
    assert [code for guess in guesses for code in codes(guess)] == ["INVALID_CREDENTIALS"] * 5 + ["RATE_LIMITED"] * 2


# ------------------------------------------------------------------ sockets


async def test_a_logout_over_a_socket_is_answered_and_then_closes_it(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        [ready] = await events.wait_until_ready()
        assert (await connection.execute(LOGOUT))["data"] == {"logout": {"errors": []}}
        last = await events.next_event()
        assert (last["__typename"], last["reason"]) == ("StreamEnded", "SESSION_REVOKED")
        assert last["cursor"] == ready["cursor"]
        assert (await events.next_message())["type"] == "complete"
        assert (await connection.closed())[0] == 4401


async def test_a_session_ended_here_closes_its_sockets_at_once(ann: UserClient, anonymous: AnonymousClient) -> None:
    room_id = await ann.create_room("den")
    async with await sign_in(anonymous, "ann") as other, other.connect() as connection, ann.connect() as mine:
        messages = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        with within(A_SECOND):
            await other.execute(LOGOUT)
            assert (await messages.next_message())["type"] == "complete"
            assert (await connection.closed())[0] == 4401
        assert (await mine.execute(ME))["data"]["me"]["role"] == "ADMIN"


async def test_a_session_ended_in_another_process_is_over_within_a_second(ann: UserClient, make_app: MakeApp) -> None:
    elsewhere = await make_app()
    room_id = await ann.create_room("den")
    async with AnonymousClient(elsewhere) as door, await sign_in(door, "ann") as away, away.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        [session] = [s["id"] for s in (await away.execute(SESSIONS))["me"]["sessions"] if s["current"]]
        with within(A_SECOND):
            assert codes(await ann.mutate(REVOKE, sessionId=session)) == []
            assert (await events.next_event())["reason"] == "SESSION_REVOKED"
            assert (await connection.closed())[0] == 4401
            await until_signed_out(away)


async def test_a_dead_session_cannot_open_a_socket(ann: UserClient, anonymous: AnonymousClient) -> None:
    await ann.execute(LOGOUT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), ann.connect():
            raise AssertionError("was acknowledged")


async def test_what_a_dead_session_still_asks_over_its_socket_is_refused(ann: UserClient) -> None:
    async with ann.connect() as connection:
        ann.app.roomcast.sockets.admission._by_session.clear()  # nobody tells it
        await ann.execute(LOGOUT)
        subscription = await connection.subscribe(ME)
        message = await subscription.next_message()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await connection.closed())[0] == 4401


async def test_a_stream_that_was_behind_names_the_position_it_had_reached(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        await ann.send_messages(room_id, "one", "two")
        seen = await events.next_events(2)
        await ann.execute(LOGOUT)
        assert (await events.next_event())["cursor"] == seen[-1]["cursor"]


async def test_ids_of_sessions_are_of_their_own_kind(ann: UserClient) -> None:
    async with ann.connect() as connection:
        [socket] = ann.app.roomcast.sockets.connections
        assert socket.viewer is not None
        shown = (await connection.execute(SESSIONS))["data"]["me"]["sessions"]
        assert [session["id"] for session in shown] == [global_id("session", socket.viewer.session_id)]


async def test_a_session_that_ended_during_a_long_outage_is_found_after_it(
    app: RunningApp, ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = now()
    ended: list[UUID] = []
    sessions = Sessions(app.roomcast.db, Tokens([b"k" * 32], 900))
    sessions.add_listener(lambda found: ended.extend(found))
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(Session).values(revoked_at=began + timedelta(minutes=2)))
    monkeypatch.setattr("roomcast.accounts.sessions.now", lambda: began + timedelta(minutes=10))
    await sessions.poll()  # the first that succeeds since it began
    assert len(ended) == 2
