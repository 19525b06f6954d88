"""Typing: each payload is the full list, and the ways in which typing ends."""

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


async def test_a_typing_user_is_shown_until_they_stop(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        expected = {"roomId": room_id, "users": [], "expiresInMs": 10_000}
        assert await subscription.next_event() == expected
        await set_typing(bob, room_id)
        assert await subscription.next_event() == {**expected, "users": [{"username": "bob"}]}
        await set_typing(ann, room_id)
        assert typing_names(await subscription.next_event()) == ["bob", "ann"]
        await set_typing(bob, room_id, typing=False)
        assert typing_names(await subscription.next_event()) == ["ann"]


async def test_a_new_subscriber_is_shown_users_who_are_already_typing(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await set_typing(bob, room_id)
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        assert typing_names(await subscription.next_event()) == ["bob"]
        again = await connection.subscribe(TYPING, roomId=room_id)
        assert typing_names(await again.next_event()) == ["bob"]


async def test_server_info_has_the_typing_intervals(ann: UserClient) -> None:
    found = await ann.execute("{ serverInfo { limits { typingRefreshMs typingExpiryMs } } }")
    assert found["serverInfo"]["limits"] == {"typingRefreshMs": 4_000, "typingExpiryMs": 10_000}


# ------------------------------------------------------------------ the end of typing


async def test_a_message_ends_typing(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        for person in (ann, bob):
            await set_typing(person, room_id)
        await wait_for_typing(subscription, ["ann", "bob"])
        await bob.send_messages(room_id, "here it is")
        assert typing_names(await subscription.next_event()) == ["ann"]


async def test_a_message_ends_typing_for_later_subscribers_too(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await set_typing(bob, room_id)
    await bob.send_messages(room_id, "here it is")
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        assert typing_names(await subscription.next_event()) == []


async def test_typing_expires_unless_it_is_repeated(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await set_typing(bob, room_id)
        await wait_for_typing(subscription, ["bob"])
        advance_clock([ann.app], 5)
        await set_typing(bob, room_id)
        advance_clock([ann.app], 4)
        assert typing_names(await subscription.next_event()) == ["bob"]  # repeated before the first payload expires
        advance_clock([ann.app], 7)
        assert typing_names(await subscription.next_event()) == []


async def test_typing_that_is_not_repeated_is_sent_once(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await set_typing(bob, room_id)
        await wait_for_typing(subscription, ["bob"])
        for _ in range(10):
            advance_clock([ann.app], 1.1)
        assert typing_names(await subscription.next_event()) == []


async def test_typing_ends_with_the_last_socket_of_the_device(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        async with bob.connect():
            async with bob.connect():
                await set_typing(bob, room_id)
                await wait_for_typing(subscription, ["bob"])
            await wait_for_sockets(ann.app, 2)
            advance_clock([ann.app], 0.1)
            assert subscription.is_empty
        assert typing_names(await subscription.next_event()) == []


@pytest.mark.parametrize("action", ["leaving", "removal", "a-mute", "reading-only"])
async def test_typing_ends_for_a_member_who_may_not_send_any_more(
    ann: UserClient, bob: UserClient, action: str
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    actions = {
        "leaving": lambda: bob.leave(room_id),
        "removal": lambda: change(ann, "removeMember", roomId=room_id, userId=bob.id),
        "a-mute": lambda: change(ann, "muteMember", roomId=room_id, userId=bob.id, seconds=60),
        "reading-only": lambda: change(ann, "setMemberRole", roomId=room_id, userId=bob.id, role="READ_ONLY"),
    }
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await set_typing(bob, room_id)
        await wait_for_typing(subscription, ["bob"])
        await actions[action]()
        assert typing_names(await subscription.next_event()) == []


# ------------------------------------------------------------------ permissions


async def test_typing_requires_the_right_to_send(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    hidden_room = await ann.create_room("cave", visibility="PRIVATE")
    await change(ann, "muteMember", roomId=room_id, userId=bob.id, seconds=60)
    for person, room, code in (
        (cleo, room_id, "NOT_A_MEMBER"),
        (bob, room_id, "MUTED"),
        (cleo, hidden_room, "NOT_FOUND"),
    ):
        payload = await person.mutate(SET_TYPING, roomId=room, typing=True)
        assert [error["code"] for error in payload["errors"]] == [code]
    await set_typing(bob, room_id, typing=False)
    ann.token = None
    assert await ann.error_codes(SET_TYPING, input={"roomId": room_id, "typing": True}) == ["UNAUTHENTICATED"]


async def test_slow_mode_does_not_limit_typing(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await change(ann, "updateRoom", roomId=room_id, slowModeSeconds=600)
    await bob.send_messages(room_id, "one")
    await set_typing(bob, room_id)


async def test_the_typing_stream_requires_the_right_to_read_the_room(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
    async with bob.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        await change(ann, "removeMember", roomId=room_id, userId=bob.id)
        assert (await subscription.next_message())["type"] == "complete"
        message = await (await connection.subscribe(TYPING, roomId=room_id)).next_message()
        assert message["payload"][0]["extensions"]["code"] == "NOT_FOUND"


# ------------------------------------------------------------------ costs


async def test_typing_costs_one_select_statement(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    with statements() as seen:
        for _ in range(5):
            await set_typing(bob, room_id)
    assert len(seen) == 5
    assert all(statement.startswith("SELECT") for statement in seen)


async def test_ordinary_typing_is_not_rate_limited(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    for _ in range(300):  # twenty minutes at the interval that clients are given
        await set_typing(bob, room_id)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_many_typing_users_are_one_payload_of_bounded_length(ann: UserClient) -> None:
    global_id = await ann.create_room("den")
    actors, signals, room_id = (
        await add_members(ann, global_id, 200),
        ann.app.roomcast.backend.presence,
        UUID(global_id.removeprefix("room_")),
    )
    async with ann.connect() as connection:
        subscription = await connection.subscribe(TYPING, roomId=global_id)
        await subscription.next_event()
        for actor in actors:
            signals.set_typing(actor, room_id, typing=True)
        shown = typing_names(await subscription.next_event())
        assert shown == [f"person{number}" for number in range(policy.MAX_TYPING_USERS)]
        for actor in actors:
            signals.typing_users.stop_session(actor.session_id)
        assert typing_names(await subscription.next_event()) == []


async def test_typing_on_one_device_continues_when_another_disconnects(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    phone = await sign_in_second_device(bob)
    async with ann.connect() as connection, bob.connect(), phone:
        subscription = await connection.subscribe(TYPING, roomId=room_id)
        await subscription.next_event()
        async with phone.connect():
            await set_typing(bob, room_id)
            await wait_for_typing(subscription, ["bob"])
        await wait_for_sockets(ann.app, 2)
        advance_clock([ann.app], 0.1)
        assert subscription.is_empty
