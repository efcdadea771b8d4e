"""What has left the site in the open or the last term, and which messages it has refused.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.page.config import PageConfig
from deploy.page.snapshot import Event, Snapshot
from deploy.site.problems import problem_in, time_of
from srflm_flower.report.wording import meaning_of

MOST_SENT = 60
MOST_REFUSED = 20


@dataclass(frozen=True)
class Field:
    """A field of an answer: its name, what it holds, and what protects records behind it."""

    name: str
    what: str
    protection: str


@dataclass(frozen=True)
class Sent:
    """An answer of the site to ``to``: the ``kind`` of its message, its fields, and its bytes."""

    time: float
    to: str
    kind: str
    fields: tuple[Field, ...]
    bytes: int


@dataclass(frozen=True)
class Outgoing:
    """The answers that left the site in ``term``, the newest first; ``bytes`` is of all of them.

    ``as_server`` is what the site's server has sent in the last term that it served: its number,
    and the bytes; None if it never served.
    """

    term: int
    answers: tuple[Sent, ...]
    count: int
    bytes: int
    as_server: tuple[int, int] | None


@dataclass(frozen=True)
class Refused:
    """A message that the site has refused, or whose answer failed, with the code's meaning."""

    time: float
    by: str
    kind: str
    code: str
    meaning: str


def outgoing(config: PageConfig, seen: Snapshot) -> Outgoing:
    """Return what left the site in the newest term of which it has answered a message."""
    answered = [event for event in seen.audit if event.get("outcome") == "done"]
    terms = [event.get("term") for event in answered]
    newest = max((term for term in terms if isinstance(term, int)), default=seen.term)
    found = [_sent(config, event) for event in answered if event.get("term") == newest]
    served = next((t for t in reversed(seen.terms) if t.server == config.vendor), None)
    return Outgoing(
        newest,
        tuple(reversed(found[-MOST_SENT:])),
        len(found),
        sum(each.bytes for each in found),
        (served.term, served.sent) if served is not None else None,
    )


def refused(seen: Snapshot) -> tuple[Refused, ...]:
    """Return the refused messages, the newest first."""
    found = [*_by_the_site(seen.audit), *_by_the_supernodes(seen.refusals)]
    return tuple(sorted(found, key=lambda each: -each.time)[:MOST_REFUSED])


def _by_the_site(audit: tuple[Event, ...]) -> Iterator[Refused]:
    for event in audit:
        code = str(event.get("outcome", "done"))
        if code != "done":
            vendor, kind = str(event.get("vendor") or "unknown"), str(event.get("type", ""))
            yield Refused(time_of(event), vendor, kind, code, meaning_of(code))


def _by_the_supernodes(events: tuple[Event, ...]) -> Iterator[Refused]:
    for event in events:
        text = problem_in(event) or ""
        yield Refused(time_of(event), str(event.get("peer", "unknown")), "whole message", "", text)


def _sent(config: PageConfig, event: Event) -> Sent:
    names = event.get("fields")
    fields = tuple(
        Field(str(name), *config.fields.get(str(name), ("", "")))
        for name in (names if isinstance(names, list) else ())
    )
    size = event.get("sent")
    return Sent(
        time_of(event),
        str(event.get("vendor") or "unknown"),
        str(event.get("type", "")),
        fields,
        size if isinstance(size, int) else 0,
    )
