"""Federation files of a few lines, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.errors import ConfigurationError

TWO_VENDORS = '[[vendors]]\nname = "a"\n[[vendors]]\nname = "b"\n'


def loaded(folder: Path, text: str) -> Federation:
    path = folder / "federation.toml"
    path.write_text(text, encoding="utf-8")
    return load_federation(path)


def problems_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    return caught.value.found
