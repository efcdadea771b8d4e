"""Judge this site's own data.  A wrong path is this site's mistake, and reads as nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.facts import DataFacts
from deploy.doctor.lines import error, of_error, ok, warning
from deploy.doctor.rules.machine import size
from deploy.site.diagnosis import Line

MADE_UP = "phantom"


def data_lines(facts: DataFacts) -> Iterator[Line]:
    """Yield the lines about the data."""
    if facts.source == MADE_UP:
        yield ok("data.path", "none is needed: the federation uses made-up images")
        return
    place = _place(facts)
    yield place
    if place.severity != "ok":
        return
    if facts.problem is not None:
        yield of_error("data.read", facts.problem, "this site's data cannot be trained on")
        return
    if not facts.was_read:
        found = f"{size(facts.size)}, not read in a quick examination; `srflm doctor` reads them"
        yield ok("data.read", found)
        return
    counts = ", ".join(f"{count} {split}" for split, count in facts.counts.items())
    yield ok("data.read", counts)
    yield from _cases(facts)
    yield from _labels(facts)


def _place(facts: DataFacts) -> Line:
    if not facts.named_in:
        return error("data.path", "site.toml names no data", mend='add data = "…" to site.toml')
    path = f"the path is {facts.path}"
    which = f"`data` in {facts.named_in}" if facts.named_in == "site.toml" else facts.named_in
    mend = "" if facts.named_in == "site.toml" else 'name this site\'s own: data = "…" in site.toml'
    if not facts.present:
        found = f"{which} names what does not exist at this site"
        return error("data.path", found, mend=mend, at_home=path)
    if not facts.readable:
        found = f"{which} names what this user cannot read"
        return error("data.path", found, mend="correct its owner or rights", at_home=path)
    return ok("data.path", f"{which} leads to data", at_home=path)


def _cases(facts: DataFacts) -> Iterator[Line]:
    if not facts.findings:
        return
    counts = ", ".join(f"{severity}s: {count}" for severity, count in facts.findings.items())
    if facts.findings.get("error"):
        yield error("data.cases", counts)
    elif facts.findings.get("warning"):
        yield warning("data.cases", counts)
    else:
        yield ok("data.cases", counts)


def _labels(facts: DataFacts) -> Iterator[Line]:
    missing = [name for name, count in facts.classes.items() if count == 0]
    counts = ", ".join(f"{name} {count}" for name, count in facts.classes.items())
    if missing:
        found = f"no training image has {', '.join(missing)} ({counts})"
        yield warning("data.labels", found)
    elif facts.classes:
        yield ok("data.labels", f"training images by class: {counts}")
