"""Sites to look at: a long ledger with real signatures, and the files of a running site."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.files.locks import locked
from deploy.page.config import Files, PageConfig, PrivacyPlan
from deploy.processes.supervisor import ProcessTable
from deploy.site.diagnosis import Diagnosis, Line, diagnosis_file
from srflm_flower.site.ledger_file import SCHEMA
from strategies.election import Cycle, Election, first_ranking
from strategies.phases import PHASE_OF, PHASES
from strategies.protocol.records import (
    Ballot,
    Certificate,
    Committed,
    Edition,
    PhaseCost,
    RunOrder,
    TermRecord,
    VendorMetrics,
    VendorPrivacy,
    majority,
)
from strategies.protocol.signatures import (
    VendorKeys,
    acceptance_statement,
    record_statement,
)
from strategies.settings import ElectionSettings

FEDERATION = "f" * 64
NOW = 1_800_000_000.0
SECONDS = {"open": 0.4, "train": 30.0, "finetune": 20.0, "evaluate": 6.0, "commit": 0.6}
VENDORS = ("aster", "borealis", "cygnus", "draco", "eridanus", "fornax", "gemini", "hydra")
FIELDS = {
    "vendor": ("who answers", "the protocol's own"),
    "ballot": ("training loss, number of examples", "DP-SGD's noise"),
    "weights": ("models that the answer hands over", "what DP-SGD gives out"),
}


class Federation:
    """A federation of made-up vendors with real keys, whose terms are made without training."""

    def __init__(self, vendors: Sequence[str] = VENDORS, private: bool = False) -> None:
        self.vendors, self.private = tuple(vendors), private
        self._keys = {vendor: Ed25519PrivateKey.generate() for vendor in vendors}
        public = [key.public_key().public_bytes_raw().hex() for key in self._keys.values()]
        self.edition = Edition(federation=FEDERATION, roster=self.vendors, keys=tuple(public))
        self.policy = Cycle(loss_weight=0.5, by_turn_rounds=len(vendors))
        self.first = first_ranking(self.policy, self.vendors)
        self.committed: list[Committed] = []

    def add(self, terms: int, **fields: Any) -> list[Committed]:
        """Commit more terms, each with ``fields`` in place of what would stand there."""
        for _ in range(terms):
            self.committed.append(self._signed(self._record(fields)))
        return self.committed

    def _record(self, fields: Mapping[str, Any]) -> TermRecord:
        history = [each.record for each in self.committed]
        term = len(history) + 1
        ranking = history[-1].ranking if history else self.first
        server = str(fields.get("server", ranking[0]))
        ballots = {
            vendor: Ballot(examples=100 + 40 * at, loss=0.2 + 1.5 / (term + 3 * at + 1))
            for at, vendor in enumerate(self.vendors)
        }
        election = Election(self.vendors, ballots, history, server, term + 1, term + 1)
        plain = {
            "federation": FEDERATION,
            "term": term,
            "attempt": 0,
            "server": server,
            "round": term,
            "clients": tuple(v for v in self.vendors if v != server),
            "stale_server": False,
            "ballots": ballots,
            "ranking": self.policy.rank(election),
            "learning_rate": 0.02,
            "steps": dict.fromkeys(self.vendors, 8),
            "averaged_model": f"{term:064x}",
            "model": f"{term + 1:064x}",
            "metrics": {v: _metrics(term, at, v == server) for at, v in enumerate(self.vendors)},
            "privacy": self._privacy(term),
            "cost": {
                phase: PhaseCost(seconds=each, bytes_sent=4_000_000, bytes_received=3_900_000)
                for phase, each in SECONDS.items()
            },
            "parent": history[-1].hash if history else FEDERATION,
        }
        return TermRecord.model_validate(plain | fields)

    def _privacy(self, term: int) -> dict[str, VendorPrivacy]:
        if not self.private:
            return {}
        return {
            vendor: VendorPrivacy(
                epsilon=min(8.0, 0.4 * math.sqrt(term) + 0.3 * at),
                delta=1e-5,
                can_serve=at != 2,
                can_train=True,
            )
            for at, vendor in enumerate(self.vendors)
        }

    def _signed(self, record: TermRecord) -> Committed:
        accepted = {
            vendor: self._sign(vendor, acceptance_statement(vendor, record, record.attempt))
            for vendor in self.vendors[: majority(len(self.vendors))]
        }
        proposal = self._sign(record.server, record_statement(record))
        return Committed(
            record=record,
            certificate=Certificate(
                attempt=record.attempt, proposal=proposal, acceptances=accepted
            ),
        )

    def _sign(self, vendor: str, statement: bytes) -> str:
        return VendorKeys(self._keys[vendor], {}).sign(statement)


def _metrics(term: int, at: int, serves: bool) -> VendorMetrics:
    def value(start: float, speed: float) -> dict[str, float]:
        wave = 0.015 * math.sin(term * 1.7 + at)
        return {"accuracy": round(0.95 - start / (1 + term / speed) + wave - 0.02 * at, 4)}

    return VendorMetrics(
        averaged=value(0.45, 7.0),
        finetuned=value(0.4 if serves else 0.5, 6.0),
        personalised=value(0.3, 4.0),
    )


class WatchedSite:
    """The files of a site in ``folder``, as its page reads them; ``committed`` is its ledger."""

    def __init__(self, folder: Path, federation: Federation, rounds: int = 240) -> None:
        self.folder, self.federation = folder, federation
        for name in ("state", "run/edge/logs", "logs", "identity"):
            (folder / name).mkdir(parents=True)
        self.ledger = folder / "state" / "ledger.sqlite"
        with closing(sqlite3.connect(self.ledger)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
            order = RunOrder(number=1, federation=FEDERATION, rounds=rounds, vendor="aster")
            db.execute("INSERT INTO orders VALUES (1, ?)", (order.model_dump_json(),))
            db.commit()
        self.commit()

    def config(self, port: int = 0, **fields: Any) -> PageConfig:
        """Return the configuration of the site's page."""
        files = Files(
            ledger=self.ledger,
            audit=self.folder / "state" / "audit.jsonl",
            cases=self.folder / "state" / "cases.html",
            doctor=diagnosis_file(self.folder / "state"),
            logs=self.folder / "logs",
            edge_logs=self.folder / "run" / "edge" / "logs",
            identity=self.folder / "identity",
            notes=self.folder / "run" / "up.json",
            lock=self.folder / "run" / "site.lock",
            training=self.folder / "state" / "training.lock",
        )
        plan = PrivacyPlan(epsilon=8.0, delta=1e-5, unit="patient", limit=6.0)
        plain: dict[str, Any] = {
            "vendor": self.federation.vendors[0],
            "name": "nodules",
            "edition": 1,
            "first": self.federation.edition,
            "first_ranking": self.federation.first,
            "election": ElectionSettings(by_turn_rounds=len(self.federation.vendors)),
            "server_terms": None,
            "rounds": 200,
            "metric": "accuracy",
            "metric_title": "Accuracy",
            "privacy": plan if self.federation.private else None,
            "phases": PHASE_OF,
            "in_full": PHASES,
            "commit": "query.commit",
            "fields": FIELDS,
            "files": files,
            "token": self.folder / "state" / "page.token",
            "port": port,
        }
        return PageConfig.model_validate(plain | fields)

    def commit(self) -> None:
        """Take over into the ledger what the federation has committed."""
        with closing(sqlite3.connect(self.ledger)) as db:
            known = db.execute("SELECT COUNT(*) FROM records").fetchone()[0]
            for each in self.federation.committed[known:]:
                record = each.record
                row = (
                    record.term,
                    record.hash,
                    record.model_dump_json(),
                    each.certificate.model_dump_json(),
                )
                db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", row)
                db.execute("DELETE FROM votes")
            db.commit()

    def grant(self, attempt: int = 0) -> None:
        """Let the site grant an attempt at the open term: somebody serves it now."""
        with closing(sqlite3.connect(self.ledger)) as db:
            term = db.execute("SELECT COALESCE(MAX(term), 0) + 1 FROM records").fetchone()[0]
            db.execute("INSERT OR REPLACE INTO votes VALUES (?, ?, NULL, NULL)", (term, attempt))
            db.commit()

    @contextmanager
    def up(self, **programs: int) -> Iterator[None]:
        """Keep the site up, as far as its files tell; ``programs`` have ids of processes."""
        own = os.getpid()
        table = ProcessTable(
            supervisor=own,
            programs=programs or {"edge": own, "page": own},
            restarts={},
            since=time.time() - 7000,
        )
        notes = self.folder / "run" / "up.json"
        notes.write_text(table.model_dump_json())
        with locked(self.folder / "run" / "site.lock"):
            yield
        notes.unlink()

    def note(self, kind: str, ago: float = 0.0, **fields: Any) -> None:
        """Append a message to the site's message log."""
        term = len(self.federation.committed) + 1
        event = {"time": time.time() - ago, "type": kind, "term": term, "attempt": 0}
        event |= {"vendor": "borealis", "outcome": "done", "bytes": 1000} | fields
        self.append("state/audit.jsonl", event)

    def append(self, name: str, event: Mapping[str, Any]) -> None:
        """Append a line to one of the site's files."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def diagnosis(*lines: Line) -> Diagnosis:
    """Return what ``srflm doctor`` has found at :data:`NOW`."""
    when = datetime.fromtimestamp(NOW, UTC)
    return Diagnosis(vendor="aster", version="1", time=when, quick=True, lines=lines)
