"""Divide one data set among simulated vendors: pure functions from labels to index arrays."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.errors import ConfigurationError

Indices = NDArray[np.int64]
MAX_DRAWS = 1000  # a division that exists is found in a few draws; this ends hopeless searches


def dirichlet_proportions(
    classes: int, vendors: int, alpha: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw p[class, vendor], each row from Dir(α, …, α): the vendors' shares of a class."""
    return rng.dirichlet(np.full(vendors, alpha), size=classes)


def divide_by_proportions(
    labels: Indices, proportions: NDArray[np.float64], rng: np.random.Generator
) -> list[Indices]:
    """Return a sorted index array for each vendor; together they hold each example exactly once."""
    parts: list[list[Indices]] = [[] for _ in range(proportions.shape[1])]
    for label, shares in enumerate(proportions):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(int)
        for part, indices in zip(parts, np.split(members, cuts), strict=True):
            part.append(indices)
    return [np.sort(np.concatenate(part)) for part in parts]


def draw_dirichlet(
    labels: Sequence[Indices],
    classes: int,
    vendors: int,
    alpha: float,
    rng: np.random.Generator,
    min_train: int,
    min_classes: int,
) -> list[list[Indices]]:
    """Divide several splits among the vendors by random proportions; return [split][vendor].

    ``labels`` are the labels of train, validation, and test. Proportions are drawn again until
    every vendor has ``min_train`` training examples of ``min_classes`` classes, and at least one
    example in every other split.
    """
    for _ in range(MAX_DRAWS):
        # The same proportions for all splits: a vendor is tested on the mix it trained on.
        proportions = dirichlet_proportions(classes, vendors, alpha, rng)
        parts = [divide_by_proportions(split, proportions, rng) for split in labels]
        train = [labels[0][part] for part in parts[0]]
        if (
            all(len(part) >= min_train for part in train)
            and all(len(np.unique(part)) >= min_classes for part in train)
            and all(len(part) > 0 for split in parts[1:] for part in split)
        ):
            return parts
    raise ConfigurationError(
        f"no Dirichlet({alpha}) division of {len(labels[0])} training examples over {vendors}"
        f" vendors gives each at least {min_train} of {min_classes} classes",
        "a division in which every vendor can train",
        "raise data.partition.alpha, use more examples, or lower training.batch-size",
    )


def divide_by_class(
    labels: Indices, classes_of: Sequence[Sequence[int]], rng: np.random.Generator
) -> list[Indices]:
    """Give every vendor its classes; vendors with a class in common share it evenly."""
    parts: list[list[Indices]] = [[] for _ in classes_of]
    for label in sorted({label for classes in classes_of for label in classes}):
        owners = [vendor for vendor, classes in enumerate(classes_of) if label in classes]
        members = rng.permutation(np.flatnonzero(labels == label))
        for owner, indices in zip(owners, np.array_split(members, len(owners)), strict=True):
            parts[owner].append(indices)
    empty = np.empty(0, dtype=np.int64)
    return [np.sort(np.concatenate([empty, *part])) for part in parts]


def divide_by_shares(
    count: int, shares: Sequence[float], rng: np.random.Generator
) -> list[Indices]:
    """Divide ``count`` examples at random; return a sorted index array for each share.

    Every share gets one example at least, as far as they go.
    """
    order = rng.permutation(count)
    # One each first: a small share of a small split must not come to nothing.
    first, rest = order[: len(shares)], order[len(shares) :]
    cuts = np.round(np.cumsum(shares)[:-1] / np.sum(shares) * len(rest)).astype(int)
    parts = zip(np.split(rest, cuts), range(len(shares)), strict=True)
    return [np.sort(np.concatenate([part, first[n : n + 1]])) for part, n in parts]


def stratified_subset(labels: Indices, limit: int | None, rng: np.random.Generator) -> Indices:
    """Return at most ``limit`` sorted indices in which every class keeps its share."""
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    # Each class is spread evenly over ranks from 0 to 1. The lowest ranks then hold every class in
    # proportion, whatever the limit is.
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.sort(np.argsort(rank, kind="stable")[:limit])


def keyed_splits(
    groups: Sequence[str], validation: float, test: float, key: bytes
) -> tuple[Indices, Indices, Indices]:
    """Divide examples into train, validation, and test by a keyed hash of each one's group.

    ``groups`` (n,) are names; examples of one group stay together.  The fractions are those of a
    large number of groups: a small number is divided only roughly.
    """
    # A name alone decides: so one example more or less moves no other, and what differs between
    # two data sets stays one record, as the privacy claim says.
    places = np.array([keyed_place(name, key) for name in groups], dtype=np.float64)
    return (
        np.flatnonzero(places >= test + validation),
        np.flatnonzero((places >= test) & (places < test + validation)),
        np.flatnonzero(places < test),
    )


def keyed_place(name: str, key: bytes) -> float:
    """Return a number in [0, 1), uniform over names."""
    return int.from_bytes(hmac.digest(key, name.encode(), "sha256")[:6], "big") / 2**48


def random_splits(
    count: int, validation: float, test: float, rng: np.random.Generator
) -> tuple[Indices, Indices, Indices]:
    """Divide ``count`` examples at random into train, validation, and test."""
    order = rng.permutation(count)
    n_test, n_validation = round(test * count), round(validation * count)
    return (
        np.sort(order[n_test + n_validation :]),
        np.sort(order[n_test : n_test + n_validation]),
        np.sort(order[:n_test]),
    )
