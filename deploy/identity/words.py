"""Fingerprints as twelve words, to be read over the telephone.

Each word is one of the 2,048 of BIP-39's English list, so it stands for 11 bits, and twelve words
are the first 132 bits of a SHA-256: nobody can make two things with the same twelve.  The list is
made for being read aloud: no two words begin with the same four letters.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from mnemonic import Mnemonic

WORDS: Final = 12
BITS_A_WORD: Final = 11
BITS: Final = WORDS * BITS_A_WORD


@cache
def word_list() -> tuple[str, ...]:
    """Return the 2,048 words; a word's place is its number."""
    return tuple(Mnemonic("english").wordlist)


def words_of(digest: str) -> str:
    """Return the first 132 bits of ``digest`` (a SHA-256, hexadecimal) as twelve words."""
    number = int(digest, 16) >> (4 * len(digest) - BITS)
    places = range(BITS - BITS_A_WORD, -1, -BITS_A_WORD)
    return " ".join(word_list()[number >> place & (1 << BITS_A_WORD) - 1] for place in places)


def in_lines(words: str) -> str:
    """Return twelve words in two lines of six, as they are read out."""
    parts = words.split()
    return "\n".join("  " + " ".join(parts[start : start + 6]) for start in (0, 6))


def are_words_of(heard: str, digest: str) -> bool:
    """Return whether somebody has read out the words of ``digest``.

    Capital letters, commas, and numbers before the words do not matter.
    """
    return re.findall(r"[a-z]+", heard.lower()) == words_of(digest).split()
