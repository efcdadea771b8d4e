"""Laws of dividing patients for good."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.manifest.splits import frozen_splits, frozen_splits_of_groups
from clients.data.partition import keyed_splits
from clients.data.vendor_data import SPLITS

names = st.sets(st.text("abcdef", min_size=1, max_size=6), max_size=40)
keys = st.binary(min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(first=names, later=names, key=keys, exact=st.booleans())
def test_old_patient_never_moves(first: set[str], later: set[str], key: bytes, exact: bool) -> None:
    before = frozen_splits({}, first, 0.2, 0.2, key, exact)
    after = frozen_splits(before, first | later, 0.2, 0.2, key, exact)
    assert {name: after[name] for name in before} == before
    assert after.keys() == first | later


@settings(max_examples=200, deadline=None)
@given(patients=names, key=keys, exact=st.booleans())
def test_no_split_is_empty_where_there_are_patients_enough(
    patients: set[str], key: bytes, exact: bool
) -> None:
    found = frozen_splits({}, patients, 0.2, 0.2, key, exact)
    assert len(set(found.values())) == min(3, len(patients))


@settings(max_examples=100, deadline=None)
@given(patients=names, key=keys)
def test_division_is_that_of_folders_unless_a_split_would_be_empty(
    patients: set[str], key: bytes
) -> None:
    ordered = sorted(patients)
    rows = keyed_splits(ordered, 0.2, 0.2, key)
    if all(len(part) for part in rows):
        found = frozen_splits({}, patients, 0.2, 0.2, key, exact=False)
        for split, part in zip(SPLITS, rows, strict=True):
            assert {name for name in found if found[name] == split} == {ordered[n] for n in part}


@settings(max_examples=100, deadline=None)
@given(patients=st.sets(st.integers(0, 10**6), min_size=30, max_size=60), key=keys, data=st.data())
def test_one_patient_more_moves_no_other(
    patients: set[int], key: bytes, data: st.DataObject
) -> None:
    """The neighbour of a data set, as differential privacy has it, is divided as the data set."""
    named = {str(each) for each in patients}
    one = data.draw(st.sampled_from(sorted(named)))
    whole = frozen_splits({}, named, 0.2, 0.2, key, exact=False)
    without = frozen_splits({}, named - {one}, 0.2, 0.2, key, exact=False)
    sizes = Counter(whole.values())
    if min(sizes[split] for split in SPLITS) > 1:
        assert without == {name: split for name, split in whole.items() if name != one}


def test_shares_are_those_asked_for() -> None:
    found = Counter(
        frozen_splits({}, map(str, range(4000)), 0.25, 0.15, b"k", exact=False).values()
    )
    assert abs(found["validation"] / 4000 - 0.25) < 0.03
    assert abs(found["test"] / 4000 - 0.15) < 0.03


@settings(max_examples=100, deadline=None)
@given(
    first=st.integers(0, 60),
    later=st.integers(0, 60),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
)
def test_exact_shares_are_those_of_the_numbers(
    first: int, later: int, validation: float, test: float
) -> None:
    everyone = [str(n) for n in range(first + later)]
    before = frozen_splits({}, everyone[:first], validation, test, b"k", exact=True)
    found = Counter(frozen_splits(before, everyone, validation, test, b"k", exact=True).values())
    total = first + later
    if total < 3:
        return
    # Old patients stay, so a split may have kept more than its share of a larger number.
    kept = Counter(before.values())
    for split, share in (("validation", validation), ("test", test)):
        wanted = max(1, round(share * total), kept[split])
        assert found[split] == wanted or found["train"] <= max(1, kept["train"])
    assert sum(found.values()) == total and found["train"] >= 1


groups_of_patients = st.lists(st.sets(st.integers(0, 14), min_size=3, max_size=9), max_size=3)


@settings(max_examples=200, deadline=None)
@given(groups=groups_of_patients, later=groups_of_patients, key=keys, exact=st.booleans())
def test_old_patient_of_a_group_never_moves(
    groups: list[set[int]], later: list[set[int]], key: bytes, exact: bool
) -> None:
    first = [{str(name) for name in group} for group in groups]
    more = [*first, *({str(name) for name in group} for group in later)]
    before = frozen_splits_of_groups({}, first, 0.2, 0.2, key, exact)
    after = frozen_splits_of_groups(before, more, 0.2, 0.2, key, exact)
    assert {name: after[name] for name in before} == before
    assert after.keys() == set().union(*more)


@settings(max_examples=200, deadline=None)
@given(
    small=st.sets(st.integers(0, 14), min_size=3, max_size=9),
    large=st.sets(st.integers(0, 14), min_size=3, max_size=15),
    key=keys,
)
def test_two_vendors_with_common_patients_have_no_empty_split(
    small: set[int], large: set[int], key: bytes
) -> None:
    groups = [{str(name) for name in group} for group in (small, large)]
    found = frozen_splits_of_groups({}, groups, 0.2, 0.2, key, exact=True)
    for group in groups:
        assert {found[name] for name in group} == set(SPLITS)


def test_group_gets_its_shares_and_not_only_the_whole_folder() -> None:
    groups = [{f"a{n}" for n in range(10)}, {f"b{n}" for n in range(50)}]
    found = frozen_splits_of_groups({}, groups, 0.2, 0.2, b"k", exact=True)
    for group in groups:
        counts = Counter(found[name] for name in group)
        assert [counts[split] / len(group) for split in SPLITS] == [0.6, 0.2, 0.2]
