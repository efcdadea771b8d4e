"""Divide patients into splits for good: a new one never moves an old one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from clients.data.partition import keyed_place
from clients.data.vendor_data import SPLITS, SplitName

MAX_DRAWS = 100  # a division that exists is found in a few; patients known before may allow none


def frozen_splits(
    known: Mapping[str, SplitName],
    patients: Iterable[str],
    validation: float,
    test: float,
    key: bytes,
    exact: bool,
    names: Mapping[str, str] | None = None,
) -> dict[str, SplitName]:
    """Return patient → split of the ``known`` patients and of all others.

    The ``key`` draws the new patients by a keyed hash of their ``names``, by default those by
    which they are given.  Where ``exact``, the splits get their
    shares of the number of patients, and none is empty as long as there are patients enough.
    Otherwise a patient goes where its own hash says, and only where a split would be empty, those
    go there whose hash is nearest to it.  So one patient more moves no other, and what differs
    between two data sets stays one patient, as the privacy claim says; small shares are rough.
    """
    new_ones = set(patients) - known.keys()
    places = {each: keyed_place((names or {}).get(each, each), key) for each in new_ones}
    new = sorted(places, key=places.__getitem__)
    if exact:
        return dict(known) | _by_number(known, new, validation, test)
    found = dict(known) | {name: _split_at(places[name], validation, test) for name in new}
    for split in ("train", "validation", "test"):
        if split not in found.values() and (near := _nearest(split, new, found)):
            found[near] = split
    return found


def frozen_splits_of_groups(
    known: Mapping[str, SplitName],
    groups: Sequence[Collection[str]],
    validation: float,
    test: float,
    key: bytes,
    exact: bool,
    names: Mapping[str, str] | None = None,
) -> dict[str, SplitName]:
    """Return patient → split, where each of the ``groups`` of patients wants all three splits.

    A patient has one split, also one who is in several groups.  Each group is divided as
    :func:`frozen_splits` does, the smallest first, as it has the least choice.  Where ``exact``,
    other draws are tried as long as a group of three patients or more has an empty split.
    """
    # With privacy a patient's split must not depend on a search over all patients.
    draws = MAX_DRAWS if exact else 1
    given = names or {}
    ordered = sorted(groups, key=lambda of: (len(of), sorted(given.get(each, each) for each in of)))
    best, most = dict(known), -1
    for draw in range(draws):
        drawn = key if draw == 0 else key + b" draw %d" % draw
        found = dict(known)
        for group in ordered:
            inside = {name: found[name] for name in group if name in found}
            found |= frozen_splits(inside, group, validation, test, drawn, exact, names)
        filled = sum(len({found[name] for name in group}) for group in ordered)
        if filled > most:
            best, most = found, filled
        if most == sum(min(len(SPLITS), len(group)) for group in ordered):
            break
    return best


def _by_number(
    known: Mapping[str, SplitName], new: list[str], validation: float, test: float
) -> dict[str, SplitName]:
    """Divide new patients so that test and validation get their numbers, one at least."""
    total, found = len(known) + len(new), dict[str, SplitName]()
    left = iter(new)
    shares: tuple[tuple[SplitName, float], ...] = (("test", test), ("validation", validation))
    spare = len(new) - ("train" not in known.values())  # one stays for training
    for split, share in shares:
        wanted = max(1, round(share * total)) - sum(each == split for each in known.values())
        for _ in range(min(wanted, spare)):
            found[next(left)] = split
            spare -= 1
    return found | dict.fromkeys(left, "train")


def _split_at(place: float, validation: float, test: float) -> SplitName:
    # As clients.data.partition.keyed_splits has it: test first, then validation, then training.
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def _nearest(empty: str, new: list[str], found: Mapping[str, SplitName]) -> str | None:
    """Return the new patient to move into an empty split, from one that can spare it.

    ``new`` are in the order of their hashes: the first would be tested, the last trained on.
    """
    sizes = {split: sum(each == split for each in found.values()) for split in SPLITS}
    spare = [name for name in new if sizes[found[name]] > 1]
    if not spare:
        return None
    match empty:
        case "test":
            return spare[0]
        case "train":
            return spare[-1]
        case _:
            # Between the two: the lowest of those trained on, else the highest of those tested.
            trained = [name for name in spare if found[name] == "train"]
            return trained[0] if trained else spare[-1]
