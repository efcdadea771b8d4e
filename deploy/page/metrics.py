"""The site's figures for Prometheus, in a registry of their own: each scrape is made anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.page.config import PageConfig
from deploy.page.snapshot import ProgramSeen, Snapshot
from deploy.page.views.budget import budget
from deploy.page.views.health import certificates, peer
from deploy.page.views.live import live
from deploy.site.diagnosis import SEVERITIES
from deploy.site.problems import time_of

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def metrics_text(config: PageConfig, seen: Snapshot) -> bytes:
    """Return all figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(config, seen))
    return generate_latest(registry)


class Figures(Collector):
    """The figures of one snapshot."""

    def __init__(self, config: PageConfig, seen: Snapshot) -> None:
        self._config, self._seen = config, seen

    def collect(self) -> Iterable[Metric]:
        """Yield every figure."""
        yield from self._site()
        yield from self._term()
        yield from self._peers()
        yield from self._privacy()
        yield from self._health()

    def _site(self) -> Iterator[Metric]:
        config, seen = self._config, self._seen
        info = GaugeMetricFamily(
            "srflm_site_info",
            "Always 1; the labels say which site this is.",
            labels=["vendor", "federation", "edition"],
        )
        info.add_metric([config.vendor, config.name, str(config.edition)], 1)
        yield info
        yield _gauge("srflm_up", "1 while the site's programs are supervised.", seen.up)
        head = seen.terms[-1].term if seen.terms else 0
        yield _gauge("srflm_ledger_head_term", "The last term in this site's ledger.", head)
        yield _gauge(
            "srflm_ledger_valid",
            "1 if every record that was read has valid links and signatures, 0 if one has not.",
            seen.invalid is None and seen.unread is None,
        )
        yield _gauge("srflm_ledger_unchecked_records", "Records that are not read yet.",
                     seen.terms_known - len(seen.terms))  # fmt: skip

    def _term(self) -> Iterator[Metric]:
        seen, now = self._seen, live(self._config, self._seen)
        yield _gauge("srflm_run_open", "1 while a run is under way.", now.running)
        yield _gauge("srflm_rounds_committed", "Committed rounds.", now.round)
        yield _gauge("srflm_rounds_ordered", "Rounds of the run order in force.", now.rounds)
        yield _gauge("srflm_term", "The open term, or the next one.", now.term)
        yield _gauge("srflm_attempt", "Its highest attempt so far; -1 for none.", now.attempt)
        yield _gauge("srflm_serving", "1 while this site serves the open term.", now.own)
        phase = GaugeMetricFamily(
            "srflm_phase_elapsed_seconds",
            "Seconds in the phase that goes on; missing between terms.",
            labels=["phase"],
        )
        if now.phase is not None and now.since is not None:
            phase.add_metric([now.phase.name], max(0.0, seen.now - now.since))
        yield phase
        seconds = GaugeMetricFamily(
            "srflm_phase_seconds",
            "Seconds of each phase of the last committed term, as its server saw them.",
            labels=["phase"],
        )
        for name, took in seen.terms[-1].seconds.items() if seen.terms else ():
            seconds.add_metric([name], took)
        yield seconds
        done = [time_of(e) for e in seen.audit if e.get("type") == self._config.commit]
        if done:
            yield _gauge(
                "srflm_last_commit_timestamp_seconds",
                "When this site was last told a committed record.",
                done[-1],
            )

    def _peers(self) -> Iterator[Metric]:
        config, seen = self._config, self._seen
        up = GaugeMetricFamily(
            "srflm_peer_up",
            "1 if another site can be reached, 0 if not; missing while that is unknown.",
            labels=["peer"],
        )
        heard = GaugeMetricFamily(
            "srflm_peer_heard_timestamp_seconds",
            "When the last message of another site's server came.",
            labels=["peer"],
        )
        for vendor in (seen.edition or config.first).roster:
            if vendor == config.vendor:
                continue
            found = peer(vendor, seen)
            if found.standing != "unknown":
                up.add_metric([vendor], found.standing == "reachable")
            if found.heard:
                heard.add_metric([vendor], found.heard)
        yield from (up, heard)
        sent = CounterMetricFamily(
            "srflm_outgoing_bytes", "Bytes to other sites since the page was started."
        )
        sent.add_metric([], seen.outgoing_bytes)
        refused = CounterMetricFamily(
            "srflm_refused_messages",
            "Messages that were refused, or whose answer failed, since the page was started.",
            labels=["code"],
        )
        for code, count in sorted(seen.refused.items()):
            refused.add_metric([code], count)
        yield from (sent, refused)

    def _privacy(self) -> Iterator[Metric]:
        found = budget(self._config, self._seen)
        if found is None:
            return
        own = next((row for row in found.rows if row.vendor == self._config.vendor), None)
        if own is None:
            return
        yield _gauge("srflm_epsilon_limit", "The most ε for this site's records.", own.limit)
        if own.epsilon is not None:
            yield _gauge(
                "srflm_epsilon_spent",
                "ε of this site's records by the agreed plan, both roles together.",
                own.epsilon,
            )
        can = GaugeMetricFamily(
            "srflm_role_affordable",
            "1 if the budget leaves room for another term in this role.",
            labels=["role"],
        )
        can.add_metric(["client"], own.can_train)
        can.add_metric(["server"], own.can_serve)
        used = GaugeMetricFamily(
            "srflm_role_uses",
            "What has been spent on in this role: rounds as client, terms as server.",
            labels=["role"],
        )
        used.add_metric(["client"], own.rounds_trained)
        used.add_metric(["server"], own.terms_served)
        yield from (can, used)

    def _health(self) -> Iterator[Metric]:
        days = GaugeMetricFamily(
            "srflm_certificate_days_left",
            "Days until a certificate of this site expires.",
            labels=["certificate"],
        )
        for each in certificates(self._seen):
            days.add_metric([each.name], each.days)
        yield days
        doctor = self._seen.doctor
        if doctor is not None:
            lines = GaugeMetricFamily(
                "srflm_doctor_lines", "Lines of the last srflm doctor.", labels=["level"]
            )
            for level in SEVERITIES:
                lines.add_metric([level], len(doctor.of(level)))
            yield lines
            text = "When srflm doctor last looked."
            yield _gauge("srflm_doctor_timestamp_seconds", text, doctor.time.timestamp())
        yield from _programs(self._seen.programs)


def _programs(programs: Iterable[ProgramSeen]) -> Iterator[Metric]:
    runs = GaugeMetricFamily("srflm_program_up", "1 while a program runs.", labels=["program"])
    again = CounterMetricFamily(
        "srflm_program_restarts", "How often a program was started again.", labels=["program"]
    )
    memory = GaugeMetricFamily(
        "srflm_program_memory_bytes",
        "Memory of a program and its children; what they share counts once (PSS).",
        labels=["program"],
    )
    for each in programs:
        runs.add_metric([each.name], each.runs)
        again.add_metric([each.name], each.restarts)
        # It may have ended since the last look, as programs do that are not needed.
        if each.runs and each.process is not None and (found := memory_of(each.process)):
            memory.add_metric([each.name], found)
    yield from (runs, again, memory)


def memory_of(process: int) -> int:
    """Return the bytes of a process and its descendants: PSS where the system tells it."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(process)
        for each in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                found = each.memory_full_info()
                total += getattr(found, "pss", 0) or found.rss
    return total


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))
