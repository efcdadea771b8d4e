"""What the documents say: their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
TUTORIALS = tuple(sorted((ROOT / "docs" / "tutorial").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# A comment begins with a # that is the first character or has two spaces before it.
_COMMENT = re.compile(r"(^|\s{2,})#.*$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language and its text."""

    language: str
    text: str

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of a block of shell, one a line, without comments."""
        lines = _COMMENT.sub("", self.text).replace("\\\n", " ").splitlines()
        return tuple(" ".join(line.split()) for line in lines if line.strip())


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def commands_of(page: Path) -> Iterator[str]:
    """Yield the commands in the shell blocks of a page."""
    for block in blocks_of(page):
        if block.language == "sh":
            yield from block.commands


def documented_command(start: str, page: Path = README) -> str:
    """Return the one command of a page that begins with ``start``."""
    [command] = [each for each in commands_of(page) if each.startswith(start)]
    return command


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
