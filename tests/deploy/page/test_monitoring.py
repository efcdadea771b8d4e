"""The Grafana board and the alert rules name only metrics that the page gives."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.page.metrics import metrics_text
from deploy.page.snapshot import PeerSeen, ProgramSeen, Snapshot
from deploy.page.watching import Watcher
from deploy.site.diagnosis import Line
from tests.deploy.page.watched import Federation, WatchedSite, diagnosis

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
NAME = re.compile(r"\bsrflm_[a-z_]+")


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of a site about which everything is known."""
    federation = Federation(("a", "b", "c"), private=True)
    federation.add(4)
    site = WatchedSite(tmp_path / "site", federation)
    site.grant(0)
    site.note("query.commit", ago=30.0, term=4)
    site.note("train.local", ago=5.0)
    site.note("query.open", outcome="SRFLM-P2", vendor="c")
    config = site.config()
    watcher = Watcher(config)
    assert watcher.look_at_all().refused == {}, "a counter begins with its program"
    site.note("query.open", outcome="SRFLM-P2", vendor="c")
    seen = watcher.look()
    whole: dict[str, Any] = {
        "up": True,
        "since": seen.now - 100,
        "programs": (ProgramSeen("worker", True, 2, 1), ProgramSeen("edge", False)),
        "peers": {"b": PeerSeen(seen.now - 9), "c": PeerSeen(seen.now - 50, failed=seen.now - 1)},
        "certificates": {"site.crt": datetime.fromtimestamp(seen.now, UTC) + timedelta(days=20)},
        "doctor": diagnosis(Line(code="D", severity="error", finding="found", mend="mend")),
        "outgoing_bytes": 1234,
    }
    text = metrics_text(config, Snapshot(**{**vars(seen), **whole})).decode()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def expressions(tree: object, key: str = "expr") -> Iterator[str]:
    """Yield every expression of a board or a file of rules."""
    if isinstance(tree, dict):
        yield from (str(value) for name, value in tree.items() if name == key)
        for value in tree.values():
            yield from expressions(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from expressions(value, key)


def board() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
    return loaded


def rules() -> dict[str, Any]:
    text = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.mark.parametrize("tree", [board(), rules()], ids=["board", "alerts"])
def test_every_metric_that_is_named_exists(tree: object, samples: dict[str, object]) -> None:
    named = {name for each in expressions(tree) for name in NAME.findall(each)}
    assert len(named) > 8
    assert named - samples.keys() == set()


def test_board_shows_every_metric_that_changes(samples: dict[str, object]) -> None:
    shown = {name for each in expressions(board()) for name in NAME.findall(each)}
    alerts = {name for each in expressions(rules()) for name in NAME.findall(each)}
    assert (
        samples.keys() - shown - alerts
        == {
            "srflm_site_info",
            "srflm_ledger_unchecked_records",
            "srflm_run_open",
            "srflm_term",
            "srflm_attempt",
            "srflm_peer_heard_timestamp_seconds",
            "srflm_doctor_timestamp_seconds",
        }
        - alerts
    )


def test_labels_in_alerts_are_those_of_their_metrics(samples: Any) -> None:
    for group in rules()["groups"]:
        for rule in group["rules"]:
            names = [name for name in NAME.findall(rule["expr"]) if name in samples]
            labels = {label for name in names for each, _ in samples[name] for label in each}
            text = json.dumps(rule["annotations"])
            used = set(re.findall(r"\$labels\.([a-z]+)", text)) - {"instance"}
            assert used <= labels, rule["alert"]


def test_figures_are_those_of_the_site(samples: Any) -> None:
    def of(name: str, **labels: str) -> float:
        return float(next(v for each, v in samples[name] if labels.items() <= each.items()))

    assert of("srflm_ledger_head_term") == 4
    assert of("srflm_ledger_valid") == 1
    assert of("srflm_term") == 5
    assert of("srflm_phase_seconds", phase="train") == 30.0
    assert of("srflm_phase_elapsed_seconds", phase="train") >= 5
    assert of("srflm_peer_up", peer="b") == 1
    assert of("srflm_peer_up", peer="c") == 0
    assert of("srflm_epsilon_limit") == 6.0
    assert of("srflm_epsilon_spent") == pytest.approx(0.8)
    assert of("srflm_certificate_days_left", certificate="site.crt") == 20
    assert of("srflm_outgoing_bytes_total") == 1234
    assert of("srflm_refused_messages_total", code="SRFLM-P2") == 1
    assert of("srflm_program_restarts_total", program="worker") == 2
    assert of("srflm_program_memory_bytes", program="worker") > 0
    assert of("srflm_doctor_lines", level="error") == 1
    assert of("srflm_last_commit_timestamp_seconds") == pytest.approx(time.time() - 30, abs=1200)


def test_board_fits_together() -> None:
    """Panels have numbers of their own, and lie side by side on Grafana's 24 columns."""
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
