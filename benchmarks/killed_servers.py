"""Real images on real sites whose server dies twice: is every term committed, once, everywhere?

Four sites on this machine run ``examples/pbc/dirichlet-0.5.toml`` for 8 terms.  Twice every process
of the serving site is killed; it is brought back some seconds later.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos_faults import bring_back, kill_site, serving_now
from benchmarks.measuring.data import missing_data
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main
from deploy.operating.local_consortium import bring_up_all, make_or_open
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down
from deploy.site.deployed_site import DeployedSite
from deploy.site.verification import verify_site
from srflm_flower.federation.loading import load_federation, with_changes
from strategies.protocol.records import TermRecord

EXAMPLE = Path(__file__).parents[1] / "examples" / "pbc" / "dirichlet-0.5.toml"
KILLED_AFTER = (2, 5)  # terms after which the next server is killed
INTO_THE_TERM_SECONDS = 1.5
AWAY_SECONDS = 15.0  # long enough for another vendor to take over
LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class KilledServers:
    """The terms of the run; ``equal`` is true if all ledgers are verified and the same."""

    seconds: float
    killed: tuple[tuple[str, int], ...]
    records: tuple[TermRecord, ...]
    wanted: int
    equal: bool
    metric: str
    missing: str = ""

    def as_markdown(self) -> str:
        """Return the terms with absent vendors and the metric of the personalised models."""
        if self.missing:
            return f"Left out: {self.missing}\n"
        done = self.equal and len(self.records) == self.wanted
        killed = ", ".join(f"{vendor} in term {term}" for vendor, term in self.killed)
        head = (
            f"{len(self.records)} of {self.wanted} terms in {self.seconds:.0f} s, the serving site"
            f" killed twice ({killed}) and brought back {AWAY_SECONDS:g} s later: "
            + ("**all committed, ledgers equal and verified**" if done else "FAILED")
            + f"; in {sum(r.attempt > 0 for r in self.records)} terms another vendor stood in."
        )
        columns = ["term", "server", "attempt", "absent", f"personalised {self.metric}, mean"]
        return head + "\n\n" + table(columns, [self._row(record) for record in self.records])

    def _row(self, record: TermRecord) -> list[str]:
        values = [
            each.personalised[self.metric]
            for each in record.metrics.values()
            if self.metric in each.personalised
        ]
        absent = ", ".join(sorted({absence.vendor for absence in record.absences})) or "–"
        mean = f"{sum(values) / len(values):.3f}" if values else "–"
        return [str(record.term), record.server, str(record.attempt), absent, mean]


def run(quick: bool, folder: Path) -> KilledServers:
    """Run 8 terms on all data, or in a hurry on 800 images."""
    federation = load_federation(EXAMPLE)
    if quick:
        federation = with_changes(federation, data__max_examples=800)
    # Three more terms after the last kill show that the federation works again.
    wanted, metric = KILLED_AFTER[-1] + 3, federation.task.metric
    if missing := missing_data(federation):
        return KilledServers(0.0, (), (), wanted, False, metric, missing)
    sites = make_or_open(folder / "sites", federation)
    try:
        unseen = bring_up_all(sites)
        assert not unseen, unseen
        started = time.monotonic()
        order_rounds(next(iter(sites.values())), wanted)
        killed = tuple(_kill_server(sites, term) for term in KILLED_AFTER)
        until = started + LONGEST_SECONDS
        while min(map(_terms, sites.values())) < wanted and time.monotonic() < until:
            time.sleep(0.5)
        seconds = time.monotonic() - started
        hashes = {verify_site(site).hashes for site in sites.values()}
        records = next(iter(sites.values())).state.ledger.records()
    finally:
        for site in sites.values():
            bring_down(site.folder)
    return KilledServers(seconds, killed, tuple(records), wanted, len(hashes) == 1, metric)


def _kill_server(sites: dict[str, DeployedSite], after: int) -> tuple[str, int]:
    """Kill the server after term ``after`` and bring it back; return its name and its term."""
    until = time.monotonic() + LONGEST_SECONDS
    while max(map(_terms, sites.values())) < after or (serving := serving_now(sites)) is None:
        assert time.monotonic() < until, "no vendor serves"
        time.sleep(0.1)
    time.sleep(INTO_THE_TERM_SECONDS)
    serving = serving_now(sites) or serving  # another vendor may have taken over meanwhile
    term = max(map(_terms, sites.values())) + 1
    kill_site(sites[serving])
    print(f"killed {serving}, which served term {term}", file=sys.stderr)
    time.sleep(AWAY_SECONDS)
    bring_back(sites[serving])
    return serving, term


def _terms(site: DeployedSite) -> int:
    return len(site.state.ledger)


if __name__ == "__main__":
    sys.exit(main("killed_servers", run, (__doc__ or "").splitlines()[0]))
