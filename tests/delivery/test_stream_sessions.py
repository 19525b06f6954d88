"""A stream belongs to the session that opened it and ends with it, even if the connection signs in again."""

import asyncio

import pytest

from roomcast.api.websocket.admission import ConnectionLimits
from tests.accounts.documents import A_SECOND, CHANGE_PASSWORD, REVOKE, SESSIONS, codes, sign_in, within
from tests.api_clients import (
    LOGIN,
    PASSWORD,
    REFRESH,
    ROOM_EVENTS,
    ROOM_MESSAGES,
    SIGNUP,
    AnonymousClient,
    ClientSubscription,
    SocketClient,
    UserClient,
)
from tests.conftest import MakeApp
from tests.delivery.test_attaching import DelayedAttachment
from tests.receipts.test_inbox import INBOX


async def session_of(person: UserClient) -> str:
    sessions = (await person.execute(SESSIONS))["me"]["sessions"]
    return str(next(session["id"] for session in sessions if session["current"]))


async def read_until_complete(subscription: ClientSubscription) -> None:
    """Read the subscription until it completes."""
    async with asyncio.timeout(A_SECOND):
        while (message := await subscription.next_message())["type"] == "next":
            pass
    assert message["type"] == "complete", message


async def test_subscriptions_sent_after_a_change_of_user_leave_no_stream(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    async with await sign_in(anonymous, "ann") as other_session, other_session.connect() as connection:
        change = {"query": REFRESH, "variables": {"input": {"refreshToken": bob.refresh_token}}}
        await connection.send(type="subscribe", id="change", payload=change)
        burst = [await connection.subscribe(ROOM_MESSAGES, roomId=room_id) for _ in range(80)]
        assert (await connection.next_message("change"))["payload"]["data"]["refreshSession"]["errors"] == []
        passwords = {"currentPassword": PASSWORD, "newPassword": "quite another one"}
        assert codes(await ann.mutate(CHANGE_PASSWORD, **passwords)) == []
        for subscription in burst:
            assert (await subscription.next_message())["type"] in ("complete", "error")
        await ann.send_messages(room_id, "for ann alone")
        assert (await connection.execute("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "bob"
        assert ann.app.roomcast.hub.reader_count == 0
        assert all(subscription.is_empty for subscription in burst)


async def test_a_subscription_being_opened_ends_when_another_user_signs_in(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    async with ann.connect() as connection:
        attachment = DelayedAttachment(ann.app, monkeypatch)
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await attachment.reached.wait()
        await connection.execute(LOGIN, input={"usernameOrEmail": "bob", "password": PASSWORD})
        assert (await subscription.next_message())["type"] == "complete"
        attachment.opened.set()
        await connection.execute("{ me { id } }")
        assert ann.app.roomcast.hub.reader_count == 0


async def sign_in_again(connection: SocketClient, name: str) -> str:
    """Sign in again on the connection. Returns the id of the new session."""
    answer = await connection.execute(LOGIN, input={"usernameOrEmail": name, "password": PASSWORD})
    return str(answer["data"]["login"]["session"]["id"])


@pytest.mark.parametrize("document", [ROOM_EVENTS, ROOM_MESSAGES, INBOX], ids=["events", "messages", "inbox"])
@pytest.mark.parametrize("in_other_process", [False, True], ids=["same-process", "other-process"])
async def test_a_stream_ends_with_its_session_and_the_connection_stays_open(
    ann: UserClient, bob: UserClient, make_app: MakeApp, document: str, in_other_process: bool
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    first = await session_of(bob)
    async with (
        bob.connect() as connection,
        AnonymousClient(await make_app() if in_other_process else bob.app) as anonymous,
    ):
        subscription = await connection.subscribe(document, **({} if document == INBOX else {"roomId": room_id}))
        await (connection.next_ping() if document == ROOM_MESSAGES else subscription.next_event())
        await sign_in_again(connection, "bob")
        async with await sign_in(anonymous, "bob") as other:
            with within(A_SECOND):
                assert codes(await other.mutate(REVOKE, sessionId=first)) == []
                await read_until_complete(subscription)
        assert "errors" not in await connection.execute("{ me { id } }")
        await ann.send_messages(room_id, "not for that session")
        assert "errors" not in await connection.execute("{ me { id } }")
        assert subscription.is_empty


async def test_a_stream_is_not_attached_once_its_session_has_ended(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id, first = await ann.create_room("den"), await session_of(bob)
    async with bob.connect() as connection, AnonymousClient(bob.app) as anonymous:
        attachment = DelayedAttachment(bob.app, monkeypatch)
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await attachment.reached.wait()
        await sign_in_again(connection, "bob")
        async with await sign_in(anonymous, "bob") as other:
            assert codes(await other.mutate(REVOKE, sessionId=first)) == []
        attachment.opened.set()
        refused = await subscription.next_message()
        assert [error["extensions"]["code"] for error in refused["payload"]] == ["UNAUTHENTICATED"]
        assert bob.app.roomcast.hub.reader_count == 0


async def test_an_ended_session_closes_its_connections_and_no_others(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    async with (
        await sign_in(anonymous, "ann") as other,
        other.connect() as one,
        other.connect() as two,
        ann.connect() as ann_connection,
    ):
        with within(A_SECOND):
            assert codes(await ann.mutate(REVOKE, sessionId=await session_of(other))) == []
            assert [(await connection.closed())[0] for connection in (one, two)] == [4401, 4401]
        assert "errors" not in await ann_connection.execute("{ me { id } }")


# ------------------------------------------------------------------ limits after a later sign-in


async def test_a_connection_that_signs_in_later_counts_against_the_limit(ann: UserClient) -> None:
    ann.app.roomcast.sockets.admission.limits = ConnectionLimits(sockets_per_user=1)
    async with ann.connect(), SocketClient(ann.app.ws_url) as late_connection:
        await late_connection.init()
        answer = await late_connection.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        assert answer["data"]["login"]["tokens"]["accessToken"]
        assert await late_connection.closed() == (1013, "Too many connections")
    async with SocketClient(ann.app.ws_url) as alone:
        await alone.init()
        await alone.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await alone.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})  # it is counted already
        assert (await alone.execute("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "ann"


async def test_inboxes_and_streams_of_late_sign_ins_count_against_the_limit(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    ann.app.roomcast.sockets.admission.limits = ConnectionLimits(subscriptions_per_user=2)
    async with ann.connect() as early_connection, SocketClient(ann.app.ws_url) as late_connection:
        await (await early_connection.subscribe(INBOX)).next_event()
        await late_connection.init()
        await late_connection.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await (await late_connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
        for connection, document, variables in (
            (early_connection, ROOM_EVENTS, {"roomId": room_id}),
            (late_connection, INBOX, {}),
        ):
            refused = await (await connection.subscribe(document, **variables)).next_message()
            assert refused["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"


async def test_a_new_user_of_a_connection_gets_nothing_of_earlier_requests(ann: UserClient) -> None:
    async with SocketClient(ann.app.ws_url) as connection:
        await connection.init()
        signup = {"query": SIGNUP, "variables": {"input": {"username": "dora", "password": PASSWORD}}}
        await connection.send(type="subscribe", id="signup", payload=signup)
        before = await connection.subscribe(INBOX)
        assert (await connection.next_message("signup"))["payload"]["data"]["signup"]["errors"] == []
        assert (await before.next_message())["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
