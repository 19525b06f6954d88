"""Markdown as messages have it: CommonMark, read by one library and made safe by another, so that neither must be right
alone. HTML is rendered from a body whenever it is asked for and kept nowhere but in a small memory."""

import re
from collections.abc import Callable, Hashable, Iterator
from functools import cache, lru_cache, wraps
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock

from roomcast.core.offload import offload

REMEMBERED = 2_000
"""Bodies whose HTML is at hand, of at most a few thousand characters each."""

MAX_INLINE_LENGTH = 300
"""Characters that are rendered within two milliseconds, whatever they are."""

MAX_STEPS = 40_000
"""Calls of block rules for one body. 2,000 lines of plain text take 25,000. Quotes and lists that interrupt each other
take a number that grows with the square of the lines: 4,000 characters of them took 0.7 s."""

MAX_HTML = 64 * 1024
"""Characters of one body's HTML. The largest that was found has 30,000."""

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


class TooComplex(Exception):
    """Parsing this text as Markdown would take too long."""


BlockRule = Callable[[StateBlock, int, int, bool], bool]


def _counted(rule: BlockRule) -> BlockRule:
    """The same rule. Raises TooComplex after `MAX_STEPS` calls of any rules for one text."""

    @wraps(rule)
    def counting(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        steps = state.env["steps"] = state.env.get("steps", 0) + 1
        if steps > MAX_STEPS:
            raise TooComplex
        return rule(state, start, end, silent)

    return counting


@cache
def markdown_parser() -> MarkdownIt:
    """CommonMark with struck words, where a line ends as it was written. HTML is text, and images are links: showing
    one would tell a stranger's server who reads what, and when."""
    options = {"html": False, "xhtmlOut": False, "breaks": True}
    found = MarkdownIt("commonmark", options).enable("strikethrough").disable("image")
    for rule in found.block.ruler.__rules__:  # `at` would need each one's alternatives, and has no way to read them
        rule.fn = _counted(rule.fn)
    return found


def plain_texts(body: str) -> Iterator[str]:
    """The texts of a body without its code and addresses. All of a body that is too complex."""
    try:
        blocks = markdown_parser().parse(body)
    except TooComplex:
        yield body
        return
    for block in blocks:
        for token in block.children or ():
            if token.type == "text":
                yield token.content


def escape_markdown(text: str) -> str:
    """Markdown that says just this text, within a line."""
    return _SPEAKS.sub(r"\\\g<0>", text)


async def render_html_async(body: str, owner: Hashable) -> str:
    """As `html`; a long body beside the event loop, one at a time for each owner."""
    return render_html(body) if len(body) <= MAX_INLINE_LENGTH else await offload(owner, render_html, body)


@lru_cache(maxsize=REMEMBERED)
def render_html(body: str) -> str:
    """The body as HTML of `TAGS` and `ATTRIBUTES` alone; its links are absolute and of `SCHEMES`. A body that is too
    complex is shown as the text that it is."""
    try:
        shown = markdown_parser().render(body)
    except TooComplex:
        return _as_text(body)
    return _clean(shown) if len(shown) <= MAX_HTML else _as_text(body)


def _as_text(body: str) -> str:
    return "<p>" + escape(body, quote=False).replace("\n", "<br>") + "</p>"


def _clean(shown: str) -> str:
    return nh3.clean(
        shown,
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=_value,
        url_schemes=set(SCHEMES),
        link_rel=REL,
    )


def _value(_tag: str, name: str, value: str) -> str | None:
    allowed = _VALUES.get(name)
    return value if allowed and allowed.fullmatch(value) else None
