"""bodyHtml: Markdown is rendered, and nothing in it can run a script, load a resource or imitate the page."""

import asyncio
import threading
import time
import uuid
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomcast.core.offload import offload
from roomcast.messages.markdown import ATTRIBUTES, REL, TAGS, markdown_parser, plain_texts, render_html
from roomcast.messages.policy import MAX_BODY
from tests.api_clients import UserClient
from tests.messages.corpus import XSS
from tests.messages.documents import EDIT


class AllowListParser(HTMLParser):
    """Parses HTML as a browser would and fails on anything that is not allowed."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set()), (tag, name)
            if name == "href":
                assert (value or "").lower().startswith(("http://", "https://", "mailto:")), value
                assert dict(attrs)["rel"] == REL

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def assert_allowed_html(body: str) -> None:
    reader = AllowListParser(convert_charrefs=True)
    reader.feed(render_html(body))
    reader.close()


@pytest.mark.parametrize("body", XSS)
def test_no_payload_of_the_corpus_survives_sanitizing(body: str) -> None:
    assert_allowed_html(body)
    for wrapper in ("**{}**", "> - {}", "[{}](https://x.test)", "# {}", "{}\n\n{}"):
        assert_allowed_html(wrapper.replace("{}", body))


FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from([*XSS, *"<>[]()!`*_~#\"'&\\:/ \n\t@", "javascript:", "https://x", "on=", "\n\n"]), st.text()
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(FRAGMENTS)
def test_any_body_renders_to_allowed_html_only(fragments: list[str]) -> None:
    assert_allowed_html("".join(fragments))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("**b** *i* ~~s~~ `c<1`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c&lt;1</code></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("```python\nx\n```", '<pre><code class="language-python">x\n</code></pre>'),
        ("<b>bold</b>", "<p>&lt;b&gt;bold&lt;/b&gt;</p>"),
        ("[a](https://a.test)", f'<p><a href="https://a.test" rel="{REL}">a</a></p>'),
        ("<me@a.test>", f'<p><a href="mailto:me@a.test" rel="{REL}">me@a.test</a></p>'),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>'),
        ("| a |\n|---|\n| b |", "<p>| a |<br>\n|---|<br>\n| b |</p>"),
    ],
)
def test_markdown_renders_to_html(body: str, expected: str) -> None:
    assert render_html(body).strip() == expected


async def test_the_html_of_a_message_changes_with_its_body(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "*one*")
    seen = "query Seen($id: ID!) { message(id: $id) { bodyHtml } }"
    assert (await ann.execute(seen, id=message["id"]))["message"]["bodyHtml"].strip() == "<p><em>one</em></p>"
    await ann.mutate(EDIT, messageId=message["id"], body="*two* " * 100)
    assert (await ann.execute(seen, id=message["id"]))["message"]["bodyHtml"].startswith("<p><em>two</em>")


QUADRATIC = ["[\né\n>*\n", "-é\n>*\n", "`\n*[\n>*\n", "(&#\n*[\n>*\n"]
"""Quotes and lists that interrupt each other: with these, parsing one line looks at all lines before it."""


@pytest.mark.parametrize("unit", QUADRATIC)
def test_a_body_that_takes_too_long_to_parse_is_rendered_as_text(unit: str) -> None:
    body = (unit * 2_000)[:MAX_BODY]
    before = time.thread_time()
    expected = render_html.__wrapped__(body)
    assert time.thread_time() - before < 0.2  # 0.7 seconds without the limit, on an idle machine.
    assert expected == f"<p>{escape(body, quote=False)}</p>".replace("\n", "<br>")
    assert list(plain_texts(body)) == [body]


@pytest.mark.parametrize(
    "unit", ["a\n", "- a\n", "> a\n", "# a\n", "1. a\n   - b\n", "```\na\n```\n", "[a](http://b) "]
)
def test_long_bodies_of_ordinary_markdown_are_parsed(unit: str) -> None:
    body = (unit * 2_000)[:MAX_BODY]
    markdown_parser().parse(body)  # Raises TooComplex if it is.


async def test_one_user_has_one_long_body_rendered_at_a_time() -> None:
    """Jobs of other users are not queued behind many jobs of one user."""
    order: list[str] = []

    def work(name: str) -> None:
        time.sleep(0.005)
        order.append(name)

    many = [asyncio.create_task(offload("mallory", work, "mallory")) for _ in range(50)]
    await asyncio.sleep(0)
    await offload("ann", work, "ann")
    await asyncio.gather(*many)
    assert order.index("ann") <= 2


async def test_mentions_in_a_long_body_are_parsed_in_a_worker_thread(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await ann.create_room("den")
    threads: set[str] = set()

    def recording_plain_texts(body: str) -> list[str]:
        threads.add(threading.current_thread().name)
        return list(plain_texts(body))

    monkeypatch.setattr("roomcast.messages.mentions.plain_texts", recording_plain_texts)
    first, second = [f"@ann {uuid.uuid4()} " + "x" * 3_000 for _ in range(2)]  # Not in the cache.
    [message] = await ann.send_messages(room, first)
    edit = "mutation ($input: EditMessageInput!) { editMessage(input: $input) { errors { code } } }"
    assert (await ann.mutate(edit, messageId=message["id"], body=second))["errors"] == []
    assert {name.partition("_")[0] for name in threads} == {"offload"}
