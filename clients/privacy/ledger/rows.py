"""The content of a privacy ledger: a chain of rows, and the spending that follows from it. Pure.

A row is canonical JSON; its hash covers the row and its parent's hash. There are five kinds:

``data-set``  a data set: its number of records, and the known data sets with a record in common
``reserve``   a use of a data set, written before the work begins; it counts as spent from then on
``settle``    the end of a use; it gives nothing back, but adds steps beyond the reservation
``retire``    data sets with an unknown past, fully spent for ever
``adopt``     an older ledger, whose rows follow
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.settings import Unit

# Training in a role, or the release of a loss, of metrics, of a number of examples.
Purpose = Literal["client", "server", "loss", "metrics", "counts"]

TRAINING: tuple[Purpose, ...] = ("client", "server")


@dataclass(frozen=True)
class Use:
    """A use of a data set: purpose, mechanism, and the federation, term, and round of the use.

    The mechanism protects each ``unit``.
    """

    dataset: str
    purpose: Purpose
    mechanism: Mechanism
    federation: str
    term: int
    round: int
    unit: Unit = "record"


@dataclass(frozen=True)
class Row:
    """The row with this number, counted from 1."""

    number: int
    text: str
    hash: str

    @cached_property
    def content(self) -> dict[str, Any]:
        """The row's fields."""
        content: dict[str, Any] = json.loads(self.text)
        return content


def chained(number: int, parent: str, content: Mapping[str, object]) -> Row:
    """Return the row that follows ``parent``."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Row(number, text, _hash(number, parent, text))


def first_broken(rows: Sequence[Row], first_parent: str) -> int | None:
    """Return the number of the first row that does not follow its predecessor, or None."""
    parent = first_parent
    for number, row in enumerate(rows, start=1):
        if row.number != number or row.hash != _hash(number, parent, row.text):
            return number
        parent = row.hash
    return None


def _hash(number: int, parent: str, text: str) -> str:
    return hashlib.sha256(f"{number}\n{parent}\n{text}".encode()).hexdigest()


def use_of(content: Mapping[str, Any]) -> Use:
    """Return the use in a row of kind ``reserve``."""
    return Use(
        content["dataset"],
        content["purpose"],
        Mechanism(content["noise"], content["rate"], content["steps"]),
        content["federation"],
        content["term"],
        content["round"],
        content["unit"],
    )


def reserve_row(use: Use) -> dict[str, object]:
    """Return the fields of a row of kind ``reserve``."""
    return {
        "kind": "reserve",
        "dataset": use.dataset,
        "purpose": use.purpose,
        "noise": use.mechanism.noise_multiplier,
        "rate": use.mechanism.sample_rate,
        "steps": use.mechanism.steps,
        "federation": use.federation,
        "term": use.term,
        "round": use.round,
        "unit": use.unit,
    }


def retire_row(
    datasets: Iterable[str], reason: str, through: Mapping[str, int] = MappingProxyType({})
) -> dict[str, object]:
    """Return the fields of a row of kind ``retire``.

    ``through`` maps a federation to the last term of which the ledger may lack uses from now on.
    """
    fields = {"kind": "retire", "datasets": sorted(datasets), "reason": reason}
    return fields | {"through": dict(through)}


def adopt_row(first_parent: str, hashes: Sequence[str]) -> dict[str, object]:
    """Return the fields of a row of kind ``adopt``: another ledger, and the hashes of its rows."""
    return {"kind": "adopt", "ledger": first_parent, "rows": list(hashes)}


@dataclass(frozen=True)
class Books:
    """The balance of a ledger's rows.

    Data sets that share a record, directly or through others, share **one budget**: each of their
    uses counts against all of them.
    """

    # By data sets, not by records: simpler, and never less than a record has really spent.
    rows: tuple[Row, ...]
    first_parent: str = ""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Every known data set and how many records it has."""
        return {c["dataset"]: c["size"] for c in self._of_kind("data-set")}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Every known data set and the SHA-256 (hex) of its stored records."""
        return {c["dataset"]: c["records"] for c in self._of_kind("data-set")}

    @cached_property
    def _group_of(self) -> dict[str, frozenset[str]]:
        # A new data set merges the groups of all that it overlaps.
        groups: dict[str, frozenset[str]] = {}
        for content in self._of_kind("data-set"):
            joined = frozenset({content["dataset"]}).union(
                *(groups[other] for other in content["overlaps"])
            )
            groups.update(dict.fromkeys(joined, joined))
        return groups

    def group(self, dataset: str) -> frozenset[str]:
        """Return the data sets that share one budget, this one included."""
        return self._group_of.get(dataset, frozenset({dataset}))

    @cached_property
    def adopted(self) -> dict[str, frozenset[str]]:
        """The ledgers that are in this one, itself too: first parent → hashes of their rows."""
        adopted = {c["ledger"]: frozenset(c["rows"]) for c in self._of_kind("adopt")}
        return adopted | {self.first_parent: frozenset(row.hash for row in self.rows)}

    def excused_through(self, federations: Iterable[str]) -> float:
        """Return the last term of these federations of which uses may be missing; 0 for none."""
        terms = [0.0]
        for content in self._of_kind("retire"):
            # Older versions did not note it: what is missing there stays unknown.
            through = content.get("through")
            terms += [math.inf] if through is None else [through.get(f, 0) for f in federations]
        return max(terms)

    def uses(self, dataset: str) -> list[Use]:
        """Return the uses that count against a data set, with the steps that count."""
        group = self.group(dataset)
        return [use for use in self._uses.values() if use.dataset in group]

    def history(self, dataset: str) -> tuple[Mechanism, ...]:
        """Return the mechanisms that count against a data set."""
        return tuple(use.mechanism for use in self.uses(dataset))

    def retired(self, dataset: str) -> bool:
        """Return whether the data set was given up and counts as fully spent."""
        return not self.group(dataset).isdisjoint(self._retired)

    @cached_property
    def unsettled(self) -> dict[int, Use]:
        """The uses without an end, by row: still running, or crashed."""
        ended = {content["of"] for content in self._of_kind("settle")}
        return {number: use for number, use in self._uses.items() if number not in ended}

    @cached_property
    def clock_went_back(self) -> int:
        """The number of rows with an earlier time than the row before; for information only."""
        times = [row.content["time"] for row in self.rows]
        return sum(later < earlier for earlier, later in pairwise(times))

    @cached_property
    def _uses(self) -> dict[int, Use]:
        uses = {r.number: use_of(r.content) for r in self.rows if r.content["kind"] == "reserve"}
        for content in self._of_kind("settle"):
            use = uses[content["of"]]  # never fewer than reserved: a crash cannot give back
            steps = max(use.mechanism.steps, content["steps"])
            uses[content["of"]] = _with_steps(use, steps)
        return uses

    @cached_property
    def _retired(self) -> frozenset[str]:
        return frozenset(name for c in self._of_kind("retire") for name in c["datasets"])

    def _of_kind(self, kind: str) -> Iterable[dict[str, Any]]:
        return (row.content for row in self.rows if row.content["kind"] == kind)


def _with_steps(use: Use, steps: int) -> Use:
    return replace(use, mechanism=replace(use.mechanism, steps=steps))
