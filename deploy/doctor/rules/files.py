"""Judge the site's files: who owns them, who can read them, what an earlier start has left."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.facts import FileFacts, RunningFacts
from deploy.doctor.lines import error, ok, warning
from deploy.site.diagnosis import Line

ROOT = 0


def file_lines(facts: FileFacts) -> Iterator[Line]:
    """Yield the lines about owners, permissions, and folders."""
    yield _owner(facts)
    yield _permissions(facts)
    if facts.unwritable:
        yield error("site.folders", f"{_and(facts.unwritable)} cannot be written")
    else:
        yield ok("site.folders", "state, run and logs can be written")


def _owner(facts: FileFacts) -> Line:
    if facts.owners == {facts.user}:
        return ok("site.owner", "the user who runs this command owns the site")
    numbers = ", ".join(map(str, sorted(facts.owners)))
    found = f"the site's files belong to user {numbers}, and user {facts.user} runs this command"
    # Root can run it all, and then leaves files that the site's own user cannot read.
    return warning("site.owner", found) if facts.user == ROOT else error("site.owner", found)


def _permissions(facts: FileFacts) -> Line:
    if facts.open_keys:
        found = f"other users of this machine can read {_and(facts.open_keys)}"
        return error("site.permissions", found)
    if facts.open_folders:
        found = f"other users of this machine can look into {_and(facts.open_folders)}"
        return warning("site.permissions", found)
    return ok("site.permissions", "keys and folders are for the site's user alone")


def running_lines(facts: RunningFacts) -> Iterator[Line]:
    """Yield the lines about what runs, and about what was left."""
    if facts.up and facts.ended:
        yield warning("site.running", f"up, but {_and(facts.ended)} does not run")
    else:
        yield ok("site.running", "up" if facts.up else "down")
    left = [f"{facts.strays} programs without a supervisor"] * bool(facts.strays)
    left += ["the notes of a supervisor that was killed"] * facts.notes_left
    left += ["what a broken restore has left, with private keys"] * bool(facts.restores)
    if left:
        yield warning("site.leftovers", _and(left), at_home=", ".join(facts.restores))
    else:
        yield ok("site.leftovers", "nothing of an earlier start is left")


def _and(names: tuple[str, ...] | list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
