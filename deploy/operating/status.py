"""A site's knowledge of itself and the federation as plain data, for ``srflm status --json``."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from pydantic import Field

from clients.files.rotation import newest_lines
from deploy.identity.checks import HOW_TO_RENEW, WARNING_DAYS, expires_within
from deploy.membership.roster import describe_roster
from deploy.operating.problems import Problem, last_problem
from deploy.operating.running import read_notes
from deploy.page.starting import PROGRAM, address_of
from deploy.processes.config import Strict
from deploy.processes.supervisor import ProcessTable
from deploy.serving.own_superlink import peers_at
from deploy.site.diagnosis import Diagnosis, last_diagnosis
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.loading import with_changes
from srflm_flower.results.summary import summarise
from srflm_flower.site.evidence.contradictions import contradictions
from srflm_flower.site.evidence.signed_votes import evidence
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.recovering import recovering_from
from strategies.errors import IdentityError
from strategies.phases import PHASE_OF, phase_in_full
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.quorum import owner
from strategies.protocol.records import Absence, VendorPrivacy

if TYPE_CHECKING:
    from deploy.operating.own_spending import OwnSpending

TAIL_BYTES = 65_536


class PeerStatus(Strict):
    """Another member as this site sees it.

    ``node`` is ``online`` if its SuperNode is connected to this site's SuperLink, ``reachable`` if
    its edge answers, ``silent`` if not, and ``unknown`` while this site is down.  ``heard`` is the
    seconds since the last message of its server, None if there was
    none.
    """

    node: str
    heard: float | None = None


class Expiry(Strict):
    """A certificate of the site that expires soon, or has expired."""

    certificate: str
    until: datetime
    how_to_renew: str


class SiteStatus(Strict):
    """One site: its programs, its view of the term, its peers, and its last problem."""

    vendor: str
    federation: str
    edition: int = 1
    roster: str
    up: bool
    programs: dict[str, bool] = Field(default_factory=dict)
    restarts: dict[str, int] = Field(default_factory=dict)
    rounds: int
    rounds_ordered: int | None = None
    running: bool
    term: int
    attempt: int | None = None
    server_now: str | None = None
    server_next: str
    phase: str | None = None
    peers: dict[str, PeerStatus] = Field(default_factory=dict)
    last_problem: str | None = None
    """The latest problem and how long ago it was, unless a term was committed since."""
    past_problem: str | None = None
    """The latest problem, if a term was committed since."""
    page: str | None = None
    """Address of the page, which asks for its token; None while no page is served."""
    what_happened: str
    privacy: VendorPrivacy | None = None
    """The privacy that this vendor reports, as of the last committed term: by the agreed plan."""
    epsilon_at_home: float | None = None
    """The largest ε of a data set in the site's own privacy ledger, if one was used for training.

    Data that were given up do not count."""
    privacy_ledger: Path | None = None
    """The ledger of the data's owner, in a private federation."""
    expiring: tuple[Expiry, ...] = ()
    """The site's certificates that expire within 60 days, the first one first."""
    silent: str | None = None
    """Why the site does not vote at the moment."""
    yielded: tuple[str, ...] = ()
    """The vendors that have yielded an attempt at the open term, and why."""
    contradictions: tuple[str, ...] = ()
    """Terms of which two records are committed, with the vendors that have signed both."""
    evidence: tuple[str, ...] = ()
    """Vendors of the deciding edition that have signed two votes which contradict each other."""
    examined: Diagnosis | None = None
    """What `srflm doctor` has found last, with its time."""


def site_status(site: SiteOnDisk) -> SiteStatus:
    """Return the status of a site; one that is down is read from its disk."""
    layout, ledger = Layout.of(site.settings), site.state.ledger
    notes, view = read_notes(layout), site.view()
    term, order = view.head_term + 1, ledger.order()
    running = ledger.open_order() is not None
    opened = running and view.attempt >= 0
    audit = tail(site.settings.state / "audit.jsonl")
    problem = _problem(layout, audit)
    rounds = order.rounds if order is not None else site.federation.run.rounds
    # A later order may end a run below the rounds that are done: they all count as planned.
    rounds = max(rounds, ledger.rounds())
    planned = with_changes(site.federation, run__rounds=max(1, rounds))
    own = _own_spending(site)
    summary = summarise(planned, ledger.records(), 0.0, {}, {}, ("", "") if running else None)
    return SiteStatus(
        vendor=site.vendor,
        federation=site.federation.hash,
        edition=site.federation.edition,
        roster=describe_roster(site),
        up=notes is not None,
        programs={name: psutil.pid_exists(pid) for name, pid in notes.programs.items()}
        if notes
        else {},
        restarts=notes.restarts if notes else {},
        rounds=ledger.rounds(),
        rounds_ordered=order.rounds if order is not None else None,
        running=running,
        term=term,
        attempt=view.attempt if opened else None,
        server_now=owner(view.attempt, view.ranking) if opened else None,
        server_next=view.ranking[0],
        phase=_phase(audit, term) if opened else None,
        peers=_peers(site, layout, audit, notes is not None),
        last_problem=problem.told(time.time()) if problem and not problem.past else None,
        past_problem=problem.told(time.time()) if problem and problem.past else None,
        what_happened=summary.what_happened.removesuffix("; stopped: ").split("; no final")[0],
        privacy=summary.vendors[site.vendor].privacy,
        epsilon_at_home=own.epsilon if own is not None else None,
        privacy_ledger=own.ledger if own is not None else None,
        page=_page(layout, notes),
        expiring=expiring(site.settings.identity, datetime.now(UTC)),
        silent=why_silent(ledger, term),
        yielded=tuple(_yielded(each, site.vendor) for each in ledger.yielded(term) if running),
        contradictions=tuple(str(each) for each in contradictions(ledger)),
        evidence=tuple(_charge(each) for each in evidence(ledger, view.federation)),
        examined=last_diagnosis(site.settings.state),
    )


def _page(layout: Layout, notes: ProcessTable | None) -> str | None:
    """Return the address of the page that a site serves, if it is up."""
    served = notes is not None and PROGRAM in notes.programs
    address = address_of(layout) if served else None
    # Without the token: a status is handed on, to a monitoring or in a ticket.
    return address.url if address is not None else None


def _yielded(lost: Absence, own: str) -> str:
    """Return who has yielded which attempt, and why: of another site, its code is all there is."""
    what = f"{lost.vendor}, attempt {lost.attempt}: {lost.code} ({phase_in_full(lost.phase)})"
    if lost.vendor != own:
        return what
    return (
        f"{what}; `srflm doctor` and state/site.log say why; this site tries again after the other"
        " vendors, or after `srflm down`, `srflm up`"
    )


def _charge(found: Evidence) -> str:
    """Return what evidence shows, and what follows from it."""
    if not found.is_of_votes:
        return f"{found}: its site has lost its state in that term, or it lies"
    return (
        f"{found}: its servers are not obeyed until the roster changes; ask there for a second or"
        " a restored copy of the site, and see docs/how-to/failures.md"
    )


def why_silent(ledger: TermLedger, term: int) -> str | None:
    """Return why the site does not vote in ``term``, or None if it does."""
    newer = ledger.newer_site()
    if newer is not None:
        return (
            f"another site of {newer.vendor} was started later (start {newer.start}): switch this"
            " one off; or, if the other one is gone for good, `srflm down`, `srflm up --restored`"
        )
    head = recovering_from(ledger)
    if head is not None:
        return f"it has signed a recovery from term {head}: `srflm roster recover --apply`"
    if ledger.is_forgetful():
        return (
            "it has lost votes, and waits for a quorum, itself not counted, to say how far they are"
        )
    if not ledger.is_sure():
        return "it was started, and waits for a quorum to say how far they are"
    if ledger.votes(term).forgetful:
        return "it has lost votes, and votes again after the terms in which it may have voted"
    return None


def _own_spending(site: SiteOnDisk) -> OwnSpending | None:
    """Return what the owner's ledger says, in a private federation."""
    if not site.federation.privacy.private:
        return None
    # Only here: the accounting takes seconds to import.
    from deploy.operating.own_spending import own_spending

    return own_spending(site)


def expiring(identity: Path, now: datetime) -> tuple[Expiry, ...]:
    """Return the certificates in a site's folder of keys that expire within 60 days."""
    found: dict[str, datetime] = {}
    # A certificate that cannot be read is no reason to show no status; srflm up refuses it.
    with suppress(IdentityError):
        found = expires_within(identity, WARNING_DAYS, now)
    return tuple(
        Expiry(certificate=name, until=until, how_to_renew=HOW_TO_RENEW[name])
        for name, until in sorted(found.items(), key=lambda each: each[1])
    )


def tail(path: Path) -> list[dict[str, Any]]:
    """Return the events in the last ``TAIL_BYTES`` of a log of JSON lines."""
    events = []
    for line in newest_lines(path, TAIL_BYTES):
        with suppress(ValueError):  # the first one is cut
            events.append(json.loads(line))
    return events


def _phase(audit: list[dict[str, Any]], term: int) -> str | None:
    types = [each["type"] for each in audit if each.get("term") == term]
    return next((PHASE_OF[each] for each in reversed(types) if each in PHASE_OF), None)


def _peers(
    site: SiteOnDisk, layout: Layout, audit: list[dict[str, Any]], up: bool
) -> dict[str, PeerStatus]:
    heard = {each.get("vendor"): time.time() - each["time"] for each in audit}
    peers = [peer for peer in site.federation.roster if peer != site.vendor]
    states = peers_at(layout, peers) if up else {}
    return {
        peer: PeerStatus(
            node=states.get(peer, "unknown"),
            heard=round(heard[peer], 1) if peer in heard else None,
        )
        for peer in peers
    }


def _problem(layout: Layout, audit: list[dict[str, Any]]) -> Problem | None:
    """Return the latest problem that the site's programs noted."""
    names = ("launcher", "supervisor", "refusals")
    return last_problem([e for name in names for e in tail(layout.logs / f"{name}.jsonl")], audit)
