"""Fingerprints in words: 132 bits, read and heard without a mistake that goes unnoticed."""

from __future__ import annotations

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from deploy.identity.words import BITS, are_words_of, in_lines, word_list, words_of

KNOWN = "drift attitude rail mixture face burger number neither guard angle flash safe"
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")


@given(DIGESTS)
def test_words_stand_for_the_first_132_bits(digest: str) -> None:
    number = 0
    for word in words_of(digest).split():
        number = number << 11 | word_list().index(word)
    assert number == int(digest, 16) >> (256 - BITS)


@given(DIGESTS, st.integers(0, 255))
def test_one_bit_of_the_first_132_changes_the_words(digest: str, bit: int) -> None:
    other = f"{int(digest, 16) ^ 1 << (255 - bit):064x}"
    assert (words_of(other) != words_of(digest)) == (bit < BITS)
    assert are_words_of(words_of(other), digest) == (bit >= BITS)


def test_words_are_told_apart_by_four_letters() -> None:
    assert len({word[:4] for word in word_list()}) == len(word_list()) == 2048


@given(DIGESTS)
def test_numbers_commas_and_capitals_do_not_matter(digest: str) -> None:
    words = words_of(digest)
    spoken = ", ".join(f"{n}. {word.upper()}" for n, word in enumerate(words.split(), start=1))
    assert are_words_of(spoken, digest)
    assert are_words_of(in_lines(words), digest)
    assert not are_words_of(" ".join(words.split()[:11]), digest)
    assert not are_words_of("", digest)


def test_words_of_a_known_digest_stay_the_same() -> None:
    """Two versions must show the same words."""
    words = words_of(hashlib.sha256(b"srflm").hexdigest())
    assert re.fullmatch(r"([a-z]+ ){11}[a-z]+", words)
    assert words == KNOWN
