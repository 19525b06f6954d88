"""What a room itself says of who came, who went and how it is called: once, in its log, and for everybody to read."""

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomcast.messages.markdown import html, literal
from roomcast.rooms.policy import check_name
from tests.api_clients import ROOM_MESSAGES, UserClient, sign_up
from tests.messages.documents import DELETE, EDIT, PIN, REACT, SEEN, codes
from tests.rooms.documents import add, change, refusal
from tests.statements import statements

STORY = (
    "query Story($id: ID!) { room(id: $id) { lastMessage { body } "
    "messages { nodes { id seq kind body bodyHtml author { id } mentions { id } viewerCanEdit viewerCanDelete } } "
    "viewerMembership { unreadCount mentionCount lastReadSeq } } }"
)


async def told(person: UserClient, room_id: str) -> list[str]:
    """What the room has said so far, as this person reads it."""
    nodes = (await person.execute(STORY, id=room_id))["room"]["messages"]["nodes"]
    return [node["body"] for node in nodes if node["kind"] == "SYSTEM"]


async def test_a_room_says_who_came_and_went(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[ann.id])
    await cleo.join(den)
    await cleo.leave(den)
    await add(bob, den, cleo)
    await change(bob, "removeMember", roomId=den, userId=cleo.id)
    await change(ann, "updateRoom", roomId=den, name="hall", topic="tea")
    assert await told(bob, den) == [
        "@cleo joined.",
        "@cleo left.",
        "@bob added @cleo.",
        "@bob removed @cleo.",
        "@ann renamed the room to “hall”.",
    ]


async def test_what_changes_nothing_is_not_said(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", memberIds=[cleo.id])
    await cleo.join(den)
    await add(bob, den, cleo)
    await change(bob, "updateRoom", roomId=den, name="den", topic="tea")
    await change(bob, "setMemberRole", roomId=den, userId=cleo.id, role="MODERATOR")
    assert await refusal(cleo, "updateRoom", roomId=den, name="hall") == "FORBIDDEN"
    assert await told(bob, den) == []


async def test_what_a_room_says_is_unread_for_nobody(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    await ann.send_messages(den, "hello")
    await add(ann, den, cleo)
    await cleo.leave(den)
    seen = (await bob.execute(STORY, id=den))["room"]
    assert seen["lastMessage"]["body"] == "hello", "nobody's coming moves a room up in the lists"
    assert (seen["viewerMembership"]["unreadCount"], seen["viewerMembership"]["mentionCount"]) == (1, 0)
    assert all(node["author"] is None and node["mentions"] == [] for node in seen["messages"]["nodes"][1:])
    await cleo.join(den)
    seen = (await cleo.execute(STORY, id=den))["room"]
    assert seen["viewerMembership"]["lastReadSeq"] == seen["messages"]["nodes"][-1]["seq"]


async def test_what_a_room_says_streams_as_messages_do(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    async with bob.connect() as wire:
        live = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await bob.app.wait_for_streams(1)
        await cleo.join(den)
        heard = (await live.next_event())["message"]
    assert (heard["body"], heard["author"]) == ("@cleo joined.", None)
    [again] = (await bob.execute(STORY, id=den))["room"]["messages"]["nodes"]
    assert again["seq"] == heard["seq"]


async def test_nobody_changes_what_a_room_said_and_only_moderators_take_it_away(
    bob: UserClient, cleo: UserClient
) -> None:
    den = await bob.create_room("den")
    await cleo.join(den)
    [said] = (await cleo.execute(STORY, id=den))["room"]["messages"]["nodes"]
    assert not said["viewerCanEdit"]
    assert not said["viewerCanDelete"]
    wishes = [(EDIT, {"body": "no"}), (REACT, {"emoji": "👋"}), (PIN, {})]
    for person in (bob, cleo):
        assert [codes(await person.mutate(wish, messageId=said["id"], **more)) for wish, more in wishes] == [
            ["FORBIDDEN"]
        ] * 3
    assert codes(await cleo.mutate(DELETE, messageId=said["id"])) == ["FORBIDDEN"]
    assert codes(await bob.mutate(DELETE, messageId=said["id"])) == []
    assert (await cleo.execute(SEEN, id=said["id"]))["message"]["body"] is None


async def test_a_crowd_is_let_in_with_one_message_and_no_more_questions_than_one_person(bob: UserClient) -> None:
    den = await bob.create_room("den")
    crowd = [await sign_up(bob.app, f"guest_{number:02}") for number in range(13)]
    with statements() as for_one:
        await add(bob, den, crowd[0])
    with statements() as for_many:
        await add(bob, den, *crowd[1:])
    assert len(for_many) <= len(for_one)
    one, many = await told(bob, den)
    assert one == r"@bob added @guest\_00."
    assert many.endswith(r"@guest\_10 and 2 others.")
    for guest in crowd:
        await guest.http.aclose()


async def test_a_direct_conversation_says_nothing_of_itself(bob: UserClient, cleo: UserClient) -> None:
    opened = "mutation O($input: OpenDirectMessageInput!) { openDirectMessage(input: $input) { room { id } } }"
    room = (await bob.mutate(opened, userIds=[cleo.id]))["room"]["id"]
    assert await told(bob, room) == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "&lt;b> *a* _b_ `c` ~~d~~"])
async def test_a_name_is_only_text_in_what_a_room_says(name: str, bob: UserClient) -> None:
    den = await bob.create_room("den")
    await change(bob, "updateRoom", roomId=den, name=name)
    [said] = (await bob.execute(STORY, id=den))["room"]["messages"]["nodes"]
    assert said["bodyHtml"] == f"<p>@bob renamed the room to “{escape(name, quote=False)}”.</p>\n"


@given(st.text(st.one_of(st.characters(categories=["L", "N", "P", "S"]), st.just(" ")), min_size=1, max_size=40))
def test_every_name_reads_as_itself(name: str) -> None:
    tidy = check_name("x" + name)
    assert html(f"“{literal(tidy)}”") == f"<p>“{escape(tidy, quote=False)}”</p>\n"
