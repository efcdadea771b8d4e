"""Rules of the error tree."""

from __future__ import annotations

import pickle
import re

import pytest

from strategies import errors
from strategies.errors import INTERNAL_ERROR, NO_REPLY, SrflmError

CLASSES = SrflmError.__subclasses__()


def test_tree_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert [cls.__name__ for cls in CLASSES] == drawn
    assert [below for cls in CLASSES for below in cls.__subclasses__()] == []


def test_codes_are_unique_and_well_formed() -> None:
    codes = [code for cls in CLASSES for code in cls.codes] + [INTERNAL_ERROR, NO_REPLY]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"SRFLM-[A-Z]\d+", code) for code in codes)
    assert all(len({code.rstrip("0123456789") for code in cls.codes}) == 1 for cls in CLASSES)


def test_every_named_code_is_listed() -> None:
    for cls in CLASSES:
        named = {v for k, v in vars(cls).items() if k.isupper() and isinstance(v, str)}
        assert named <= set(cls.codes)


@pytest.mark.parametrize("cls", CLASSES)
def test_default_code_is_the_first_of_the_class(cls: type[SrflmError]) -> None:
    assert cls("a", "b", "c").code == cls.codes[0]
    assert cls("a", "b", "c", cls.codes[-1]).code == cls.codes[-1]


@pytest.mark.parametrize("cls", CLASSES)
def test_error_survives_pickling_between_processes(cls: type[SrflmError]) -> None:
    error = cls("a file", "a folder", "make one", cls.codes[-1])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert (again.code, again.found, again.expected, again.mend) == (
        cls.codes[-1],
        "a file",
        "a folder",
        "make one",
    )
    assert str(again) == str(error)


def test_text_says_what_was_found_what_was_expected_and_how_to_mend_it() -> None:
    text = str(SrflmError("a file", "a folder", "make one"))
    assert text == "[SRFLM-0] found: a file; expected: a folder; to mend it: make one"
