"""Names of places in a federation file, and short forms of values, for its problem lines."""

from __future__ import annotations

from pathlib import Path

Location = tuple[int | str, ...]


def place(location: Location) -> Location:
    """Return the location as in the file, without the tags that pydantic adds for unions."""
    return tuple(
        part
        for index, part in enumerate(location)
        # pydantic puts the source after "data", and the kind after "partition" and "task".
        if not (index == 1 and location[0] in ("data", "task"))
        and not (index == 3 and location[:3:2] == ("data", "partition"))
    )


def short(value: object) -> str:
    """Return a value as the file would write it, cut to 60 characters."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case Path():
            text = repr(str(value))
        case dict():
            return "a table"
        case list() | tuple():
            text = repr(list(value))
        case str() | int() | float():
            text = repr(value)
        case _:
            text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
