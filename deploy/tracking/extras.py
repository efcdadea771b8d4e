"""Packages that few need: extras of this one, and the error that names them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from strategies.errors import ConfigurationError


def needed(module: str, extra: str) -> ModuleType:
    """Import a module of an extra; raise :class:`ConfigurationError` if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"no package for `--to {extra}` ({error})",
            f"the extra {extra} of srflm-flower",
            f"pip install 'srflm-flower[{extra}]'",
        ) from error
