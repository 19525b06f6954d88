"""Markdown in messages: CommonMark, parsed by markdown-it and sanitized by nh3, so that a fault in one of them does not
let HTML through. HTML is rendered from the body on demand and cached in memory; it is not stored."""

import re
from collections.abc import Callable, Hashable, Iterator
from functools import cache, lru_cache, wraps
from html import escape
from typing import TYPE_CHECKING

import nh3

from roomcast.core.offload import offload

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

CACHE_SIZE = 2_000
"""Rendered bodies that are kept, of at most a few thousand characters each."""

MAX_INLINE_LENGTH = 300
"""Bodies up to this many characters are processed on the event loop. Any of them renders within two milliseconds."""

MAX_STEPS = 40_000
"""Calls of block rules for one body. 2,000 lines of plain text take 25,000. For quotes and lists that interrupt each
other the number grows with the square of the lines: 4,000 characters of them took 0.7 s."""

MAX_HTML = 64 * 1024
"""Characters of one body's HTML. The largest HTML found so far has 30,000."""

TAGS = frozenset(
    ["a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"]
    + ["strong", "ul"]
)
ATTRIBUTES = {"a": {"href"}, "code": {"class"}, "ol": {"start"}}
SCHEMES = frozenset(["http", "https", "mailto"])
REL = "nofollow noopener noreferrer"

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~]")
"""Characters with a meaning within a line of Markdown."""

_BLOCK_START = re.compile(r"\A([0-9]*)([#+.)-])")
"""What begins a heading or a list at the start of a line."""

_ALLOWED_VALUES = {
    "href": re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE),
    "class": re.compile(r"language-[A-Za-z0-9_+#.-]{1,30}"),
    "start": re.compile(r"\d{1,9}"),
    "rel": re.compile(REL),
}


class TooComplex(Exception):
    """Parsing this text as Markdown would take too long."""


BlockRule = Callable[["StateBlock", int, int, bool], bool]


def _with_step_limit(rule: BlockRule) -> BlockRule:
    """The same rule with a limit: raises TooComplex after `MAX_STEPS` calls of any rules for one text."""

    @wraps(rule)
    def counted(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
        steps = state.env["steps"] = state.env.get("steps", 0) + 1
        if steps > MAX_STEPS:
            raise TooComplex
        return rule(state, start, end, silent)

    return counted


@cache
def markdown_parser() -> "MarkdownIt":
    """CommonMark with strikethrough and hard line breaks. HTML is shown as text. Images are shown as links: loading one
    would tell a third-party server who reads the message, and when."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 (slow, and not needed by the first request)

    options = {"html": False, "xhtmlOut": False, "breaks": True}
    parser = MarkdownIt("commonmark", options).enable("strikethrough").disable("image")
    # Private: the public `at` replaces a rule together with its `alt` chains, which cannot be read back.
    for rule in parser.block.ruler.__rules__:
        rule.fn = _with_step_limit(rule.fn)
    return parser


def plain_texts(body: str) -> Iterator[str]:
    """The texts of a body without its code and link addresses. The whole body when it is too complex to parse."""
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
    """Markdown that renders as exactly this text, at the start of a line and within it."""
    return _BLOCK_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", text))


async def render_html_async(body: str, owner: Hashable) -> str:
    """`render_html`, in a worker thread for a long body. Each owner has one thread job at a time."""
    return render_html(body) if len(body) <= MAX_INLINE_LENGTH else await offload(owner, render_html, body)


@lru_cache(maxsize=CACHE_SIZE)
def render_html(body: str) -> str:
    """The body as HTML that has only `TAGS` and `ATTRIBUTES`, and absolute links of `SCHEMES`. A body that is too
    complex is rendered as plain text."""
    try:
        rendered = markdown_parser().render(body)
    except TooComplex:
        return _as_text(body)
    if len(rendered) > MAX_HTML:
        return _as_text(body)
    return nh3.clean(
        rendered,
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=_allowed_value,
        url_schemes=set(SCHEMES),
        link_rel=REL,
    )


def _as_text(body: str) -> str:
    return "<p>" + escape(body, quote=False).replace("\n", "<br>") + "</p>"


def _allowed_value(_tag: str, name: str, value: str) -> str | None:
    allowed = _ALLOWED_VALUES.get(name)
    return value if allowed and allowed.fullmatch(value) else None
