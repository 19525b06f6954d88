"""Who types: shown to who watches, as one list that replaces the one before, and every way in which it ends."""

from uuid import UUID

import pytest

from roomcast.presence import policy
from tests.api_clients import UserClient
from tests.presence.documents import (
    SET_TYPING,
    TYPING,
    add_members,
    advance_clock,
    set_typing,
    sign_in_second_device,
    typing_names,
    wait_for_sockets,
    wait_for_typing,
)
from tests.rooms.documents import change
from tests.statements import statements


async def test_who_types_is_shown_until_they_say_otherwise(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        expected = {"roomId": den, "users": [], "expiresInMs": 10_000}
        assert await watching.next() == expected
        await set_typing(bob, den)
        assert await watching.next() == {**expected, "users": [{"username": "bob"}]}
        await set_typing(ann, den)
        assert typing_names(await watching.next()) == ["bob", "ann"]
        await set_typing(bob, den, typing=False)
        assert typing_names(await watching.next()) == ["ann"]


async def test_who_comes_later_is_shown_who_types_already(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    await set_typing(bob, den)
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        assert typing_names(await watching.next()) == ["bob"]
        again = await wire.watch(TYPING, roomId=den)
        assert typing_names(await again.next()) == ["bob"]


async def test_the_constants_are_told_to_clients(ann: UserClient) -> None:
    found = await ann.execute("{ serverInfo { limits { typingRefreshMs typingExpiryMs } } }")
    assert found["serverInfo"]["limits"] == {"typingRefreshMs": 4_000, "typingExpiryMs": 10_000}


# ------------------------------------------------------------------ how it ends


async def test_a_message_ends_it(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        for person in (ann, bob):
            await set_typing(person, den)
        await wait_for_typing(watching, ["ann", "bob"])
        await bob.say(den, "here it is")
        assert typing_names(await watching.next()) == ["ann"]


async def test_a_message_ends_it_for_who_comes_later_too(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    await set_typing(bob, den)
    await bob.say(den, "here it is")
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        assert typing_names(await watching.next()) == []


async def test_it_runs_out_unless_it_is_said_again(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        await set_typing(bob, den)
        await wait_for_typing(watching, ["bob"])
        advance_clock([ann.app], 5)
        await set_typing(bob, den)
        advance_clock([ann.app], 4)
        assert typing_names(await watching.next()) == ["bob"]  # what was said first would run out soon
        advance_clock([ann.app], 7)
        assert typing_names(await watching.next()) == []


async def test_nothing_is_said_twice_of_who_does_not_go_on(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        await set_typing(bob, den)
        await wait_for_typing(watching, ["bob"])
        for _ in range(10):
            advance_clock([ann.app], 1.1)
        assert typing_names(await watching.next()) == []


async def test_the_last_socket_of_the_device_takes_it_along(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        async with bob.socket():
            async with bob.socket():
                await set_typing(bob, den)
                await wait_for_typing(watching, ["bob"])
            await wait_for_sockets(ann.app, 2)
            advance_clock([ann.app], 0.1)
            assert watching.is_silent
        assert typing_names(await watching.next()) == []


@pytest.mark.parametrize("deed", ["leaving", "removal", "a-mute", "reading-only"])
async def test_who_may_not_say_anything_any_more_stops_typing(ann: UserClient, bob: UserClient, deed: str) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    deeds = {
        "leaving": lambda: bob.leave(den),
        "removal": lambda: change(ann, "removeMember", roomId=den, userId=bob.id),
        "a-mute": lambda: change(ann, "muteMember", roomId=den, userId=bob.id, seconds=60),
        "reading-only": lambda: change(ann, "setMemberRole", roomId=den, userId=bob.id, role="READ_ONLY"),
    }
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        await set_typing(bob, den)
        await wait_for_typing(watching, ["bob"])
        await deeds[deed]()
        assert typing_names(await watching.next()) == []


# ------------------------------------------------------------------ who may


async def test_only_who_may_send_types(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    cave = await ann.create_room("cave", visibility="PRIVATE")
    await change(ann, "muteMember", roomId=den, userId=bob.id, seconds=60)
    for person, room, code in ((cleo, den, "NOT_A_MEMBER"), (bob, den, "MUTED"), (cleo, cave, "NOT_FOUND")):
        payload = await person.mutate(SET_TYPING, roomId=room, typing=True)
        assert [error["code"] for error in payload["errors"]] == [code]
    await set_typing(bob, den, typing=False)
    ann.token = None
    assert await ann.codes(SET_TYPING, input={"roomId": den, "typing": True}) == ["UNAUTHENTICATED"]


async def test_slow_mode_slows_no_typing(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    await change(ann, "updateRoom", roomId=den, slowModeSeconds=600)
    await bob.say(den, "one")
    await set_typing(bob, den)


async def test_who_may_not_read_a_room_does_not_see_who_types_there(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with bob.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        await change(ann, "removeMember", roomId=den, userId=bob.id)
        assert (await watching.message())["type"] == "complete"
        message = await (await wire.watch(TYPING, roomId=den)).message()
        assert message["payload"][0]["extensions"]["code"] == "NOT_FOUND"


# ------------------------------------------------------------------ what it costs


async def test_typing_is_one_look_at_the_room_and_never_a_change(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    with statements() as seen:
        for _ in range(5):
            await set_typing(bob, den)
    assert len(seen) == 5
    assert all(statement.startswith("SELECT") for statement in seen)


async def test_ordinary_typing_meets_no_rate_limit(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    for _ in range(300):  # more than an hour of it at the pace that clients are told
        await set_typing(bob, den)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_crowd_that_types_is_one_payload_of_bounded_length(ann: UserClient) -> None:
    den = await ann.create_room("den")
    crowd, signals, room_id = (
        await add_members(ann, den, 200),
        ann.app.roomcast.signals,
        UUID(den.removeprefix("room_")),
    )
    async with ann.socket() as wire:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        for actor in crowd:
            signals.set_typing(actor, room_id, typing=True)
        shown = typing_names(await watching.next())
        assert shown == [f"person{number}" for number in range(policy.MAX_TYPING_USERS)]
        for actor in crowd:
            signals.typing_users.stop_session(actor.session_id)
        assert typing_names(await watching.next()) == []


async def test_typing_on_one_device_goes_on_when_another_one_is_closed(ann: UserClient, bob: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    phone = await sign_in_second_device(bob)
    async with ann.socket() as wire, bob.socket(), phone:
        watching = await wire.watch(TYPING, roomId=den)
        await watching.next()
        async with phone.socket():
            await set_typing(bob, den)
            await wait_for_typing(watching, ["bob"])
        await wait_for_sockets(ann.app, 2)
        advance_clock([ann.app], 0.1)
        assert watching.is_silent
