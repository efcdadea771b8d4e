"""The model card: what a model is, how it came about, how good it is, and what it is not for.

It follows Mitchell et al., Model Cards for Model Reporting (2019), from the ledger that all members
hold, and from what the site measured on its own test data where that may be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from srflm_flower.federation.federation import Federation
from srflm_flower.package.about import AboutSettings
from srflm_flower.privacy.statement import exclusions, last_privacy, promise
from srflm_flower.results.outcome import outcome_of
from srflm_flower.results.release import Release
from strategies.protocol.records import Metrics, TermRecord

Kind = Literal["averaged", "finetuned", "moving-average"]


class Part(BaseModel):
    """A part of the card: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VendorPart(Part):
    """One vendor's part: training examples as it has told them, and the terms of each role."""

    examples: int | None
    served: tuple[int, ...]
    trained: tuple[int, ...]


class Spread(Part):
    """One metric of the model on the vendors' own validation data, as the ledger has it."""

    by_vendor: dict[str, float]
    mean: float
    lowest: float
    highest: float


class OwnScore(Part):
    """Mean score of the site's own test patients, with a 95 % bootstrap interval over them.

    Scores are in [0, 1], more is better; ``patients`` is their number.
    """

    mean: float
    low: float
    high: float
    patients: int


class OwnTest(Part):
    """What the site has measured on its own test images; ``score`` only of two patients or more."""

    vendor: str
    metrics: Metrics
    score: OwnScore | None


class Epsilon(Part):
    """What a vendor has spent: (ε, δ) over all rounds and both roles."""

    epsilon: float
    delta: float


class ModelCard(Part):
    """All that the card tells; ``docs/how-to/model-package.md`` explains each part."""

    schema_version: Literal[1] = 1
    federation: str
    identity: str
    edition: int
    made_by: str
    made_on: str
    kind: Kind
    term: int
    weights: str
    parameters: int
    kept_at_home: tuple[str, ...] = ()
    task: dict[str, Any]
    network: dict[str, Any]
    preparation: dict[str, Any]
    seed: int
    outcome: str
    rounds: int
    terms: int
    head: str
    vendors: dict[str, VendorPart]
    validation: dict[str, Spread]
    own_test: OwnTest | None
    own_test_withheld: bool
    privacy: str
    epsilon: dict[str, Epsilon]
    intended_use: str
    limits: tuple[str, ...]
    licence: str
    contact: str | None
    versions: dict[str, str]


class Weighed(Part):
    """The facts of the weights in the package: hash as ledgers name it, size, names kept home."""

    hash: str
    parameters: int
    kept_at_home: tuple[str, ...] = ()


class Made(Part):
    """Who has made the package, on which day (ISO 8601), with which versions of what."""

    vendor: str
    day: str
    versions: dict[str, str]


def model_card(
    federation: Federation,
    records: Sequence[TermRecord],
    release: Release,
    weighed: Weighed,
    made: Made,
    about: AboutSettings,
    own_test: OwnTest | None,
) -> ModelCard:
    """Return the card of a released model.

    ``own_test`` must be None where no noise covers it: a package is handed on.
    """
    model = federation.network_settings
    return ModelCard(
        federation=federation.name,
        identity=federation.hash,
        edition=federation.edition,
        made_by=made.vendor,
        made_on=made.day,
        kind=release.kind,
        term=release.term,
        weights=weighed.hash,
        parameters=weighed.parameters,
        kept_at_home=weighed.kept_at_home,
        task=federation.task.model_dump(mode="json", by_alias=True),
        network=model.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"initial_weights", "features"}
        ),
        preparation=_preparation(federation),
        seed=federation.seed,
        outcome=outcome_of(federation, records).sentence,
        rounds=records[-1].round,
        terms=len(records),
        head=records[-1].hash,
        vendors=_vendors(federation, records),
        validation=_validation(federation, records, release),
        own_test=own_test,
        own_test_withheld=own_test is None,
        privacy=f"{promise(federation)} {exclusions(federation)}".strip(),
        epsilon={
            vendor: Epsilon(epsilon=each.epsilon, delta=each.delta)
            for vendor, each in last_privacy(records).items()
        },
        intended_use=about.intended_use,
        limits=(*about.limits, *_limits(federation, records, release, weighed)),
        licence=about.licence,
        contact=about.contact,
        versions=made.versions,
    )


def _preparation(federation: Federation) -> dict[str, Any]:
    # The notes of a model file, less what the card says in another place.
    return {name: note for name, note in federation.model_notes().items() if name != "federation"}


def _vendors(federation: Federation, records: Sequence[TermRecord]) -> dict[str, VendorPart]:
    # Those who have left took part too.
    took_part = {name for record in records for name in (record.server, *record.ballots)}
    names = (*federation.roster, *sorted(took_part - {*federation.roster}))
    return {name: _vendor(name, records) for name in names}


def _vendor(name: str, records: Sequence[TermRecord]) -> VendorPart:
    told = (r.ballots[name].examples for r in reversed(records) if name in r.ballots)
    return VendorPart(
        examples=next(told, None),
        served=tuple(r.term for r in records if r.server == name),
        trained=tuple(r.term for r in records if name in r.ballots and r.server != name),
    )


def _validation(
    federation: Federation, records: Sequence[TermRecord], release: Release
) -> dict[str, Spread]:
    """Return the metrics of the released model; none of one that nobody has measured as it is."""
    if release.kind == "moving-average" or federation.aggregation.normalisation == "at-home":
        return {}
    told: Mapping[str, Metrics] = {
        vendor: getattr(metrics, release.kind)
        for vendor, metrics in records[release.term - 1].metrics.items()
    }
    names = sorted({name for each in told.values() for name in each} - {"examples"})
    found = {}
    for name in names:
        having = {vendor: each[name] for vendor, each in told.items() if name in each}
        values = [*having.values()]
        mean = sum(values) / len(values)
        found[name] = Spread(by_vendor=having, mean=mean, lowest=min(values), highest=max(values))
    return found


def _limits(
    federation: Federation, records: Sequence[TermRecord], release: Release, weighed: Weighed
) -> list[str]:
    """Return the limits that follow from how the model came about."""
    took_part = sum(any(name in r.ballots for r in records) for name in federation.roster)
    found = [
        "The figures on validation data chose this model among others, so they flatter it.",
        f"It has seen images of {took_part} vendors; nothing is known of others' images.",
        "Counts and figures of other vendors are their own word: each vendor has signed its own,"
        " and nobody else can check them.",
        "Images must be prepared as the card says; other units, sizes, or protocols were not"
        " tried.",
    ]
    if not federation.privacy.private:
        found.append(
            "No noise covers its training: whoever has the weights may learn about training images"
            " from them (membership inference)."
        )
    if release.vendors == 0:
        found.append("No vendor has released figures of it: it was chosen as the latest model.")
    if weighed.kept_at_home:
        found.append(
            "Its normalisation is that of the site that made the package: each site has its own."
        )
    return found
