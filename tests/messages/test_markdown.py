"""bodyHtml: what Markdown means, and nothing that could run, load or pass for ours."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomcast.messages.markdown import ATTRIBUTES, REL, TAGS, html
from tests.messages.corpus import XSS
from tests.messages.words import EDIT
from tests.people import Person


class Judge(HTMLParser):
    """Reads HTML as a browser would and refuses what is not on the list."""

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


def judge(body: str) -> None:
    reader = Judge(convert_charrefs=True)
    reader.feed(html(body))
    reader.close()


@pytest.mark.parametrize("body", XSS)
def test_nothing_of_the_corpus_gets_through(body: str) -> None:
    judge(body)
    for shell in ("**{}**", "> - {}", "[{}](https://x.test)", "# {}", "{}\n\n{}"):
        judge(shell.replace("{}", body))


PIECES = st.lists(
    st.one_of(
        st.sampled_from([*XSS, *"<>[]()!`*_~#\"'&\\:/ \n\t@", "javascript:", "https://x", "on=", "\n\n"]), st.text()
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(PIECES)
def test_whatever_is_written_stays_within_the_list(pieces: list[str]) -> None:
    judge("".join(pieces))


@pytest.mark.parametrize(
    ("body", "shown"),
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
def test_markdown_means_what_it_says(body: str, shown: str) -> None:
    assert html(body).strip() == shown


async def test_the_html_of_a_message_follows_its_body(ann: Person) -> None:
    den = await ann.create_room("den")
    [message] = await ann.say(den, "*one*")
    seen = "query Seen($id: ID!) { message(id: $id) { bodyHtml } }"
    assert (await ann.ask(seen, id=message["id"]))["message"]["bodyHtml"].strip() == "<p><em>one</em></p>"
    await ann.do(EDIT, messageId=message["id"], body="*two* " * 100)
    assert (await ann.ask(seen, id=message["id"]))["message"]["bodyHtml"].startswith("<p><em>two</em>")
