"""Sessions: listing and ending them. The end takes effect at once, and within a second in every other process."""

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


async def test_a_user_lists_their_sessions(ann: UserClient, bob: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "bob", deviceName="the phone") as phone:
        sessions = (await phone.execute(SESSIONS))["me"]["sessions"]
    assert [(session["deviceName"], session["current"]) for session in sessions] == [("the phone", True), (None, False)]
    assert {session["ipAddress"] for session in sessions} == {"127.0.0.1"}


async def test_a_logout_ends_the_session_at_once(ann: UserClient, anonymous: AnonymousClient) -> None:
    assert codes((await ann.execute(LOGOUT))["logout"]) == []
    answer = await ann.post({"query": ME})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert codes(await anonymous.mutate(REFRESH, refreshToken=ann.refresh_token)) == ["SESSION_REVOKED"]


async def test_a_logout_leaves_other_sessions_open(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "ann") as phone:
        await phone.execute(LOGOUT)
        assert len((await ann.execute(SESSIONS))["me"]["sessions"]) == 1


async def test_anonymous_clients_cannot_end_sessions_or_change_passwords(
    anonymous: AnonymousClient, ann: UserClient
) -> None:
    assert await anonymous.error_codes(LOGOUT) == ["UNAUTHENTICATED"]
    assert await anonymous.error_codes(REVOKE, input={"sessionId": "session_x"}) == ["UNAUTHENTICATED"]
    passwords = {"currentPassword": PASSWORD, "newPassword": "quite another one"}
    assert await anonymous.error_codes(CHANGE_PASSWORD, input=passwords) == ["UNAUTHENTICATED"]
    assert await anonymous.execute(ME) == {"me": None}


async def test_a_user_revokes_another_of_their_sessions(ann: UserClient, anonymous: AnonymousClient) -> None:
    async with await sign_in(anonymous, "ann", deviceName="lost") as lost:
        [session] = [s for s in (await ann.execute(SESSIONS))["me"]["sessions"] if s["deviceName"] == "lost"]
        assert codes(await ann.mutate(REVOKE, sessionId=session["id"])) == []
        assert await lost.error_codes(ME) == ["UNAUTHENTICATED"]
        assert codes(await ann.mutate(REVOKE, sessionId=session["id"])) == []
        assert (await ann.execute(NODE, id=session["id"]))["node"] is None


async def test_a_session_of_another_user_is_not_found(ann: UserClient, bob: UserClient) -> None:
    [session] = (await bob.execute(SESSIONS))["me"]["sessions"]
    assert (await ann.execute(NODE, id=session["id"]))["node"] is None
    for id_ in (session["id"], "session_nonsense", ann.id):
        assert codes(await ann.mutate(REVOKE, sessionId=id_)) == ["NOT_FOUND"]
    assert (await bob.execute(ME))["me"]["user"]["username"] == "bob"


async def test_a_password_change_ends_the_other_sessions(ann: UserClient, anonymous: AnonymousClient) -> None:
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
async def test_a_password_change_needs_the_current_password_and_a_strong_new_one(
    ann: UserClient, current: str, new: str, code: str
) -> None:
    assert codes(await ann.mutate(CHANGE_PASSWORD, currentPassword=current, newPassword=new)) == [code]


async def test_guessing_the_current_password_is_throttled(ann: UserClient) -> None:
    guesses = [
        await ann.mutate(CHANGE_PASSWORD, currentPassword=f"guess {n}", newPassword="a new one!") for n in range(7)
    ]
    assert [code for guess in guesses for code in codes(guess)] == ["INVALID_CREDENTIALS"] * 5 + ["RATE_LIMITED"] * 2


# ------------------------------------------------------------------ sockets


async def test_a_logout_over_a_socket_gets_a_response_and_closes_it(ann: UserClient) -> None:
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


async def test_a_session_ended_in_this_process_closes_its_sockets_at_once(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den")
    async with await sign_in(anonymous, "ann") as other, other.connect() as connection, ann.connect() as ann_connection:
        messages = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        with within(A_SECOND):
            await other.execute(LOGOUT)
            assert (await messages.next_message())["type"] == "complete"
            assert (await connection.closed())[0] == 4401
        assert (await ann_connection.execute(ME))["data"]["me"]["role"] == "ADMIN"


async def test_a_session_ended_in_another_process_ends_within_a_second(ann: UserClient, make_app: MakeApp) -> None:
    other_app = await make_app()
    room_id = await ann.create_room("den")
    async with (
        AnonymousClient(other_app) as anonymous,
        await sign_in(anonymous, "ann") as other_client,
        other_client.connect() as connection,
    ):
        events = await connection.subscribe(ROOM_EVENTS, roomId=room_id)
        await events.wait_until_ready()
        [session] = [s["id"] for s in (await other_client.execute(SESSIONS))["me"]["sessions"] if s["current"]]
        with within(A_SECOND):
            assert codes(await ann.mutate(REVOKE, sessionId=session)) == []
            assert (await events.next_event())["reason"] == "SESSION_REVOKED"
            assert (await connection.closed())[0] == 4401
            await until_signed_out(other_client)


async def test_an_ended_session_cannot_open_a_socket(ann: UserClient, anonymous: AnonymousClient) -> None:
    await ann.execute(LOGOUT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), ann.connect():
            raise AssertionError("was acknowledged")


async def test_an_operation_of_an_ended_session_over_its_socket_is_refused(ann: UserClient) -> None:
    async with ann.connect() as connection:
        ann.app.roomcast.sockets.admission._by_session.clear()  # so that the socket is not closed by the logout
        await ann.execute(LOGOUT)
        subscription = await connection.subscribe(ME)
        message = await subscription.next_message()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await connection.closed())[0] == 4401


async def test_the_end_of_a_stream_has_the_cursor_of_the_last_sent_event(
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


async def test_session_ids_are_global_ids_of_sessions(ann: UserClient) -> None:
    async with ann.connect() as connection:
        [socket] = ann.app.roomcast.sockets.connections
        assert socket.viewer is not None
        shown = (await connection.execute(SESSIONS))["data"]["me"]["sessions"]
        assert [session["id"] for session in shown] == [global_id("session", socket.viewer.session_id)]


async def test_a_session_that_ended_during_a_long_outage_is_found_afterwards(
    app: RunningApp, ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_at = now()
    ended: list[UUID] = []
    sessions = Sessions(app.roomcast.db, Tokens([b"k" * 32], 900))
    sessions.add_listener(lambda found: ended.extend(found))
    async with app.roomcast.db.work() as work:
        await work.session.exec(sa.update(Session).values(revoked_at=started_at + timedelta(minutes=2)))
    monkeypatch.setattr("roomcast.accounts.sessions.now", lambda: started_at + timedelta(minutes=10))
    await sessions.poll()  # the first successful poll since then
    assert len(ended) == 2
