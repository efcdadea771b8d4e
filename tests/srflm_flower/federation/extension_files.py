"""The extension of the documents, and others by hand."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

from deploy.cli.parts.entry_tables import entry_tables
from strategies.extensions import installed, installed_digest
from tests.support.documents import ROOT, blocks_of

PAGE = ROOT / "docs" / "how-to" / "extend.md"
NAME = "example-extension"


def shown(language: str, word: str) -> str:
    """Return the block of the page in a language that has this word."""
    return next(b.text for b in blocks_of(PAGE) if b.language == language and word in b.text)


def by_hand(place: Path, code: str | None, entries: str, name: str = "strange") -> dict[str, str]:
    """Install a distribution with one module; return the pins of its entry point ``it``."""
    info = place / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    names = [f"{info.name}/METADATA", f"{info.name}/entry_points.txt"]
    if code is not None:
        (place / f"{name}.py").write_text(code)
        names.append(f"{name}.py")
    (info / "RECORD").write_text("".join(f"{each},,\n" for each in names))
    importlib.invalidate_caches()
    digest = installed_digest(installed(name))
    return {"name": "it", "distribution": name, "version": "1.0", "sha256": digest}


def tables(name: str) -> dict[str, Any]:
    """Return the pins for one table."""
    return dict(tomllib.loads(entry_tables(NAME))[name]["entry"])
