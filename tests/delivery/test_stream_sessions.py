"""A stream belongs to the session that it was opened under, and ends with it, whoever its connection acts for later."""

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
from tests.delivery.test_attaching import SlowDoor
from tests.receipts.test_inbox import INBOX


async def session_of(person: UserClient) -> str:
    sessions = (await person.execute(SESSIONS))["me"]["sessions"]
    return str(next(session["id"] for session in sessions if session["current"]))


async def ends(watching: ClientSubscription) -> None:
    """Read to its end."""
    async with asyncio.timeout(A_SECOND):
        while (message := await watching.next_message())["type"] == "next":
            pass
    assert message["type"] == "complete", message


async def test_a_burst_of_subscriptions_behind_a_change_of_person_leaves_no_stream(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    async with await sign_in(anonymous, "ann") as stolen, stolen.connect() as wire:
        change = {"query": REFRESH, "variables": {"input": {"refreshToken": bob.refresh_token}}}
        await wire.send(type="subscribe", id="change", payload=change)
        burst = [await wire.subscribe(ROOM_MESSAGES, roomId=den) for _ in range(80)]
        assert (await wire.next_message("change"))["payload"]["data"]["refreshSession"]["errors"] == []
        passwords = {"currentPassword": PASSWORD, "newPassword": "quite another one"}
        assert codes(await ann.mutate(CHANGE_PASSWORD, **passwords)) == []
        for watching in burst:
            assert (await watching.next_message())["type"] in ("complete", "error")
        await ann.send_messages(den, "for ann alone")
        assert (await wire.execute("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "bob"
        assert ann.app.roomcast.hub.reader_count == 0
        assert all(watching.is_empty for watching in burst)


async def test_a_subscription_that_was_being_opened_ends_when_somebody_else_signs_in(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    async with ann.connect() as wire:
        door = SlowDoor(ann.app, monkeypatch)
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await door.reached.wait()
        await wire.execute(LOGIN, input={"usernameOrEmail": "bob", "password": PASSWORD})
        assert (await watching.next_message())["type"] == "complete"
        door.opened.set()
        await wire.execute("{ me { id } }")
        assert ann.app.roomcast.hub.reader_count == 0


async def moved_on(wire: SocketClient, name: str) -> str:
    """The connection acts for another session of this person; that session's id."""
    answer = await wire.execute(LOGIN, input={"usernameOrEmail": name, "password": PASSWORD})
    return str(answer["data"]["login"]["session"]["id"])


@pytest.mark.parametrize("document", [ROOM_EVENTS, ROOM_MESSAGES, INBOX], ids=["events", "messages", "inbox"])
@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "in-another-process"])
async def test_a_stream_ends_with_its_own_session_and_its_connection_lives_on(
    ann: UserClient, bob: UserClient, make_app: MakeApp, document: str, is_elsewhere: bool
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    first = await session_of(bob)
    async with bob.connect() as wire, AnonymousClient(await make_app() if is_elsewhere else bob.app) as door:
        watching = await wire.subscribe(document, **({} if document == INBOX else {"roomId": den}))
        await (wire.next_ping() if document == ROOM_MESSAGES else watching.next_event())
        await moved_on(wire, "bob")
        async with await sign_in(door, "bob") as other:
            with within(A_SECOND):
                assert codes(await other.mutate(REVOKE, sessionId=first)) == []
                await ends(watching)
        assert "errors" not in await wire.execute("{ me { id } }")
        await ann.send_messages(den, "not for that session")
        assert "errors" not in await wire.execute("{ me { id } }")
        assert watching.is_empty


async def test_a_stream_is_not_attached_once_its_session_has_ended(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den, first = await ann.create_room("den"), await session_of(bob)
    async with bob.connect() as wire, AnonymousClient(bob.app) as anonymous:
        door = SlowDoor(bob.app, monkeypatch)
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await door.reached.wait()
        await moved_on(wire, "bob")
        async with await sign_in(anonymous, "bob") as other:
            assert codes(await other.mutate(REVOKE, sessionId=first)) == []
        door.opened.set()
        refused = await watching.next_message()
        assert [error["extensions"]["code"] for error in refused["payload"]] == ["UNAUTHENTICATED"]
        assert bob.app.roomcast.hub.reader_count == 0


async def test_a_session_that_is_over_ends_all_its_connections_and_no_others(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    async with (
        await sign_in(anonymous, "ann") as other,
        other.connect() as one,
        other.connect() as two,
        ann.connect() as mine,
    ):
        with within(A_SECOND):
            assert codes(await ann.mutate(REVOKE, sessionId=await session_of(other))) == []
            assert [(await wire.closed())[0] for wire in (one, two)] == [4401, 4401]
        assert "errors" not in await mine.execute("{ me { id } }")


# ------------------------------------------------------------------ limits of people who sign in later


async def test_a_connection_that_signs_in_later_needs_a_place_too(ann: UserClient) -> None:
    ann.app.roomcast.sockets.admission.places = ConnectionLimits(sockets_per_person=1)
    async with ann.connect(), SocketClient(ann.app.ws_url) as late:
        await late.init()
        answer = await late.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        assert answer["data"]["login"]["tokens"]["accessToken"]
        assert await late.closed() == (1013, "Too many connections")
    async with SocketClient(ann.app.ws_url) as alone:
        await alone.init()
        await alone.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await alone.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})  # it has its place already
        assert (await alone.execute("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "ann"


async def test_inboxes_and_the_streams_of_late_sign_ins_count(ann: UserClient) -> None:
    den = await ann.create_room("den")
    ann.app.roomcast.sockets.admission.places = ConnectionLimits(streams_per_person=2)
    async with ann.connect() as early, SocketClient(ann.app.ws_url) as late:
        await (await early.subscribe(INBOX)).next_event()
        await late.init()
        await late.execute(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await (await late.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
        for wire, document, variables in ((early, ROOM_EVENTS, {"roomId": den}), (late, INBOX, {})):
            refused = await (await wire.subscribe(document, **variables)).next_message()
            assert refused["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"


async def test_somebody_new_on_a_connection_has_no_part_in_what_was_asked_before(ann: UserClient) -> None:
    async with SocketClient(ann.app.ws_url) as wire:
        await wire.init()
        signup = {"query": SIGNUP, "variables": {"input": {"username": "dora", "password": PASSWORD}}}
        await wire.send(type="subscribe", id="signup", payload=signup)
        before = await wire.subscribe(INBOX)
        assert (await wire.next_message("signup"))["payload"]["data"]["signup"]["errors"] == []
        assert (await before.next_message())["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
