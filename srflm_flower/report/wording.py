"""How the report writes names, numbers, and codes."""

from __future__ import annotations

import math

from clients.tasks.settings import metric_title
from strategies.errors import INTERNAL_ERROR, NO_REPLY, SrflmError

NOTHING = "–"
"""The text for a missing value."""

MODELS = {
    "averaged": "averaged model",
    "finetuned": "fine-tuned model",
    "personalised": "personalised model",
    "moving-average": "moving average of the committed models",
}


def metric_in_full(name: str) -> str:
    """Return a metric's full name; an unknown name gets spaces for its hyphens."""
    return metric_title(name) or name.replace("-", " ").capitalize()


def model_in_full(kind: str) -> str:
    """Return the name of a kind of model for use in a sentence."""
    return MODELS.get(kind, kind)


def number(value: float | None, decimals: int = 3) -> str:
    """Return a number with fixed decimals, or a dash if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.{decimals}f}"


def megabytes(size: int) -> str:
    """Return bytes as megabytes (10⁶ bytes) with two decimals."""
    return number(size / 1e6, 2)


def duration(seconds: float) -> str:
    """Return a duration in words: ``20.3 s``, ``4 min 5 s``, ``3 h 20 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shortened(name: str, length: int = 18) -> str:
    """Return ``name`` cut to ``length`` characters by an ellipsis in its middle."""
    # Names of one consortium often differ only at the end.
    if len(name) <= length:
        return name
    head = length // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"


def meaning_of(code: str) -> str:
    """Return the meaning of an error code in a sentence."""
    if code == NO_REPLY:
        return "The vendor did not answer within the deadline."
    if code == INTERNAL_ERROR:
        return "An unforeseen error at the vendor's site; its own log has the text."
    for kind in SrflmError.__subclasses__():
        if code in kind.codes:
            # The first line of an error's docstring is text for users of the report.
            return (kind.__doc__ or "").partition("\n")[0]
    return "An error that this version does not know."
