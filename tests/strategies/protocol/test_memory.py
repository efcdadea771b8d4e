"""Peers keep the newest memory of a vendor, and show it whatever the vendor has forgotten."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from strategies.protocol.memory import (
    NOUN,
    OWN,
    YOURS,
    Memories,
    Memory,
    is_genuine,
    lapse,
    memories_in,
    newest,
    signed_memory,
    with_memories,
)
from strategies.protocol.signatures import VendorKeys

FEDERATION = "f" * 64
PRIVATE = {vendor: Ed25519PrivateKey.generate() for vendor in "ab"}
PUBLIC = {vendor: key.public_key().public_bytes_raw().hex() for vendor, key in PRIVATE.items()}
KEYS = {vendor: VendorKeys(key, PUBLIC) for vendor, key in PRIVATE.items()}


def memory(start: int = 1, votes: int = 0, run: str = "x") -> Memory:
    """Return the memory of a site of ``a``."""
    return Memory(vendor="a", start=start, run=run, votes=votes)


@pytest.mark.parametrize(
    ("own", "shown", "expected"),
    [
        (memory(2, 5), memory(2, 5), None),
        (memory(2, 6), memory(2, 5), None),
        (memory(3, 5), memory(2, 5, "y"), None),
        (memory(2, 4), memory(2, 5), "votes"),
        (memory(3, 4), memory(2, 5, "y"), "votes"),
        (memory(2, 9), memory(3, 0, "y"), "newer-site"),
        (memory(2, 9), memory(2, 0, "y"), "newer-site"),
    ],
)
def test_lapse(own: Memory, shown: Memory, expected: str | None) -> None:
    assert lapse(own, shown) == expected


memories = st.builds(memory, st.integers(1, 3), st.integers(0, 3), st.sampled_from(["x", "y"]))


@given(st.lists(memories, max_size=8), memories)
def test_site_that_counts_has_forgotten_nothing_that_was_heard(
    said: list[Memory], last: Memory
) -> None:
    """Whatever a peer has heard and counted, it counts nothing later that lacks some of it."""
    heard: Memory | None = None
    counted: list[Memory] = []
    for each in [*said, last]:
        kept = newest(heard, each)
        if kept is not None:
            counted.append(each)
            heard = kept
    # Every message that counted knew of all starts and votes in those before it that counted.
    for before, after in pairwise(counted):
        if (after.start, after.run) != (before.start, before.run):
            assert lapse(after, before) is None
    # Whoever does not count is shown why.
    if newest(heard, last) is None:
        assert heard is not None
        assert lapse(last, heard) is not None


def test_only_the_vendor_can_sign_its_memory() -> None:
    own = signed_memory(memory(), FEDERATION, KEYS["a"])
    assert is_genuine(own, FEDERATION, KEYS["b"])
    assert not is_genuine(own, "0" * 64, KEYS["b"])
    assert not is_genuine(own.model_copy(update={"votes": 1}), FEDERATION, KEYS["b"])
    assert not is_genuine(signed_memory(memory(), FEDERATION, KEYS["b"]), FEDERATION, KEYS["b"])


def test_memories_travel_and_what_cannot_be_read_is_left_out() -> None:
    told = Memories(own=memory(), yours=memory(2))
    assert memories_in(with_memories(RecordDict(), told)) == told
    assert memories_in(RecordDict()) == Memories()
    junk = RecordDict({NOUN: ConfigRecord({OWN: "{", YOURS: told.own.model_dump_json()})})
    assert memories_in(junk) == Memories(yours=told.own)


def test_memories_cost_no_record_of_their_own_and_leave_the_rest_of_a_message_as_it_is() -> None:
    plain = RecordDict({NOUN: ConfigRecord({"json": "{}", "model:h": b"w"}), "r": ConfigRecord()})
    told = with_memories(plain, Memories(own=memory(), yours=memory(2)))
    assert told.keys() == plain.keys(), "each record is a request more on every hop"
    assert with_memories(told, Memories()) == plain
    assert with_memories(told, Memories(own=memory(3))) == with_memories(
        plain, Memories(own=memory(3))
    )
