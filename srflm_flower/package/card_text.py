"""The model card as Markdown, for people who must sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clients.tasks.settings import metric_title
from srflm_flower.package.card import ModelCard
from srflm_flower.results.spans import spans

ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})
"""Markdown's own marks; a name in a federation file may contain them."""


def card_text(card: ModelCard) -> str:
    """Return the card as Markdown."""
    return "\n\n".join(_parts(card)) + "\n"


def plain(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, on one line."""
    return " ".join(text.split()).translate(ESCAPED)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parts(card: ModelCard) -> Iterator[str]:
    yield f"# Model card: {plain(card.federation)}"
    yield f"**{plain(card.outcome)}.**"
    yield _model(card)
    yield f"## Intended use\n\n{plain(card.intended_use)}"
    yield "## Limits\n\n" + "\n".join(f"- {plain(limit)}" for limit in card.limits)
    yield "## Task and preparation\n\n" + _settings(card)
    yield "## Data and who did what\n\n" + _vendors(card)
    yield "## How good it is\n\n" + _validation(card)
    yield _own_test(card)
    yield "## Privacy\n\n" + _privacy(card)
    yield "## Where it comes from\n\n" + _origin(card)
    contact = f" Contact: {plain(card.contact)}." if card.contact else ""
    yield f"## Terms of use\n\n{plain(card.licence)}{contact}"


def _model(card: ModelCard) -> str:
    kinds = {
        "averaged": "the average of the clients' models",
        "finetuned": "that average, fine-tuned by the server on its own images",
        "moving-average": "the moving average of the committed models",
    }
    return (
        f"The released global model: {kinds[card.kind]}, of term {card.term}."
        f" {card.parameters:,} numbers; hash of the weights `{card.weights}`."
        f" Made by {plain(card.made_by)} on {card.made_on}."
    )


def _settings(card: ModelCard) -> str:
    parts = (("Task", card.task), ("Network", card.network), ("Preparation", card.preparation))
    rows = [
        [title, plain(name), plain(_value(value))]
        for title, found in parts
        for name, value in found.items()
        if value not in (None, {}, [])
    ]
    return table(["", "setting", "value"], rows)


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_value(each)}" for name, each in value.items())
    return (
        {True: "yes", False: "no"}.get(value, str(value))
        if isinstance(value, bool)
        else (str(value))
    )


def _vendors(card: ModelCard) -> str:
    rows = [
        [
            plain(name),
            "not told" if each.examples is None else f"{each.examples:,}",
            spans(each.served) or "none",
            spans(each.trained) or "none",
        ]
        for name, each in card.vendors.items()
    ]
    heading = ["vendor", "training examples", "served in terms", "client in terms"]
    return table(heading, rows) + (
        "\n\nThe counts are those that each vendor has signed; with differential privacy they are"
        " the public sizes that all have agreed on."
    )


def _title(name: str) -> str:
    return metric_title(name) or name.capitalize()


def _validation(card: ModelCard) -> str:
    if not card.validation:
        return "The ledger has no figures of this very model on validation data."
    rows = [
        [
            plain(_title(name)),
            f"{each.mean:.3f}",
            f"{each.lowest:.3f} to {each.highest:.3f}",
            ", ".join(f"{plain(v)} {value:.3f}" for v, value in each.by_vendor.items()),
        ]
        for name, each in card.validation.items()
    ]
    heading = ["metric", "mean over vendors", "lowest to highest", "by vendor"]
    return "On each vendor's own validation data, as the ledger has it:\n\n" + table(heading, rows)


def _own_test(card: ModelCard) -> str:
    if card.own_test is None:
        return (
            "Exact figures on test data are not here: no noise covers them, and this card is handed"
            " on."
        )
    found = card.own_test
    metrics = {name: value for name, value in found.metrics.items() if name != "examples"}
    rows = [[plain(_title(name)), f"{value:.3f}"] for name, value in metrics.items()]
    number = f"the {found.metrics['examples']:,.0f}" if "examples" in found.metrics else "the"
    text = f"On {number} test examples of {plain(found.vendor)}, which chose nothing:\n\n"
    text += table(["metric", "value"], rows)
    if found.score is None:
        return text + "\n\nThere are too few test patients for an interval."
    score = found.score
    return text + (
        f"\n\nMean score of a patient: **{score.mean:.3f}**, 95 % interval"
        f" {score.low:.3f} to {score.high:.3f} (bootstrap over {score.patients} patients; scores"
        " are from 0 to 1, more is better)."
    )


def _privacy(card: ModelCard) -> str:
    text = plain(card.privacy)
    if not card.epsilon:
        return text
    rows = [
        [plain(name), f"{each.epsilon:.2f}", f"{each.delta:g}"]
        for name, each in card.epsilon.items()
    ]
    return text + "\n\n" + table(["vendor", "ε spent", "δ"], rows)


def _origin(card: ModelCard) -> str:
    rows = [
        ["federation (SHA-256)", f"`{card.identity}`"],
        ["edition", str(card.edition)],
        ["last record of the ledger", f"`{card.terms}:{card.head}`"],
        ["rounds", str(card.rounds)],
        ["seed", str(card.seed)],
        *([plain(name), plain(value)] for name, value in card.versions.items()),
    ]
    return table(["", ""], rows) + (
        "\n\n`manifest.json` beside this folder has the SHA-256 of every file, signed by"
        f" {plain(card.made_by)}; `srflm verify` checks all of it without a network."
    )
