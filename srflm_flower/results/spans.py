"""Term numbers in words.  Pure."""

from __future__ import annotations

from collections.abc import Sequence


def terms(numbers: Sequence[int]) -> str:
    """Write term numbers with their noun: ``term 4``, ``terms 8 and 9``, ``terms 1 and 4–6``."""
    parts = [
        part
        for first, last in _groups(numbers)
        for part in ([str(first), str(last)] if last == first + 1 else [_span(first, last)])
    ]
    named = " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
    return f"term{'s' if len(numbers) > 1 else ''} {named}"


def spans(numbers: Sequence[int]) -> str:
    """Write ascending numbers as spans: ``1, 4–6``."""
    return ", ".join(_span(first, last) for first, last in _groups(numbers))


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def _groups(numbers: Sequence[int]) -> list[tuple[int, int]]:
    groups: list[tuple[int, int]] = []
    for number in numbers:
        if groups and number == groups[-1][1] + 1:
            groups[-1] = (groups[-1][0], number)
        else:
            groups.append((number, number))
    return groups
