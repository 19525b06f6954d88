"""Markdown as messages have it: CommonMark, read by a library, so that code is told from words as it is shown."""

from collections.abc import Iterator
from functools import cache

from markdown_it import MarkdownIt


@cache
def reader() -> MarkdownIt:
    """CommonMark without tables."""
    return MarkdownIt("commonmark", {"xhtmlOut": False})


def words(body: str) -> Iterator[str]:
    """The texts of a body without its code, addresses and HTML."""
    for block in reader().parse(body):
        for token in block.children or ():
            if token.type == "text":
                yield token.content
