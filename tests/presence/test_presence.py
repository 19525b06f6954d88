"""Presence: the effect of sockets, devices and statuses, and that none of it is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roomcast.api.execution.cost import LOOKUP, ROW_COSTS, STATEMENT
from tests.api_clients import REFRESH, UserClient, sign_up
from tests.conftest import MakeApp
from tests.presence.documents import (
    ACTIVE_USERS,
    SET_PRESENCE,
    advance_clock,
    presence_seen_by,
    set_presence,
    sign_in_second_device,
    state_seen_by,
    wait_for_sockets,
)
from tests.statements import statements


async def test_a_user_is_active_with_a_socket_and_offline_after_the_grace_period(
    ann: UserClient, bob: UserClient
) -> None:
    assert await presence_seen_by(ann, bob) == {
        "state": "OFFLINE",
        "lastActiveAt": None,
        "statusText": None,
        "statusEmoji": None,
    }
    async with bob.connect():
        assert await state_seen_by(ann, bob) == "ACTIVE"
    await wait_for_sockets(ann.app, 0)
    assert await state_seen_by(ann, bob) == "ACTIVE"
    advance_clock([ann.app], 14)
    assert await state_seen_by(ann, bob) == "ACTIVE"
    advance_clock([ann.app], 2)
    away = await presence_seen_by(ann, bob)
    last_active_at = datetime.fromisoformat(away["lastActiveAt"])
    assert away["state"] == "OFFLINE"
    assert timedelta(0) <= datetime.now(UTC) - last_active_at < timedelta(seconds=60)
    assert last_active_at.timestamp() % 30 == 0


async def test_a_reconnect_within_the_grace_period_changes_nothing(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect():
        pass
    await wait_for_sockets(ann.app, 0)
    advance_clock([ann.app], 10)
    async with bob.connect():
        advance_clock([ann.app], 10)
        assert await state_seen_by(ann, bob) == "ACTIVE"


async def test_http_requests_do_not_make_a_user_present(ann: UserClient, bob: UserClient) -> None:
    await bob.create_room("den")
    assert await state_seen_by(ann, bob) == "OFFLINE"
    async with ann.connect():
        assert await state_seen_by(bob, ann) == "ACTIVE"


async def test_the_most_active_device_counts(ann: UserClient, bob: UserClient) -> None:
    phone = await sign_in_second_device(bob)
    async with bob.connect(), phone, phone.connect() as phones:
        await set_presence(bob, state="IDLE")
        assert await state_seen_by(ann, bob) == "ACTIVE"
        answer = await phones.execute(SET_PRESENCE, input={"state": "IDLE"})
        assert answer["data"]["setPresence"]["errors"] == []
        idle = await presence_seen_by(ann, bob)
        assert (idle["state"], idle["lastActiveAt"] is None) == ("IDLE", False)
        await set_presence(phone, state=None)
        assert await state_seen_by(ann, bob) == "ACTIVE"


async def test_two_sockets_of_one_session_are_one_device(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect():
        async with bob.connect():
            await set_presence(bob, state="IDLE")
            assert await state_seen_by(ann, bob) == "IDLE"
        advance_clock([ann.app], 60)
        assert await state_seen_by(ann, bob) == "IDLE"


async def test_a_hidden_user_is_offline_to_everybody(ann: UserClient, bob: UserClient) -> None:
    phone = await sign_in_second_device(bob)
    async with bob.connect(), phone, phone.connect():
        await set_presence(bob, state="OFFLINE", statusText="busy")
        hidden = await presence_seen_by(ann, bob)
        assert (hidden["state"], hidden["statusText"]) == ("OFFLINE", "busy")
        for presence in ("IDLE", "ACTIVE"):  # as another device sets it when its user is active
            await set_presence(phone, state=presence)
            assert await presence_seen_by(ann, bob) == hidden
        await set_presence(bob, state="IDLE")
        assert await presence_seen_by(ann, bob) == hidden
        await set_presence(bob, state="ACTIVE")
        assert await state_seen_by(ann, bob) == "ACTIVE"
        await set_presence(bob, state="OFFLINE")
        await set_presence(phone, state=None)
        assert await state_seen_by(ann, bob) == "ACTIVE"
    assert hidden["lastActiveAt"] is not None


async def test_a_user_who_logs_out_is_offline_at_once(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect() as connection:
        await bob.execute("mutation { logout { errors { code } } }")
        assert (await connection.closed())[0] == 4401
        await wait_for_sockets(ann.app, 0)
        assert await state_seen_by(ann, bob) == "OFFLINE"


async def test_a_user_is_active_after_a_socket_signs_in(ann: UserClient, bob: UserClient) -> None:
    token, bob.token = bob.token, None
    async with bob.connect() as connection:
        assert await state_seen_by(ann, bob) == "OFFLINE"
        bob.token = token
        answer = await connection.execute(REFRESH, input={"refreshToken": bob.refresh_token})
        assert answer["data"]["refreshSession"]["errors"] == []
        assert await state_seen_by(ann, bob) == "ACTIVE"


# ------------------------------------------------------------------ status


async def test_a_status_is_set_changed_in_part_and_cleared(ann: UserClient, bob: UserClient) -> None:
    async with bob.connect():
        await set_presence(bob, statusText=" at lunch ", statusEmoji="❤")
        await set_presence(bob, state="IDLE")
        found = await presence_seen_by(ann, bob)
        assert (found["state"], found["statusText"], found["statusEmoji"]) == ("IDLE", "at lunch", "❤️")
        await set_presence(bob, statusText=None)
        found = await presence_seen_by(ann, bob)
        assert (found["statusText"], found["statusEmoji"]) == (None, "❤️")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"statusText": "x" * 101}, "statusText"),
        ({"statusText": "two\nlines"}, "statusText"),
        ({"statusText": "\u202egnirts"}, "statusText"),
        ({"statusEmoji": "ab"}, "statusEmoji"),
        ({"statusEmoji": ""}, "statusEmoji"),
        ({"statusEmoji": "👍👍"}, "statusEmoji"),
    ],
)
async def test_a_bad_status_changes_nothing(
    ann: UserClient, bob: UserClient, values: dict[str, Any], field: str
) -> None:
    async with bob.connect():
        payload = await bob.mutate(SET_PRESENCE, state="IDLE", **values)
        assert payload["errors"] == [{"code": "VALIDATION_FAILED", "path": ["input", field]}]
        assert await state_seen_by(ann, bob) == "ACTIVE"


async def test_anonymous_clients_cannot_set_presence(ann: UserClient) -> None:
    ann.token = None
    assert await ann.error_codes(SET_PRESENCE, input={"state": "IDLE"}) == ["UNAUTHENTICATED"]


# ------------------------------------------------------------------ costs


async def test_presence_executes_no_statements(ann: UserClient, bob: UserClient) -> None:
    with statements() as seen_:
        async with bob.connect():
            await set_presence(bob, state="IDLE", statusText="away")
            advance_clock([ann.app], 1)
        await wait_for_sockets(ann.app, 0)
        advance_clock([ann.app], 100)
    assert seen_ == []


async def test_active_users_of_a_page_of_rooms_cost_two_statements(ann: UserClient, bob: UserClient) -> None:
    for name in ("den", "hall", "attic"):
        await ann.create_room(name, memberIds=[bob.id])
    counts = []
    for names in ("id", "id activeUsers { username presence { state } }"):
        async with bob.connect():
            with statements() as seen_:
                found = await ann.execute("{ rooms { nodes { " + names + " } } }")
            counts.append(len(seen_))
    assert [[user["username"] for user in room["activeUsers"]] for room in found["rooms"]["nodes"]] == [["bob"]] * 3
    assert counts[1] - counts[0] == 2


async def test_active_users_are_visible_members(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect(), bob.connect(), cleo.connect():
        await set_presence(ann, state="OFFLINE")
        assert (await ann.execute(ACTIVE_USERS, id=room_id))["room"]["activeUsers"] == [{"username": "bob"}]


async def test_active_users_cost_as_much_as_a_hundred_users(ann: UserClient) -> None:
    body = {"query": "{ rooms(first: 2) { nodes { activeUsers { id } } } }", "extensions": {"cost": True}}
    answer = (await ann.post(body)).json()
    assert answer["extensions"]["cost"]["requested"] == 1 + STATEMENT + 1 + 2 * (ROW_COSTS["Room"] + 1 + LOOKUP + 100)


async def test_the_grace_period_is_a_setting(make_app: MakeApp) -> None:
    app = await make_app(presence_grace_seconds=3)
    async with await sign_up(app, "ann") as ann:
        async with ann.connect():
            pass
        await wait_for_sockets(app, 0)
        advance_clock([app], 4)
        assert await state_seen_by(ann, ann) == "OFFLINE"
