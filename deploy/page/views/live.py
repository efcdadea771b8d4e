"""The open term: who serves, its phase, and how much time is probably left.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from deploy.page.config import PageConfig
from deploy.page.history import Term
from deploy.page.snapshot import Event, Snapshot
from deploy.site.problems import time_of
from strategies.election import ranking_after
from strategies.protocol.quorum import owner

Standing = Literal["done", "now", "to come"]
RECENT = 5
"""The expected seconds of a phase are the median over so many terms."""


@dataclass(frozen=True)
class Step:
    """A phase of the open term; ``expected`` is in seconds, None where no term tells it."""

    name: str
    title: str
    standing: Standing
    expected: float | None


@dataclass(frozen=True)
class Live:
    """The site now.

    ``server`` serves the open term, or is elected for it if it is not ``opened`` yet.  ``since`` is
    when the phase began, ``expected`` its probable seconds, ``left`` those until the term is over.
    ``trains`` says that this site computes itself; ``answered`` are the vendors whose answers have
    come in the phase, where this site serves.
    """

    up: bool
    running: bool
    opened: bool
    term: int
    round: int
    rounds: int
    attempt: int
    server: str
    elected: str
    own: bool
    trains: bool
    steps: tuple[Step, ...]
    since: float | None
    expected: float | None
    left: float | None
    answered: tuple[str, ...]
    vendors: int

    @property
    def phase(self) -> Step | None:
        """The phase that goes on now."""
        return next((step for step in self.steps if step.standing == "now"), None)

    @property
    def stands_in(self) -> bool:
        """Whether another vendor serves than the elected one."""
        return self.opened and self.server != self.elected


def live(config: PageConfig, seen: Snapshot) -> Live:
    """Return what goes on at the site now."""
    roster = _roster(config, seen)
    ranking = ranking_after(seen.last, config.first_ranking, roster)
    opened = seen.running and seen.attempt >= 0
    server = owner(seen.attempt, ranking) if opened else ranking[0]
    names, usual = tuple(config.in_full), usual_seconds(seen.terms)
    phase, since = _phase(config, seen) if opened else (None, None)
    at = names.index(phase) if phase in names else -1
    # A federation without secure aggregation has no such phase.
    shown = [n for n in names if n in usual or n == phase or (not usual and n != "aggregate")]
    steps = tuple(
        Step(name, config.in_full[name], _standing(names.index(name), at), usual.get(name))
        for name in shown
    )
    expected = usual.get(phase) if phase is not None else None
    left = None
    if expected is not None and since is not None:
        rest = sum(step.expected or 0.0 for step in steps if step.standing == "to come")
        left = rest + max(0.0, since + expected - seen.now)
    own = opened and server == config.vendor
    return Live(
        up=seen.up,
        running=seen.running,
        opened=opened,
        term=seen.term,
        round=seen.round,
        rounds=seen.rounds_ordered if seen.rounds_ordered is not None else config.rounds,
        attempt=seen.attempt,
        server=server,
        elected=ranking[0],
        own=own,
        trains=opened and seen.training_since is not None,
        steps=steps,
        since=since,
        expected=expected,
        left=left,
        answered=_answered(seen.events, seen.term, phase) if own and phase is not None else (),
        vendors=len(roster),
    )


def _roster(config: PageConfig, seen: Snapshot) -> tuple[str, ...]:
    return (seen.edition or config.first).roster


def usual_seconds(terms: Sequence[Term]) -> dict[str, float]:
    """Return phase → the median of its seconds over the last terms that had it."""
    found: dict[str, list[float]] = {}
    for term in terms[-RECENT:]:
        for phase, seconds in term.seconds.items():
            found.setdefault(phase, []).append(seconds)
    return {phase: median(seconds) for phase, seconds in found.items()}


def _standing(position: int, now: int) -> Standing:
    return "now" if position == now else "done" if position < now else "to come"


def _phase(config: PageConfig, seen: Snapshot) -> tuple[str | None, float | None]:
    """Return the phase of the open term, and since when, as far as this site knows.

    The message log has what the site has answered; while it trains, its lock tells.
    """
    if seen.training_since is not None:
        ranking = ranking_after(seen.last, config.first_ranking, _roster(config, seen))
        serves = owner(seen.attempt, ranking) == config.vendor
        return ("finetune" if serves else "train"), seen.training_since
    phase, since = None, None
    for event in seen.audit:
        found = config.phases.get(str(event.get("type")))
        of_now = event.get("term") == seen.term and event.get("attempt") == seen.attempt
        if not of_now or not found or event.get("outcome") != "done":
            continue
        if found != phase:
            phase, since = found, time_of(event)
    return phase, since


def _answered(events: Sequence[Event], term: int, phase: str) -> tuple[str, ...]:
    """Return the vendors whose answer in the phase has come, by this site's own log as server."""
    start = max(
        (
            position
            for position, event in enumerate(events)
            if event.get("event") == "term-opened" and event.get("term") == term
        ),
        default=len(events),
    )
    told = (
        str(event.get("vendor"))
        for event in events[start:]
        if event.get("event") == "reply" and event.get("phase") == phase
    )
    return tuple(dict.fromkeys(told))
