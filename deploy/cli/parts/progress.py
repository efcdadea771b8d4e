"""The live table of a run: its state, changed by events, and its drawing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from srflm_flower.results.summary import term_line
from strategies.phases import PHASES
from strategies.protocol.records import TermRecord


@dataclass
class VendorRow:
    """The latest figures of one vendor."""

    loss: float | None = None
    note: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """The state of a run, from its events."""

    roster: tuple[str, ...]
    metric: str
    rounds: int
    rounds_done: int = 0
    term: int = 0
    server: str = ""
    phase: str = "starting Flower and the vendors"
    started: float = field(default_factory=time.monotonic)
    first_round_at: float | None = None  # monotonic seconds; Flower's start-up is not in the pace
    rounds_before: int = 0  # of a resumed run; they were not done at today's pace
    rows: dict[str, VendorRow] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = {vendor: VendorRow() for vendor in self.roster}
        self.rounds_before = self.rounds_done

    def on_event(self, event: dict[str, Any]) -> None:
        """Change the state by one event; a finished term adds a line to ``lines``."""
        # Unknown events are ignored: the log has more kinds than this table shows.
        match event["event"]:
            case "term-opened":
                self.term, self.server = event["term"], event["server"]
                self.phase = PHASES["train"]
                self.first_round_at = self.first_round_at or time.monotonic()
            case "reply":
                self._on_reply(event)
            case "server-lost" | "update-dropped":
                self.lines.append(f"term {self.term}: {_describe(event)}")
            case "not-shared":
                self.lines.append(
                    f"personalised models that stay at their sites: {', '.join(event['vendors'])}"
                )
            case "ended":
                self.lines.append(f"the run ends: {event['reason']}")
            case "closing":
                self.phase, self.server = "gathering the results", ""
            case "term-committed":
                self._on_commit(event["record"])

    def _on_reply(self, event: dict[str, Any]) -> None:
        self.phase = PHASES.get(event["phase"], self.phase)
        row = self.rows.get(event["vendor"])
        if row is None:
            return
        row.note = event["code"]
        if event["loss"] is not None:
            row.loss = event["loss"]
        for name, metrics in event["metrics"].items():
            if self.metric in metrics:
                row.metrics[name] = metrics[self.metric]

    def _on_commit(self, data: dict[str, Any]) -> None:
        record = TermRecord.model_validate(data)
        self.rounds_done = record.round
        self.lines.append(term_line(record, self.metric))

    def seconds_left(self) -> float | None:
        """Return the seconds left at the pace so far, or None before the first round's end."""
        done = self.rounds_done - self.rounds_before
        if done < 1 or self.first_round_at is None:
            return None
        pace = (time.monotonic() - self.first_round_at) / done
        return pace * (self.rounds - self.rounds_done)

    def __rich__(self) -> RenderableType:
        left = self.seconds_left()
        head = Text.assemble(
            ("round ", "dim"),
            f"{min(self.rounds_done + 1, self.rounds)} of {self.rounds}",
            ("   server ", "dim"),
            (self.server or "—", "bold green"),
            ("   ", ""),
            (self.phase, "italic"),
            ("   time left ", "dim"),
            f"{int(left // 60)}:{int(left % 60):02}" if left is not None else "—",
        )
        table = Table(expand=False)
        table.add_column("vendor")
        table.add_column("role")
        table.add_column("loss", justify="right")
        for title in ("averaged", "fine-tuned", "personalised"):
            table.add_column(f"{title}\n{self.metric}", justify="right")
        for vendor, row in self.rows.items():
            role = "server" if vendor == self.server else "client" if self.server else "—"
            table.add_row(
                vendor,
                Text(
                    row.note or role,
                    "red" if row.note else "bold green" if role == "server" else "",
                ),
                _number(row.loss),
                *(_number(row.metrics.get(n)) for n in ("averaged", "finetuned", "personalised")),
            )
        return Group(head, table)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _describe(event: dict[str, Any]) -> str:
    if event["event"] == "server-lost":
        return (
            f"server {event['vendor']} failed in {event['phase']} ({event['code']});"
            " the next in the ranking stands in"
        )
    return f"the update of {event['vendor']} was dropped ({event['code']})"
