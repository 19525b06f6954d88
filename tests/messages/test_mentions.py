"""Mentions: words that name people; code names nobody."""

import pytest

from roomcast.messages.mentions import find_mentions
from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT, SEEN
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
def test_names_are_found_in_words_and_not_in_code(body: str, names: list[list[str]]) -> None:
    assert [list(readings) for readings in find_mentions(body).names] == names


@pytest.mark.parametrize(
    ("body", "calls"),
    [("@room!", True), ("@roomの皆さん", True), ("@rooms", False), ("`@room`", False), ("room", False)],
)
def test_the_room_is_called_by_its_word(body: str, calls: bool) -> None:
    assert find_mentions(body).room is calls


async def test_a_message_names_members_only(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den")
    await bob.join(den)
    async with replay_invariant(bob, den):
        [message] = await ann.send_messages(den, "@bob. @cleo @nobody @ann `@room`")
    seen = (await bob.execute(SEEN, id=message["id"]))["message"]
    assert sorted(user["username"] for user in seen["mentions"]) == ["ann", "bob"]
    assert seen["mentionsRoom"] is False


async def test_an_edit_names_whom_the_new_words_name(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [message] = await ann.send_messages(den, "@bob")
    async with replay_invariant(ann, den):
        edited = await ann.mutate(EDIT, messageId=message["id"], body="@cleo @room")
    assert edited["message"]["mentions"] == [{"username": "cleo"}]
    assert edited["message"]["mentionsRoom"] is True
    async with replay_invariant(ann, den):
        gone = await ann.mutate(DELETE, messageId=message["id"])
    assert (gone["message"]["mentions"], gone["message"]["mentionsRoom"]) == ([], False)
