"""Protocol transcripts: commands, and below each the events that follow at real sites.

A transcript is a text file of blocks with empty lines between them.  A block is a command, a line
``----``, and the events.  Lines that begin with ``#`` explain.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from tests.support.scripted_servers import ScriptedFederation
from tests.support.transcript.commands import Script

RULE = "----"


@dataclass(frozen=True)
class Block:
    """A part of a transcript: comments, and a command with its events if there is one."""

    comments: tuple[str, ...]
    command: str = ""
    events: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the block as it is written in the file."""
        rest = (self.command, RULE, *self.events) if self.command else ()
        return "\n".join((*self.comments, *rest)) + "\n"


def parse(text: str) -> list[Block]:
    """Return the blocks of a transcript; raises ValueError for what is neither."""
    return [_block(part) for part in re.split(r"\n\s*\n", text.strip())]


def _block(part: str) -> Block:
    lines = part.splitlines()
    comments = tuple(line for line in lines if line.startswith("#"))
    rest = lines[len(comments) :]
    if lines[: len(comments)] != list(comments) or (rest and rest[1:2] != [RULE]):
        raise ValueError(f"found:\n{part}\nexpected: comments, then one command, then {RULE}")
    return Block(comments, rest[0], tuple(rest[2:])) if rest else Block(comments)


def play(text: str, sites: ScriptedFederation) -> str:
    """Return the transcript with the events that its commands have today."""
    blocks = []
    with Script(sites).playing() as script:
        for block in parse(text):
            events = tuple(script.run(block.command)) if block.command else ()
            blocks.append(Block(block.comments, block.command, events))
    return "\n".join(block.text() for block in blocks)


def difference(expected: str, happened: str) -> str:
    """Return a readable diff; empty where nothing differs."""
    lines = expected.splitlines(), happened.splitlines()
    return "\n".join(difflib.unified_diff(*lines, "expected", "happened", n=5, lineterm=""))
