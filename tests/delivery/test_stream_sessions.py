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
        while (message := await watching.message())["type"] == "next":
            pass
    assert message["type"] == "complete", message


async def test_a_burst_of_subscriptions_behind_a_change_of_person_leaves_no_stream(
    ann: UserClient, bob: UserClient, visitor: AnonymousClient
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    async with await sign_in(visitor, "ann") as stolen, stolen.socket() as wire:
        change = {"query": REFRESH, "variables": {"input": {"refreshToken": bob.refresh_token}}}
        await wire.send(type="subscribe", id="change", payload=change)
        burst = [await wire.watch(ROOM_MESSAGES, roomId=den) for _ in range(80)]
        assert (await wire.heard("change"))["payload"]["data"]["refreshSession"]["errors"] == []
        passwords = {"currentPassword": PASSWORD, "newPassword": "quite another one"}
        assert codes(await ann.mutate(CHANGE_PASSWORD, **passwords)) == []
        for watching in burst:
            assert (await watching.message())["type"] in ("complete", "error")
        await ann.say(den, "for ann alone")
        assert (await wire.ask("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "bob"
        assert ann.app.roomcast.hub.reader_count == 0
        assert all(watching.is_silent for watching in burst)


async def test_a_subscription_that_was_being_opened_ends_when_somebody_else_signs_in(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE")
    async with ann.socket() as wire:
        door = SlowDoor(ann.app, monkeypatch)
        watching = await wire.watch(ROOM_MESSAGES, roomId=den)
        await door.reached.wait()
        await wire.ask(LOGIN, input={"usernameOrEmail": "bob", "password": PASSWORD})
        assert (await watching.message())["type"] == "complete"
        door.opened.set()
        await wire.ask("{ me { id } }")
        assert ann.app.roomcast.hub.reader_count == 0


async def moved_on(wire: SocketClient, name: str) -> str:
    """The connection acts for another session of this person; that session's id."""
    answer = await wire.ask(LOGIN, input={"usernameOrEmail": name, "password": PASSWORD})
    return str(answer["data"]["login"]["session"]["id"])


@pytest.mark.parametrize("document", [ROOM_EVENTS, ROOM_MESSAGES, INBOX], ids=["events", "messages", "inbox"])
@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "in-another-process"])
async def test_a_stream_ends_with_its_own_session_and_its_connection_lives_on(
    ann: UserClient, bob: UserClient, make_app: MakeApp, document: str, is_elsewhere: bool
) -> None:
    den = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    first = await session_of(bob)
    async with bob.socket() as wire, AnonymousClient(await make_app() if is_elsewhere else bob.app) as door:
        watching = await wire.watch(document, **({} if document == INBOX else {"roomId": den}))
        await (wire.next_ping() if document == ROOM_MESSAGES else watching.next())
        await moved_on(wire, "bob")
        async with await sign_in(door, "bob") as other:
            with within(A_SECOND):
                assert codes(await other.mutate(REVOKE, sessionId=first)) == []
                await ends(watching)
        assert "errors" not in await wire.ask("{ me { id } }")
        await ann.say(den, "not for that session")
        assert "errors" not in await wire.ask("{ me { id } }")
        assert watching.is_silent


async def test_a_stream_is_not_attached_once_its_session_has_ended(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    den, first = await ann.create_room("den"), await session_of(bob)
    async with bob.socket() as wire, AnonymousClient(bob.app) as visitor:
        door = SlowDoor(bob.app, monkeypatch)
        watching = await wire.watch(ROOM_MESSAGES, roomId=den)
        await door.reached.wait()
        await moved_on(wire, "bob")
        async with await sign_in(visitor, "bob") as other:
            assert codes(await other.mutate(REVOKE, sessionId=first)) == []
        door.opened.set()
        refused = await watching.message()
        assert [error["extensions"]["code"] for error in refused["payload"]] == ["UNAUTHENTICATED"]
        assert bob.app.roomcast.hub.reader_count == 0


async def test_a_session_that_is_over_ends_all_its_connections_and_no_others(
    ann: UserClient, visitor: AnonymousClient
) -> None:
    async with (
        await sign_in(visitor, "ann") as other,
        other.socket() as one,
        other.socket() as two,
        ann.socket() as mine,
    ):
        with within(A_SECOND):
            assert codes(await ann.mutate(REVOKE, sessionId=await session_of(other))) == []
            assert [(await wire.closed())[0] for wire in (one, two)] == [4401, 4401]
        assert "errors" not in await mine.ask("{ me { id } }")


# ------------------------------------------------------------------ limits of people who sign in later


async def test_a_connection_that_signs_in_later_needs_a_place_too(ann: UserClient) -> None:
    ann.app.roomcast.sockets.admission.limits = ConnectionLimits(connections_per_user=1)
    async with ann.socket(), SocketClient(ann.app.ws_url) as late:
        await late.init()
        answer = await late.ask(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        assert answer["data"]["login"]["tokens"]["accessToken"]
        assert await late.closed() == (1013, "Too many connections")
    async with SocketClient(ann.app.ws_url) as alone:
        await alone.init()
        await alone.ask(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await alone.ask(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})  # it has its place already
        assert (await alone.ask("{ me { user { username } } }"))["data"]["me"]["user"]["username"] == "ann"


async def test_inboxes_and_the_streams_of_late_sign_ins_count(ann: UserClient) -> None:
    den = await ann.create_room("den")
    ann.app.roomcast.sockets.admission.limits = ConnectionLimits(streams_per_user=2)
    async with ann.socket() as early, SocketClient(ann.app.ws_url) as late:
        await (await early.watch(INBOX)).next()
        await late.init()
        await late.ask(LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
        await (await late.watch(ROOM_EVENTS, roomId=den)).until_ready()
        for wire, document, variables in ((early, ROOM_EVENTS, {"roomId": den}), (late, INBOX, {})):
            refused = await (await wire.watch(document, **variables)).message()
            assert refused["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"


async def test_somebody_new_on_a_connection_has_no_part_in_what_was_asked_before(ann: UserClient) -> None:
    async with SocketClient(ann.app.ws_url) as wire:
        await wire.init()
        signup = {"query": SIGNUP, "variables": {"input": {"username": "dora", "password": PASSWORD}}}
        await wire.send(type="subscribe", id="signup", payload=signup)
        before = await wire.watch(INBOX)
        assert (await wire.heard("signup"))["payload"]["data"]["signup"]["errors"] == []
        assert (await before.message())["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
