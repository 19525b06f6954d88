"""Markdown as messages have it: CommonMark, read by one library and made safe by another, so that neither must be right
alone. HTML is rendered from a body whenever it is asked for and kept nowhere but in a small memory."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache, lru_cache

import nh3
from markdown_it import MarkdownIt

REMEMBERED = 2_000
"""Bodies whose HTML is at hand, of at most a few thousand characters each."""

SHORT = 500
"""Characters that are rendered in no time, whatever they are."""

TAGS = frozenset(
    ["a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"]
    + ["strong", "ul"]
)
ATTRIBUTES = {"a": {"href"}, "code": {"class"}, "ol": {"start"}}
SCHEMES = frozenset(["http", "https", "mailto"])
REL = "nofollow noopener noreferrer"

_SPEAKS = re.compile(r"[\\`*_\[\]<>&~]")
"""What means more than itself within a line."""

_VALUES = {
    "href": re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE),
    "class": re.compile(r"language-[A-Za-z0-9_+#.-]{1,30}"),
    "start": re.compile(r"\d{1,9}"),
    "rel": re.compile(REL),
}


@cache
def reader() -> MarkdownIt:
    """CommonMark with struck words, where a line ends as it was written. HTML is text, and images are links: showing
    one would tell a stranger's server who reads what, and when."""
    options = {"html": False, "xhtmlOut": False, "breaks": True}
    return MarkdownIt("commonmark", options).enable("strikethrough").disable("image")


def words(body: str) -> Iterator[str]:
    """The texts of a body without its code and addresses."""
    for block in reader().parse(body):
        for token in block.children or ():
            if token.type == "text":
                yield token.content


def literal(text: str) -> str:
    """Markdown that says just this text, within a line."""
    return _SPEAKS.sub(r"\\\g<0>", text)


async def rendered(body: str) -> str:
    """As `html`. A long body can be written so that it takes long; nobody else waits for it."""
    return html(body) if len(body) <= SHORT else await asyncio.to_thread(html, body)


@lru_cache(maxsize=REMEMBERED)
def html(body: str) -> str:
    """The body as HTML of `TAGS` and `ATTRIBUTES` alone; its links are absolute and of `SCHEMES`."""
    return nh3.clean(
        reader().render(body),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=_value,
        url_schemes=set(SCHEMES),
        link_rel=REL,
    )


def _value(_tag: str, name: str, value: str) -> str | None:
    allowed = _VALUES.get(name)
    return value if allowed and allowed.fullmatch(value) else None
