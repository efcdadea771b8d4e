"""Results as rows: plain dicts, and a data frame where pandas is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]


class Rows(list[Row]):
    """A list of dicts that have the same keys."""

    def frame(self) -> DataFrame:
        """Return the rows as a data frame of pandas.

        Raises :class:`ConfigurationError` where pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ConfigurationError(
                "results asked for as a data frame, without pandas",
                "an installation with the extra `frames`",
                'pip install "srflm-flower[frames]"; the rows are plain dicts without it',
            ) from error
        return DataFrame(self)

    def where(self, **values: object) -> Rows:
        """Return the rows that have these values."""
        return Rows(row for row in self if all(row[name] == v for name, v in values.items()))
