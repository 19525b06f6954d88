"""Search: words, parts of words and scripts without spaces, in the user's rooms only."""

import asyncio
import itertools
import random
import time
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from roomcast.core import migrations
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.direct_queries import fetch
from roomcast.core.paging import window
from roomcast.messages.models import MessageText
from roomcast.messages.search import MAX_TEXT, SearchFilter, parse_query, search_messages, snippet
from tests.api_clients import UserClient
from tests.messages.documents import DELETE, EDIT
from tests.running_app import RunningApp

SEARCH = (
    "query Search($query: String!, $filter: MessageSearchFilter, $first: Int, $after: String) { "
    "searchMessages(query: $query, filter: $filter, first: $first, after: $after) { edges { cursor snippetHtml "
    "node { body room { name } } } nodes { id } pageInfo { hasNextPage endCursor } } }"
)

BODIES = [
    "The quick brown fox",
    "Uncharacteristically slow",
    "明日は会議です",
    "서울에서 만나요",
    "Ça coûte 50% de plus",
    "a_b C",
    "ハハとｶﾞｷﾞ",
]


async def found(client: UserClient, query: str, **more: object) -> list[str]:
    answer = await client.execute(SEARCH, query=query, **more)
    return [edge["node"]["body"] for edge in answer["searchMessages"]["edges"]]


async def test_words_and_parts_of_words_are_found_in_every_script(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    fox, slow, meeting, seoul, price, letters, mother = BODIES
    await ann.send_messages(room_id, *BODIES)
    for query, bodies in {
        "quick": [fox],
        "QUICK fox": [fox],
        "fox quick": [fox],
        '"quick brown"': [fox],
        '"brown quick"': [],
        "haracteris": [slow],
        "会議": [meeting],
        "日": [meeting],
        "서울": [seoul],
        "coute": [price],
        "50%": [price],
        "%": [price],
        "ハハ": [mother],
        "パパ": [],
        "ガギ": [mother],
        "カキ": [],
        "_": [letters],
        "ow": [slow, fox],
        "brow fo": [fox],
        "fox slow": [],
        '"': [],
        "OR": [],
        "fox*": [],
        "text:fox": [],
    }.items():
        assert await found(ann, query) == bodies, query


async def test_every_pair_of_characters_is_found_in_exactly_the_messages_that_contain_it(ann: UserClient) -> None:
    room_id, chance = await ann.create_room("den"), random.Random(7)
    bodies = ["".join(chance.choices("ab会議กา😀", k=chance.randint(1, 12))) for _ in range(40)]
    ids = [message["id"] for message in await ann.send_messages(room_id, *bodies)]
    for place in range(0, 40, 2):  # the index follows edits to other pairs, and to none
        bodies[place] = chance.choice(["plain", bodies[place][::-1]])
        await ann.mutate(EDIT, messageId=ids[place], body=bodies[place])
    await ann.mutate(DELETE, messageId=ids[1])
    del bodies[1]
    for word in map("".join, itertools.product("a会議ก😀", repeat=2)):
        assert await found(ann, word, first=50) == [body for body in reversed(bodies) if word in body], word
    assert await found(ann, "会議 議会", first=50) == [
        body for body in reversed(bodies) if "会議" in body and "議会" in body
    ]


@pytest.mark.plain_tables
async def test_messages_from_before_the_index_of_pairs_are_found(ann: UserClient, database_url: str) -> None:
    await ann.send_messages(await ann.create_room("den"), *BODIES)
    await asyncio.to_thread(command.downgrade, migrations.config(database_url), "0011")
    await migrations.upgrade(database_url)
    assert await found(ann, "会議") == ["明日は会議です"]


async def test_search_finds_messages_only_in_the_users_rooms(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    other_room_id, room_id = (
        await bob.create_room("hall"),
        await bob.create_room("den", visibility="PRIVATE", memberIds=[cleo.id]),
    )
    await bob.send_messages(other_room_id, "needle in the hall")
    await bob.send_messages(room_id, "needle in the den")
    assert await found(ann, "needle") == []
    assert await found(bob, "needle") == ["needle in the den", "needle in the hall"]
    assert await found(cleo, "needle") == ["needle in the den"]
    assert await found(cleo, "needle", filter={"roomIds": [other_room_id]}) == []
    await cleo.leave(room_id)
    assert await found(cleo, "needle") == []


async def test_edited_messages_are_found_by_their_new_body_and_deleted_ones_not_at_all(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    edited, deleted = await ann.send_messages(room_id, "haystack one", "haystack two")
    await ann.mutate(EDIT, messageId=edited["id"], body="a needle")
    await ann.mutate(DELETE, messageId=deleted["id"])
    assert await found(ann, "haystack") == await found(ann, "ha") == []
    assert await found(ann, "needle") == ["a needle"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("words", [["ow"], ["quick", "ow"], ["会議"], ["quick", "会議", "日本"]])
async def test_the_query_plan_reads_the_newest_messages_first_and_stops_at_a_page(
    words: list[str], app: RunningApp, ann: UserClient
) -> None:
    actor = Actor(uuid.uuid4(), uuid.uuid4(), is_admin=False, token_expires_at=now())
    async with app.roomcast.db.read() as session:
        connection = await session.connection()
        executed: list[tuple[str, Any]] = []

        def record_statement(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            executed.append((statement, parameters))

        sa.event.listen(connection.sync_connection, "before_cursor_execute", record_statement)
        await search_messages(session, actor, words, SearchFilter(), window())
        statement, parameters = executed[-1]
        steps = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = [step.detail for step in steps]
    assert plan[0].startswith("SCAN message_"), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_filters_and_pages(ann: UserClient, bob: UserClient) -> None:
    room_id, other_room_id = [await ann.create_room(name, memberIds=[bob.id]) for name in ("den", "hall")]
    await ann.send_messages(room_id, "needle 1", "needle 2")
    await ann.send_messages(other_room_id, "needle 3")
    [last] = await bob.send_messages(room_id, "needle 4")
    for filter_, bodies in (
        ({"roomIds": [other_room_id]}, ["needle 3"]),
        ({"authorIds": [bob.id]}, ["needle 4"]),
        ({"roomIds": [room_id], "authorIds": [ann.id]}, ["needle 2", "needle 1"]),
        ({"before": last["createdAt"]}, ["needle 3", "needle 2", "needle 1"]),
        ({"after": "2100-01-01T00:00:00Z"}, []),
        ({"roomIds": ["room_nonsense"]}, []),
        ({"roomIds": []}, []),
    ):
        assert await found(ann, "needle", filter=filter_) == bodies, filter_
    bodies, after = list[str](), None
    for _ in range(4):
        page = (await ann.execute(SEARCH, query="needle", first=1, after=after))["searchMessages"]
        bodies += [edge["node"]["body"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert bodies == ["needle 4", "needle 3", "needle 2", "needle 1"]
    assert page["pageInfo"]["hasNextPage"] is False


async def test_a_query_without_words_or_with_too_many_is_refused(ann: UserClient) -> None:
    for query in ("", "  ", "x" * 201, " ".join("abcdefghijk")):
        assert await ann.error_codes(SEARCH, query=query) == ["BAD_USER_INPUT"], query


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("one two three", "two", "one <mark>two</mark> three"),
        ("<b>two</b> & two", "two", "&lt;b&gt;<mark>two</mark>&lt;/b&gt; &amp; <mark>two</mark>"),
        ("abcd", "abc bcd", "<mark>abcd</mark>"),
        ("CAFÉ au  lait", '"cafe au lait"', "<mark>CAFÉ au  lait</mark>"),
        ("ﬁne", "fi", "<mark>ﬁ</mark>ne"),
        ("明日は会議です", "会議", "明日は<mark>会議</mark>です"),
        ("x" * 100 + " end", "end", "…" + "x" * 39 + " <mark>end</mark>"),
        ("two " + "x" * 200, "two", "<mark>two</mark> " + "x" * 156 + "…"),
        ("x" * 300, "x" * 170, "<mark>" + "x" * 160 + "</mark>…"),
        ("re\u0301sume\u0301!", "resume", "<mark>re\u0301sume\u0301</mark>!"),
        ("nai\u0308ve", "i", "na<mark>i\u0308</mark>ve"),
        ("Straße", "as", "Str<mark>aß</mark>e"),
    ],
)
def test_a_snippet_marks_the_matches_and_escapes_html(body: str, query: str, expected: str) -> None:
    assert snippet(body, parse_query(query)) == expected


async def test_a_snippet_is_computed_only_when_it_is_selected(ann: UserClient, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "needle " * 100)
    made: list[str] = []

    def recording_snippet(body: str, words: list[str]) -> str:
        made.append(body)
        return snippet(body, words)

    monkeypatch.setattr("roomcast.messages.search.snippet", recording_snippet)
    without = '{ searchMessages(query: "needle") { nodes { body } edges { node { id } } } }'
    assert len((await ann.execute(without))["searchMessages"]["nodes"]) == 1
    assert made == []
    [edge] = (await ann.execute(SEARCH, query="needle"))["searchMessages"]["edges"]
    assert edge["snippetHtml"].startswith("<mark>needle</mark> ")
    assert len(made) == 1


def test_repeated_words_are_searched_once() -> None:
    assert parse_query("Two two ｔｗｏ three") == ["two", "three"]


async def test_the_limits_count_characters_after_ligatures_are_expanded(ann: UserClient) -> None:
    assert await ann.error_codes(SEARCH, query="ﷺ" * 12) == ["BAD_USER_INPUT"]  # Each folds to eighteen letters.
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "ﷺ" * 4_000)
    async with ann.app.roomcast.db.read() as session:
        [[size]] = await fetch(session, sa.select(sa.func.max(sa.func.length(table(MessageText).c.text))))
    assert size <= MAX_TEXT


async def test_a_filter_has_up_to_100_rooms_and_authors(ann: UserClient) -> None:
    for name in ("roomIds", "authorIds"):
        assert await ann.error_codes(SEARCH, query="needle", filter={name: ["room_x"] * 101}) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("body", ["ﷺ" * 4_000, "a " * 2_000, "é" * 4_000, "x" * 3_990 + " needle"])
def test_a_snippet_of_any_message_takes_a_few_milliseconds(body: str) -> None:
    words = parse_query("a e i o u x needle صلى لله")
    snippet(body, words)
    durations = []
    for _ in range(3):
        before = time.thread_time()
        snippet(body, words)
        durations.append(time.thread_time() - before)
    assert min(durations) < 0.02
