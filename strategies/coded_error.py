"""The form of every error: a code, and one line each on what was found, expected, the remedy."""

from __future__ import annotations

from typing import Final


class SrflmError(Exception):
    """An error with a code, and one line each on what was found, expected, and how to mend it.

    The ``codes`` of a subclass are its constants in upper case, in their order; the first one is
    used if ``code`` is not given.
    """

    default_code: Final = "SRFLM-0"
    codes: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        # A subclass with one code sets ``codes`` itself and has no constants.
        named = (value for name, value in vars(cls).items() if name.isupper())
        cls.codes = tuple(named) or cls.codes

    def __init__(self, found: str, expected: str, mend: str, code: str | None = None) -> None:
        self.found, self.expected, self.mend = found, expected, mend
        self.code = code or (self.codes[0] if self.codes else self.default_code)
        super().__init__(f"[{self.code}] found: {found}; expected: {expected}; to mend it: {mend}")

    # Exception's own __reduce__ would call the class with the one text that __init__ passes on.
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.found, self.expected, self.mend, self.code)
