"""Mentions: `@name` and `@room` in text, not in code."""

import pytest

from roomcast.messages.mentions import find_mentions
from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT, MESSAGE_BY_ID
from tests.replay_invariant import replay_invariant


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("hello @bob", [["bob"]]),
        ("@Bob, @BOB! (@bob)", [["bob"]]),
        ("ask @bob.", [["bob.", "bob"]]),
        ("**@bob** _@cleo_ [@dan](https://x.test)", [["bob"], ["cleo"], ["dan"]]),
        ("> - # @bob", [["bob"]]),
        ("bob@cleo.test @ bob @@bob /@bob", []),
        ("`@bob` and ``@cleo``", []),
        ("```\n@bob\n```", []),
        ("    @bob", []),
        ("<b>@bob</b>", [["bob"]]),
        ("@a-name_with.all", [["a-name_with.all"]]),
        ("@" + "x" * 33, []),
        ("@bobさん、こんにちは", [["bob"]]),
        ("你好@bob，@cleo和", [["bob"], ["cleo"]]),
        ("مرحبا@bob", [["bob"]]),
    ],
)
def test_mentions_are_found_in_text_and_not_in_code(body: str, names: list[list[str]]) -> None:
    assert [list(readings) for readings in find_mentions(body).names] == names


@pytest.mark.parametrize(
    ("body", "mentions_room"),
    [("@room!", True), ("@roomの皆さん", True), ("@rooms", False), ("`@room`", False), ("room", False)],
)
def test_at_room_mentions_the_room(body: str, mentions_room: bool) -> None:
    assert find_mentions(body).room is mentions_room


async def test_a_message_mentions_only_members(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    async with replay_invariant(bob, room_id):
        [message] = await ann.send_messages(room_id, "@bob. @cleo @nobody @ann `@room`")
    seen = (await bob.execute(MESSAGE_BY_ID, id=message["id"]))["message"]
    assert sorted(user["username"] for user in seen["mentions"]) == ["ann", "bob"]
    assert seen["mentionsRoom"] is False


async def test_an_edit_replaces_the_mentions(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [message] = await ann.send_messages(room_id, "@bob")
    async with replay_invariant(ann, room_id):
        edited = await ann.mutate(EDIT, messageId=message["id"], body="@cleo @room")
    assert edited["message"]["mentions"] == [{"username": "cleo"}]
    assert edited["message"]["mentionsRoom"] is True
    async with replay_invariant(ann, room_id):
        gone = await ann.mutate(DELETE, messageId=message["id"])
    assert (gone["message"]["mentions"], gone["message"]["mentionsRoom"]) == ([], False)
