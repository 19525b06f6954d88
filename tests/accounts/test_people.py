"""User profiles, the list of users, and look-alike usernames."""

import asyncio
from typing import Any

import pytest

from roomcast.accounts.actions import NewAccount, create_user
from roomcast.accounts.models import UserRole
from roomcast.core.paging import write_cursor
from tests.accounts.documents import BAN, SET_ROLE, TRY, UPDATE_PROFILE, USERS, codes
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, Json, UserClient, sign_up
from tests.running_app import RunningApp
from tests.statements import statements


async def create_accounts(app: RunningApp, *people: tuple[str, str, str | None]) -> None:
    """Create accounts from username, display name and e-email_change address, without signing in."""
    async with app.roomcast.db.work() as work:
        for username, display_name, email in people:
            await create_user(work, NewAccount(username, "no hash", email, display_name), UserRole.MEMBER)


def email_change(address: str | None) -> dict[str, str | None]:
    """The arguments that change the e-email_change address, which requires the password."""
    return {"email": address, "currentPassword": PASSWORD}


async def find(person: UserClient, **filter_: Any) -> list[str]:
    found = (await person.execute(USERS, filter=filter_))["users"]
    names = [node["username"] for node in found["nodes"]]
    assert found["totalCount"] == len(names)
    return names


# ------------------------------------------------------------------ profiles


async def test_a_user_updates_their_profile(ann: UserClient) -> None:
    payload = await ann.mutate(
        UPDATE_PROFILE, displayName=" Ann of the Isles ", bio="Sails.\nSings.", **email_change("ann@example.org")
    )
    assert payload["user"] == {
        "id": ann.id, "username": "ann", "displayName": "Ann of the Isles", "bio": "Sails.\nSings.", "role": "ADMIN"
    }  # fmt: skip
    assert (await ann.execute("{ me { email } }"))["me"]["email"] == "ann@example.org"


async def test_an_omitted_profile_field_is_unchanged_and_null_clears_it(ann: UserClient) -> None:
    await ann.mutate(UPDATE_PROFILE, displayName="Annie", bio="Sails.", **email_change("ann@example.org"))
    assert (await ann.mutate(UPDATE_PROFILE, bio=None))["user"]["displayName"] == "Annie"
    cleared = (await ann.mutate(UPDATE_PROFILE, displayName=None, **email_change(None)))["user"]
    assert (cleared["displayName"], cleared["bio"]) == ("ann", None)
    assert (await ann.execute("{ me { email } }"))["me"]["email"] is None


async def test_a_user_signs_in_with_their_new_address_in_any_case(ann: UserClient, anonymous: AnonymousClient) -> None:
    await ann.mutate(UPDATE_PROFILE, **email_change("Ann@Example.org"))
    assert codes(await anonymous.mutate(TRY, usernameOrEmail=" ann@EXAMPLE.org", password=PASSWORD)) == []


async def test_an_address_belongs_to_one_account(ann: UserClient, bob: UserClient) -> None:
    await ann.mutate(UPDATE_PROFILE, **email_change("both@example.org"))
    payload = await bob.mutate(UPDATE_PROFILE, **email_change("BOTH@example.org"), bio="Never stored.")
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("EMAIL_TAKEN", ["input", "email"])]
    assert (await bob.execute(BIO, id=bob.id))["user"]["bio"] is None


async def test_changing_the_address_requires_the_password(ann: UserClient) -> None:
    for arguments, code in (({}, "INVALID_CREDENTIALS"), ({"currentPassword": "not this one"}, "INVALID_CREDENTIALS")):
        [error] = (await ann.mutate(UPDATE_PROFILE, email="ann@example.org", bio="Never stored.", **arguments))[
            "errors"
        ]
        assert (error["code"], error["path"]) == (code, ["input", "currentPassword"])
    await ann.mutate(UPDATE_PROFILE, **email_change("ann@example.org"))
    assert codes(await ann.mutate(UPDATE_PROFILE, email="ann@example.org", bio="The same address again.")) == []
    assert codes(await ann.mutate(UPDATE_PROFILE, email=None)) == ["INVALID_CREDENTIALS"]


async def test_address_changes_are_rate_limited_against_enumeration(ann: UserClient, bob: UserClient) -> None:
    await ann.mutate(UPDATE_PROFILE, **email_change("ann@example.org"))
    payloads = [
        await bob.mutate(UPDATE_PROFILE, **email_change(f"{name}@example.org"))
        for name in ["ann"] * 10 + ["ann", "nobody"]
    ]
    assert [codes(payload) for payload in payloads] == [["EMAIL_TAKEN"]] * 10 + [["RATE_LIMITED"]] * 2
    assert payloads[-1]["errors"][0]["retryAfterMs"] > 10_000


async def test_sign_ups_are_rate_limited_against_enumeration(ann: UserClient, anonymous: AnonymousClient) -> None:
    await ann.mutate(UPDATE_PROFILE, **email_change("ann@example.org"))
    names = iter(f"mallory{number}x" for number in range(20))
    for _ in range(10):
        taken = await anonymous.mutate(SIGNUP, username=next(names), password=PASSWORD, email="ann@example.org")
        assert codes(taken) == ["EMAIL_TAKEN"]
    for email, expected in (("ann@example.org", ["RATE_LIMITED"]), ("x@example.org", ["RATE_LIMITED"]), (None, [])):
        payload = await anonymous.mutate(SIGNUP, username=next(names), password=PASSWORD, email=email)
        assert codes(payload) == expected


BIO = "query Bio($id: ID!) { user(id: $id) { bio } }"


@pytest.mark.parametrize(
    ("field", "value"),
    [("displayName", ""), ("displayName", "x" * 65), ("bio", "x" * 501), ("bio", "\0"), ("email", "nobody")],
)
async def test_an_invalid_profile_field_is_refused(ann: UserClient, field: str, value: str) -> None:
    payload = await ann.mutate(UPDATE_PROFILE, **{field: value})
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("VALIDATION_FAILED", ["input", field])]


async def test_anonymous_clients_cannot_update_a_profile_or_list_users(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    assert await anonymous.error_codes(UPDATE_PROFILE, input={"bio": "me"}) == ["UNAUTHENTICATED"]
    assert await anonymous.error_codes(USERS) == ["UNAUTHENTICATED"]


# ------------------------------------------------------------------ finding people


async def test_users_are_found_by_either_name_in_any_case_and_without_accents(ann: UserClient) -> None:
    await create_accounts(
        ann.app,
        ("rene.d", "René Descartes", None),
        ("strasse", "Karl Straße", None),
        ("fifty_fifty", "50% sure", None),
    )
    assert await find(ann, query="RENE") == ["rene.d"]
    assert await find(ann, query="descártes") == ["rene.d"]
    assert await find(ann, query="STRASSE") == ["strasse"]
    assert await find(ann, query="  karl   strasse ") == ["strasse"]
    assert await find(ann, query="0%") == ["fifty_fifty"]
    assert await find(ann, query="y_f") == ["fifty_fifty"]
    assert await find(ann, query="d r") == await find(ann, query="\0") == []
    assert len(await find(ann, query="")) == len(await find(ann)) == 4


async def test_users_are_not_found_by_their_address(ann: UserClient) -> None:
    await create_accounts(ann.app, ("someone", "Some One", "hidden@example.org"))
    for query in ("hidden", "example", "@", "hidden@example.org"):
        assert await find(ann, query=query) == []


async def test_a_new_name_is_found_and_the_old_one_is_not(ann: UserClient) -> None:
    await ann.mutate(UPDATE_PROFILE, displayName="Somebody New")
    assert await find(ann, query="body new") == ["ann"]
    await ann.mutate(UPDATE_PROFILE, displayName=None)
    assert await find(ann, query="body new") == []


async def test_administrators_are_found_by_their_role(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    await ann.mutate(SET_ROLE, userId=cleo.id, role="ADMIN")
    assert await find(bob, role="ADMIN") == ["ann", "cleo"]
    assert await find(bob, role="MEMBER", query="B") == ["bob"]


async def test_pages_in_both_directions_list_each_user_once(ann: UserClient) -> None:
    await create_accounts(ann.app, *((f"person{n:02}", f"Person {n}", None) for n in range(24)))
    forward = await walk(ann, "first", "after", "endCursor", "hasNextPage")
    backward = await walk(ann, "last", "before", "startCursor", "hasPreviousPage")
    assert [name for page in forward for name in page] == sorted(name for page in backward for name in page)
    assert [len(page) for page in forward] == [10, 10, 5]
    assert backward[0] == forward[1][5:] + forward[2]


async def walk(person: UserClient, size: str, position_argument: str, cursor: str, flag: str) -> list[list[str]]:
    pages, position = [], None
    while True:
        found: Json = (await person.execute(USERS, **{size: 10, position_argument: position}))["users"]
        pages.append([node["username"] for node in found["nodes"]])
        assert found["totalCount"] == 25
        position = found["pageInfo"][cursor]
        if not found["pageInfo"][flag]:
            return pages


@pytest.mark.parametrize(
    "page",
    [
        {"first": 1, "last": 1},
        {"first": 0},
        {"first": 101},
        {"last": -1},
        {"after": "x"},
        {"before": write_cursor("users", ("\0",))},
        {"before": write_cursor("rooms", ("ann",))},
    ],
)
async def test_invalid_page_arguments_are_refused(ann: UserClient, page: Json) -> None:
    assert await ann.error_codes(USERS, **page) == ["BAD_USER_INPUT"]


async def test_a_page_of_users_takes_as_many_statements_at_any_size(ann: UserClient) -> None:
    await create_accounts(ann.app, *((f"person{n:02}", f"Person {n}", None) for n in range(99)))
    document = USERS.replace("nodes { username }", "nodes { id username displayName bio role createdAt }")
    counts = []
    for size in (2, 100):
        with statements() as executed:
            assert len((await ann.execute(document, first=size))["users"]["nodes"]) == size
        counts.append(len([statement for statement in executed if "search_key" in statement or "count" in statement]))
    assert counts == [2, 2]


# ------------------------------------------------------------------ usernames that look alike


async def test_look_alike_usernames_are_refused(ann: UserClient, bob: UserClient, anonymous: AnonymousClient) -> None:
    first = await anonymous.mutate(SIGNUP, username="Billy.Olson", password=PASSWORD)
    assert codes(first) == []
    for name in ("billy.olson", "BiIIy.Olson", "bi11y.o1son", "billy.0lson"):
        [error] = (await anonymous.mutate(SIGNUP, username=name, password=PASSWORD))["errors"]
        assert (error["code"], error["path"]) == ("USERNAME_TAKEN", ["input", "username"])
    assert codes(await anonymous.mutate(SIGNUP, username="billy-olson", password=PASSWORD)) == []


async def test_concurrent_sign_ups_with_look_alike_names_create_one_account(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    names = ["Gilles", "gi11es", "GiIIes", "gilles"]
    payloads = await asyncio.gather(*(anonymous.mutate(SIGNUP, username=name, password=PASSWORD) for name in names))
    assert sorted(codes(payload) for payload in payloads) == [[], *[["USERNAME_TAKEN"]] * 3]


# ------------------------------------------------------------------ bans


async def test_only_administrators_see_who_is_banned_and_since_when(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    document = "query U($id: ID!) { user(id: $id) { bannedAt } node(id: $id) { ... on User { bannedAt } } }"
    assert (await ann.execute(document, id=bob.id))["user"] == {"bannedAt": None}
    room_id = await bob.create_room("den")
    assert codes(await ann.mutate(BAN, userId=bob.id)) == []
    shown = await ann.execute(document, id=bob.id)
    assert shown["user"]["bannedAt"] is not None
    assert shown["node"] == shown["user"]
    hidden = {"bannedAt": None}
    assert await cleo.execute(document, id=bob.id) == {"user": hidden, "node": hidden}
    members = "query M($id: ID!) { room(id: $id) { members { nodes { user { username bannedAt } } } } }"
    for client, expected in ((ann, shown["user"]["bannedAt"]), (cleo, None)):
        [member] = (await client.execute(members, id=room_id))["room"]["members"]["nodes"]
        assert member["user"] == {"username": "bob", "bannedAt": expected}


async def test_subscribers_of_one_document_see_bans_by_their_own_role(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    document = (
        "subscription E($id: ID!) { roomEvents(roomId: $id) { __typename "
        "... on MemberChanged { user { username bannedAt } } } }"
    )
    async with await sign_up(ann.app, "dora") as dora, ann.connect() as one, bob.connect() as other:
        await dora.join(room_id)
        await ann.mutate(BAN, userId=dora.id)
        streams = [await connection.subscribe(document, id=room_id) for connection in (one, other)]
        for stream in streams:
            await stream.wait_until_ready()
        remove = "mutation R($input: RemoveMemberInput!) { removeMember(input: $input) { errors { code } } }"
        await ann.mutate(remove, roomId=room_id, userId=dora.id)
        shown = [(await stream.next_event())["user"] for stream in streams]
    assert [user["bannedAt"] is not None for user in shown] == [True, False]
