"""Read the network of a MONAI bundle: the entry ``network_def`` of its configuration.

The name of the class is looked up among the networks that a federation may name; the class is not
made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai.networks import nets

from clients.bundles.plain import PARTS, PlainValues, refused
from clients.networks.arguments import DECIDED, SIZES, nearest, parameters_of
from clients.networks.by_name import OWN, names_of_networks
from strategies.errors import ConfigurationError

ENTRY = "network_def"
PACKAGE = "monai.networks.nets"

_DIMENSIONS = ("spatial_dims",)
_INPUTS = ("in_channels", "n_input_channels", "num_channels")
_OUTPUTS = ("out_channels", "num_classes", "classes")
_IGNORED = ("_target_", "_desc_")  # a description says nothing to a program
_WORDS = {
    "_requires_": "other entries that would be run first",
    "_mode_": "a way to run the class, such as a debugger",
    "_disabled_": "a switch that another entry may turn",
}


@dataclass(frozen=True)
class Definition:
    """A network's name, its own arguments, and what its task must be.

    None stands for what the definition does not say; ``left_out`` has the arguments that are never
    taken over, because they would fetch weights.
    """

    network: str
    arguments: dict[str, Any]
    spatial_dims: int | None
    in_channels: int | None
    outputs: int | None
    size: tuple[int, ...] | None
    left_out: tuple[str, ...]


def definition_in(entries: Mapping[str, Any]) -> Definition:
    """Return the definition among the entries of a configuration.

    Raises :class:`ConfigurationError`, which names the entry, for whatever is not the name of a
    network with plain arguments.
    """
    table = entries.get(ENTRY)
    if isinstance(table, str) and table.lstrip()[:1] in PARTS:
        raise refused(ENTRY, PARTS[table.lstrip()[:1]])
    if not isinstance(table, dict):
        found = "no entry" if table is None else f"a {type(table).__name__}"
        raise ConfigurationError(
            f"{found} {ENTRY}",
            f"an entry {ENTRY} with the name of a network (_target_) and its arguments",
            "name the configuration file of the bundle that has it",
        )
    for key in table:
        if not isinstance(key, str):  # in YAML
            raise refused(ENTRY, "a key that is no text")
        if key.startswith("_") and key not in _IGNORED:
            raise refused(f"{ENTRY}::{key}", _WORDS.get(key, "a word that is not known here"))
    name = _class_named(table.get("_target_"))
    values = PlainValues(entries)
    given = {
        key: values.take(value, f"{ENTRY}::{key}")
        for key, value in table.items()
        if key not in _IGNORED
    }
    return _definition(name, given)


def _class_named(target: Any) -> str:
    """Return the name under which a federation knows the class; a bundle may give its module."""
    if not isinstance(target, str):
        raise refused(f"{ENTRY}::_target_", "no text" if target is not None else "no such entry")
    module, _, name = target.rpartition(".")
    known = set(names_of_networks()) - OWN.keys()
    found = vars(nets).get(name)
    # MONAI looks a bare name up in all of itself; here it means a network or nothing.
    if name in known and module in ("", PACKAGE, getattr(found, "__module__", None)):
        return name
    near = nearest(name, known) if module in ("", PACKAGE) else []
    raise ConfigurationError(
        f"{ENTRY}::_target_ = {target[:80]!r}",
        f"a class of {PACKAGE}" + (f", such as {', '.join(near)}" if near else ""),
        "take a bundle with such a network; scripts of a bundle are never run",
    )


def _definition(name: str, given: dict[str, Any]) -> Definition:
    known = parameters_of(getattr(nets, name))

    def decided(names: tuple[str, ...], kinds: type | tuple[type, ...]) -> Any:
        for each in names:
            if each in given and each in known:
                value = given.pop(each)
                if isinstance(value, bool) or not isinstance(value, kinds):
                    raise refused(f"{ENTRY}::{each}", f"{str(value)[:60]!r}, which is no size")
                return value
            if each in known and isinstance(known[each].default, int):
                return known[each].default
        return None

    dims, channels, outputs = (decided(names, int) for names in (_DIMENSIONS, _INPUTS, _OUTPUTS))
    sizes = tuple(each for each in SIZES if known.get(each) and _is_needed(known[each]))
    if dims is not None and dims not in (2, 3):
        raise ConfigurationError(
            f"network {name!r} for images of {dims} dimensions",
            "images of 2 or 3 dimensions",
            "take another bundle",
        )
    if channels is not None and channels < 1:
        raise refused(f"{ENTRY}, its channels", f"{channels}, which is no number of channels")
    size = decided(sizes, (int, list))
    left_out = tuple(each for each in given if each in known and each in DECIDED)
    for each in left_out:
        del given[each]
    arguments = {}
    for each, value in given.items():
        if value is None and each in known and known[each].default is not None:
            # TOML has no null.
            raise refused(f"{ENTRY}::{each}", "null, which a federation file cannot say")
        if value is not None or each not in known:
            arguments[each] = value
    shape = None
    if size is not None:
        shape = (size,) * (dims or 1) if isinstance(size, int) else tuple(size)
        if not shape or not all(isinstance(each, int) and each > 0 for each in shape):
            raise refused(f"{ENTRY}::{sizes[0]}", f"{str(size)[:60]}, which is no size")
    return Definition(name, arguments, dims, channels, outputs, shape, left_out)


def _is_needed(parameter: Any) -> bool:
    return parameter.default is parameter.empty
