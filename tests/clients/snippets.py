"""The snippets of docs/clients.md as files that Node and the shell can run."""

import re
from pathlib import Path

from tests.clients.node import FOLDER

PAGE = FOLDER.parents[1] / "docs" / "clients.md"
SNIPPET = re.compile(r"^```\w+(?:\n(?://|#))? ([\w.-]+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def snippets() -> dict[str, str]:
    """By file name, which a comment at the beginning of each fenced block tells, or the line above it for JSON."""
    text = PAGE.read_text()
    found = dict(SNIPPET.findall(text))
    assert len(found) == len(re.findall("^```", text, re.MULTILINE)) // 2, "a snippet has no name"
    return found


def write_snippets(folder: Path) -> Path:
    """Write the snippets into the folder, from where they find the installed packages."""
    for name, text in snippets().items():
        (folder / name).write_text(text)
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    return folder
