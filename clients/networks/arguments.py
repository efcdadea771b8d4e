"""Check a network's arguments, as a file gives them, against the signature of its class."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from strategies.errors import ConfigurationError

SIZES = ("img_size", "image_size", "input_image_size", "in_shape", "out_shape", "input_shape")
"""Parameters for the images' size: the task decides them where they have no default."""

DECIDED = frozenset(
    {
        *("spatial_dims", "in_channels", "n_input_channels", "num_channels"),
        *("out_channels", "num_classes", "classes"),
        # No constructor may reach a network.
        *("pretrained", "pretrained_url", "pretrained_state_dict_key", "weights"),
    }
)
"""Parameters whose values follow from the task, or are the same for all: no file gives them."""

_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "an array",
    tuple: "an array",
    Sequence: "an array",
    Collection: "an array",
    Iterable: "an array",
}
_ANYTHING = frozenset(_KINDS.values())


def parameters_of(network: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Return name → parameter of the constructor, with those that ``**kwargs`` hands to a base.

    Their annotations are types, not texts.  A base's parameter has a default here: the class itself
    fills in the others.
    """
    found: dict[str, inspect.Parameter] = {}
    for base in network.__mro__:
        if "__init__" not in vars(base):
            continue
        hints = typing.get_type_hints(base.__init__)  # type: ignore[misc]
        handed_on = False
        for name, each in list(inspect.signature(base.__init__).parameters.items())[1:]:  # type: ignore[misc]
            if each.kind is each.VAR_KEYWORD:
                handed_on = True
            elif each.kind is not each.VAR_POSITIONAL and name not in found:
                typed = each.replace(annotation=hints.get(name, Any))
                found[name] = typed.replace(default=None) if base is not network else typed
        if not handed_on:
            break
    return found


def is_decided(parameter: inspect.Parameter) -> bool:
    """Whether the task gives the value of this parameter."""
    needed = parameter.default is parameter.empty
    return parameter.name in DECIDED or (parameter.name in SIZES and needed)


def check_arguments(
    name: str, known: Mapping[str, inspect.Parameter], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments with arrays of the kind that the constructor wants.

    Raises :class:`ConfigurationError` for a name that the constructor does not have, that the task
    decides, or that is missing, and for a value of a wrong kind.
    """
    open_to_files = [each for each, parameter in known.items() if not is_decided(parameter)]
    for each in arguments:
        if each in known and is_decided(known[each]):
            raise ConfigurationError(
                f"model.arguments.{each} for network {name!r}",
                "arguments of the network only; this one follows from the task, or is never given",
                f"remove {each}",
            )
        if each not in known:
            raise ConfigurationError(
                f"model.arguments.{each}, which network {name!r} does not have",
                f"{_among('one of', nearest(each, open_to_files), open_to_files)}",
                "correct the name, or remove it",
            )
    for each in open_to_files:
        _check_given(name, known[each], arguments)
    return {each: _checked(name, known[each], value) for each, value in arguments.items()}


def nearest(word: str, names: Collection[str]) -> list[str]:
    """Return up to three of the names that are spelt most like ``word``, the nearest first."""
    plain = {_plain(name): name for name in sorted(names, reverse=True)}
    return [plain[each] for each in difflib.get_close_matches(_plain(word), plain, 3, 0.5)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _among(words: str, near: Sequence[str], names: Collection[str]) -> str:
    chosen = near or sorted(names)
    return f"{words} {', '.join(chosen)}" if chosen else "no arguments"


def _check_given(name: str, known: inspect.Parameter, arguments: Mapping[str, Any]) -> None:
    """Raise for a parameter that needs a value and has none."""
    if known.default is not known.empty or known.name in arguments:
        return
    if known.kind is known.VAR_POSITIONAL:
        return
    if not (kinds := _kinds(known.annotation)):
        raise ConfigurationError(
            f"network {name!r}, whose argument {known.name} is a part of a program",
            "a network that is made of numbers, texts and arrays",
            "name another network",
        )
    raise ConfigurationError(
        f"network {name!r} without {known.name}",
        f"{known.name} in [model.arguments]: {_or(kinds)}",
        f"add {known.name} = …",
    )


def _checked(name: str, known: inspect.Parameter, value: Any) -> Any:
    kinds = _kinds(known.annotation)
    if _kind_of(value) not in kinds and not (
        _kind_of(value) == _KINDS[int] and _KINDS[float] in kinds
    ):
        raise ConfigurationError(
            f"model.arguments.{known.name} = {str(value)[:60]!r} for network {name!r}",
            _or(kinds) if kinds else "no value in a file: it is a part of a program",
            f"correct {known.name}" if kinds else f"remove {known.name}",
        )
    parts = _parts(known.annotation)
    # Bundles give lists everywhere, so MONAI's networks take them but where they say tuple only.
    as_tuple = tuple in parts and not {list, Sequence, Any} & parts
    return _array(value, tuple if as_tuple else list)


def _array(value: Any, kind: type[list[Any]] | type[tuple[Any, ...]]) -> Any:
    return kind(_array(each, kind) for each in value) if isinstance(value, list | tuple) else value


def _kind_of(value: Any) -> str:
    return _KINDS[type(value)]


def _kinds(hint: Any) -> frozenset[str]:
    """Return the kinds of plain values that a parameter takes, in words; none: no plain value."""
    parts = _parts(hint)
    return _ANYTHING if Any in parts else frozenset(_KINDS[each] for each in parts & _KINDS.keys())


def _parts(hint: Any) -> frozenset[Any]:
    """Return the types of a union, each without what stands in its brackets."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*map(_parts, typing.get_args(hint)))
    if origin is typing.Literal:
        return frozenset(map(type, typing.get_args(hint)))
    return frozenset([origin or (Any if hint is inspect.Parameter.empty else hint)])


def _or(kinds: frozenset[str]) -> str:
    if kinds == _ANYTHING:
        return "a value"
    return " or ".join(sorted(kinds - ({_KINDS[int]} if _KINDS[float] in kinds else set())))
