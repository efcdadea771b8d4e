"""Translate pydantic's errors about a field into words for the person who corrects the file.

Each line names the place, the value found, the value expected, and the correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic_core import ErrorDetails

from clients.partition_settings import ByClassPartition, DirichletPartition, SharesPartition
from clients.settings import FileData, NpzData, PhantomData
from srflm_flower.federation.places import place, short

_CHOICES: Mapping[str, tuple[type[Any], ...]] = {
    "source": (PhantomData, NpzData, FileData),
    "kind": (DirichletPartition, ByClassPartition, SharesPartition),
}

_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "path_type": "a path as text in quotes",
    "bool_type": "true or false",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number not less than {ge:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number not greater than {le:g}",
    "too_short": "an array of at least {min_length}",
    "too_long": "an array of at most {max_length}",
    "tuple_type": "an array",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def problems_within(error: ErrorDetails) -> list[str]:
    """Translate one of pydantic's errors into lines for the user."""
    where, found = ".".join(map(str, place(error["loc"]))), short(error["input"])
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error" if not where:  # of a validator of the whole file: complete lines
            return str(context["error"]).splitlines()
        case "value_error":
            return [f"{where}: found {found}; {context['error']}"]
        case "extra_forbidden":
            return [
                f"{where}: found an unknown key; expected a documented one; correct or remove it"
            ]
        case "missing":
            return [f"{where}: found nothing; expected a value; add it"]
        case "union_tag_not_found":
            key = context["discriminator"].strip("'")
            return [f"{where}.{key}: found nothing; expected one of {_choices(key)}; add it"]
        case "union_tag_invalid":
            key = context["discriminator"].strip("'")
            where, found = f"{where}.{key}", repr(context["tag"])
    return [f"{where or 'the file'}: found {found}; expected {_expected(error)}; change it"]


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            # pydantic writes: 'a', 'b' or 'c'.
            choices = str(context["expected"]).replace(" or ", ", ")
            return f"one of {choices}" if ", " in choices else choices
        case "union_tag_invalid":
            return f"one of {context['expected_tags']}"
        case "string_pattern_mismatch":
            letters = "letters" if "A-Z" in context["pattern"] else "lower-case letters"
            return f"1 to 40 {letters}, digits, '_', '-' or '.', the first a letter or digit"
        case "tuple_type" if error["loc"] == ("vendors",):
            return "an array of [[vendors]] tables"
        case kind if kind in _EXPECTED:
            return _EXPECTED[kind].format(**context)
    return error["msg"]


def _choices(key: str) -> str:
    return ", ".join(
        repr(get_args(model.model_fields[key].annotation)[0]) for model in _CHOICES[key]
    )
