"""A grid that does one thing in another way, and all else as the grid inside it."""

from __future__ import annotations

from typing import Any

from flwr.serverapp import Grid


class WrappedGrid:
    """Passes everything that a subclass does not define to the grid inside."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # before __init__, as in a copy, there is no grid to ask
            raise AttributeError(name)
        return getattr(self._grid, name)
