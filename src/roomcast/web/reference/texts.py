"""Renders descriptions, and the tables of codes that are taken from the files in `docs/`, as HTML."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType

_HERE: Final = Path(__file__).parent


def document(name: str) -> str:
    """A file of `docs/`: inside an installed wheel, or at the top of a checkout."""
    packaged = _HERE / name
    path = packaged if packaged.is_file() else _HERE.parents[3] / "docs" / name
    return path.read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The part of a Markdown text below this heading, up to the next heading of its level or a higher one."""
    level = heading.partition(" ")[0]
    below = text.partition(f"\n{heading}\n")[2]
    return re.split(rf"\n#{{2,{len(level)}}} ", below)[0]


def codes(text: str) -> dict[str, str]:
    """The codes in the first columns of tables, and the ids of their rows. The first of two equal codes counts."""
    found: dict[str, str] = {}
    for part in text.split("\n## ")[1:]:
        heading = part.partition("\n")[0]
        for code in re.findall(r"^\| `([A-Z_]+)` \|", part, re.MULTILINE):
            found.setdefault(code, anchor(heading, code))
    return found


class Texts:
    """Renders Markdown. Code that names something on the page becomes a link: `ids` has the ids of these names."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

        def code(_renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, env: EnvType) -> str:
            return self._code(tokens[index].content, env.get("unlinked", ()))

        self._markdown.add_render_rule("code_inline", code)

    def html(self, text: str | None) -> str:
        return str(self._markdown.render(text)) if text else ""

    def coded(self, text: str) -> str:
        """A text whose tables have a code in the first column. Each row gets an id and is found by the search.

        Headings become h3. Links to other files lose their address: the server does not serve these files.
        """
        tokens = self._markdown.parse(text)
        heading, listed = "", set()
        _label_cells(tokens)
        for place, token in enumerate(tokens):
            if token.type in {"heading_open", "heading_close"}:
                token.tag = "h3"
            if token.type == "heading_open":
                heading = tokens[place + 1].content
                token.attrs = {"id": anchor(heading)}
            elif token.type == "tr_open" and tokens[place + 1].type == "td_open":
                code = tokens[place + 2].content.strip("`")
                listed.add(code)
                # "Payload codes" is the heading, "payload code" what the search says of one of them.
                kind = heading.lower().replace("codes", "code")
                token.attrs = {"id": anchor(heading, code), "data-name": code, "data-kind": kind}
            elif token.children:
                token.children = list(_without_local_links(token.children))
        return str(self._markdown.renderer.render(tokens, self._markdown.options, {"unlinked": listed}))

    def _code(self, content: str, unlinked: Container[str]) -> str:
        code = f"<code>{escape(content)}</code>"
        is_linked = content in self._ids and content not in unlinked
        return f'<a href="#{escape(self._ids[content])}">{code}</a>' if is_linked else code


def anchor(heading: str, name: str = "") -> str:
    """The id of a heading, or of a code in the table below it."""
    start = heading.lower().replace(" ", "-")
    return f"{start}.{name}" if name else start


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell the title of its column: a phone shows the cells of a row one below the other."""
    titles: list[str] = []
    column = 0
    for token, following in pairwise(tokens):
        if token.type == "thead_open":
            titles = []
        elif token.type == "th_open":
            titles.append(following.content)
        elif token.type == "tr_open":
            column = 0
        elif token.type == "td_open":
            token.attrs = {"data-title": titles[column]}
            column += 1


def _without_local_links(children: Sequence[Token]) -> Iterator[Token]:
    """The parts of a text. Of links that do not lead to another site, only their texts are left."""
    is_local = False
    for child in children:
        if child.type == "link_open":
            is_local = not str(child.attrs.get("href")).startswith("http")
        if not (is_local and child.type in {"link_open", "link_close"}):
            yield child
