"""Rules against a server that sends what it likes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.errors import MessageRefused
from strategies.protocol.secure_nouns import KeyCard
from strategies.secure_aggregation.client import begin
from strategies.secure_aggregation.keys import card_statement, public_of
from tests.support.aggregation import SERVER, Aggregation, context, random_inputs

SIZE = 8


def after(phase: str, count: int = 4, fewest: int = 1) -> Aggregation:
    """Return an aggregation that has come through ``phase``."""
    aggregation = Aggregation(count, fewest=fewest)
    vendors = list(aggregation.clients)
    inputs = random_inputs(vendors, SIZE)
    steps = {
        "keys": lambda: aggregation.advertise(vendors),
        "shares": lambda: aggregation.share(vendors),
        "masked": lambda: aggregation.mask(inputs, vendors),
        "confirm": lambda: aggregation.confirm(vendors),
    }
    for name, step in steps.items():
        step()
        if name == phase:
            break
    return aggregation


def share_with(aggregation: Aggregation, cards: tuple[KeyCard, ...], vendor: str = "c0") -> None:
    aggregation.notes[vendor] = aggregation.clients[vendor].share(aggregation.notes[vendor], cards)


# ---- keys ------------------------------------------------------------------------------------


def test_second_list_of_keys_is_refused() -> None:
    aggregation = after("shares")
    with pytest.raises(MessageRefused, match="second list of keys"):
        share_with(aggregation, aggregation.cards[:3])


def test_two_lists_of_keys_for_two_clients_are_caught() -> None:
    aggregation = after("keys")
    share_with(aggregation, aggregation.cards[:3], "c0")
    for vendor in ("c1", "c2", "c3"):
        share_with(aggregation, aggregation.cards, vendor)
    aggregation.sealed = {v: aggregation.notes[v].sealed for v in ("c0", "c1", "c2")}
    for vendor in ("c0", "c1", "c2"):
        with pytest.raises(MessageRefused, match="cannot be opened"):
            aggregation.receive(vendor)


def test_signatures_of_clients_with_different_lists_do_not_add_up() -> None:
    """Two servers' worth of lists: clients that confirm the same names, of other keys."""
    aggregation, other = after("confirm"), after("confirm")
    mixed = {v: aggregation.signatures[v] for v in ("c0", "c1")}
    mixed |= {v: other.signatures[v] for v in ("c2", "c3")}
    aggregation.signatures = mixed
    with pytest.raises(MessageRefused, match="2 clients that agree"):
        aggregation.release(["c0"])


def test_same_list_twice_has_the_same_answer() -> None:
    aggregation = after("shares")
    before = aggregation.notes["c0"]
    share_with(aggregation, tuple(reversed(aggregation.cards)))
    assert aggregation.notes["c0"] == before


@pytest.mark.parametrize("field", ["share_key", "mask_key", "commitment"])
def test_key_of_the_server_in_a_clients_name_is_refused(field: str) -> None:
    aggregation = after("keys")
    first, second, *rest = aggregation.cards
    forged = second.model_copy(update={field: public_of(bytes(range(32)))})
    with pytest.raises(MessageRefused) as refused:
        share_with(aggregation, (first, forged, *rest))
    assert refused.value.code == MessageRefused.SIGNATURE


def test_key_signed_by_another_vendor_is_refused() -> None:
    aggregation = after("keys")
    first, second, *rest = aggregation.cards
    statement = card_statement(aggregation.context, second)
    forged = second.model_copy(update={"signature": aggregation.clients["c2"].keys.sign(statement)})
    with pytest.raises(MessageRefused) as refused:
        share_with(aggregation, (first, forged, *rest))
    assert refused.value.code == MessageRefused.SIGNATURE


@pytest.mark.parametrize(
    "fields",
    [
        {"term": 2},
        {"attempt": 4},
        {"round": 2},
        {"session": "1" * 32},
        {"server": "c3"},
        {"model": "b" * 64},
        {"federation": "e" * 64},
    ],
)
def test_keys_of_another_aggregation_are_refused(fields: dict[str, object]) -> None:
    aggregation = after("keys")
    older = begin(context(**fields))
    replayed = aggregation.clients["c1"].card(older)
    cards = tuple(replayed if card.vendor == "c1" else card for card in aggregation.cards)
    with pytest.raises(MessageRefused) as refused:
        share_with(aggregation, cards)
    assert refused.value.code == MessageRefused.SIGNATURE


def test_list_must_have_the_own_keys_and_clients_once_each() -> None:
    aggregation = after("keys")
    c0, c1, c2, c3 = aggregation.cards
    own_of_another_time = aggregation.clients["c0"].card(begin(aggregation.context))
    stranger = c3.model_copy(update={"vendor": "stranger"})
    server = c3.model_copy(update={"vendor": SERVER})
    for cards in (
        (c1, c2, c3),
        (own_of_another_time, c1, c2, c3),
        (c0, c1, c2, c2),
        (c0, c1, c2, stranger),
        (c0, c1, c2, server),
        (c0, c1),
        (),
    ):
        with pytest.raises(MessageRefused) as refused:
            share_with(aggregation, cards)
        assert refused.value.code == MessageRefused.INCONSISTENT


def test_key_of_low_order_is_refused() -> None:
    aggregation = after("keys")
    weak = aggregation.cards[1].model_copy(update={"share_key": "00" * 32, "signature": ""})
    statement = card_statement(aggregation.context, weak)
    signed = weak.model_copy(update={"signature": aggregation.clients["c1"].keys.sign(statement)})
    with pytest.raises(MessageRefused, match="low order"):
        share_with(aggregation, (aggregation.cards[0], signed, *aggregation.cards[2:]))


# ---- shares and survivors --------------------------------------------------------------------


def test_shares_that_were_changed_or_swapped_are_refused() -> None:
    aggregation = after("shares")
    right = {sender: sent["c0"] for sender, sent in aggregation.sealed.items()}
    for wrong in (
        right | {"c1": right["c2"]},
        right | {"c1": aggregation.sealed["c1"]["c2"]},
        right | {"c1": right["c1"][:-2] + "00"},
        right | {"c1": "no hexadecimal"},
        right | {"c1": ""},
    ):
        with pytest.raises(MessageRefused) as refused:
            aggregation.clients["c0"].receive(aggregation.notes["c0"], wrong)
        assert refused.value.code == MessageRefused.INCONSISTENT


def test_second_set_of_sharers_is_refused() -> None:
    aggregation = after("masked")
    fewer = {sender: aggregation.sealed[sender]["c0"] for sender in ("c0", "c1", "c2")}
    with pytest.raises(MessageRefused, match="second set of sharers"):
        aggregation.clients["c0"].receive(aggregation.notes["c0"], fewer)


def test_second_update_under_one_mask_is_refused() -> None:
    aggregation = after("masked")
    other = random_inputs(["c0"], SIZE, seed=1)["c0"]
    with pytest.raises(MessageRefused, match="second update"):
        aggregation.clients["c0"].commit_to(aggregation.notes["c0"], other)


def test_second_set_of_survivors_is_refused() -> None:
    aggregation = after("confirm")
    with pytest.raises(MessageRefused, match="second set of survivors"):
        aggregation.clients["c0"].confirm(aggregation.notes["c0"], ["c0", "c1", "c2"])


def test_two_sets_of_survivors_for_two_groups_reveal_nothing() -> None:
    aggregation = after("masked", count=5)
    groups = {"c0": ["c0", "c1", "c2"], "c1": ["c0", "c1", "c2"]}
    groups |= {"c2": ["c2", "c3", "c4"], "c3": ["c2", "c3", "c4"], "c4": ["c2", "c3", "c4"]}
    for vendor, survivors in groups.items():
        notes = aggregation.clients[vendor].confirm(aggregation.notes[vendor], survivors)
        aggregation.notes[vendor] = notes
        aggregation.signatures[vendor] = aggregation.clients[vendor].confirmation(notes)
    with pytest.raises(MessageRefused, match="2 clients that agree"):
        aggregation.release(["c0"])
    aggregation.release(["c2"])  # three of five: no other set can have as many


@pytest.mark.parametrize(
    "survivors",
    [[], ["c0"], ["c1", "c2", "c3"], ["c0", "c1", "c1"], ["c0", "c1", "c2", "stranger"]],
)
def test_survivors_must_be_enough_sharers_with_this_site(survivors: list[str]) -> None:
    aggregation = after("masked")
    with pytest.raises(MessageRefused):
        aggregation.clients["c0"].confirm(aggregation.notes["c0"], survivors)


def test_shares_are_not_released_before_a_majority_has_confirmed() -> None:
    aggregation = after("masked")
    with pytest.raises(MessageRefused, match="request for shares"):
        aggregation.release(["c0"])
    aggregation.confirm(aggregation.clients)
    signatures = aggregation.signatures
    forged = dict.fromkeys(signatures, signatures["c0"])
    for too_few in ({}, {v: signatures[v] for v in ("c0", "c1")}, forged):
        aggregation.signatures = too_few
        with pytest.raises(MessageRefused, match="clients that agree"):
            aggregation.release(["c0"])


@settings(max_examples=60, deadline=None)
@given(
    sets=st.lists(st.sets(st.sampled_from(["c0", "c1", "c2", "c3", "c4"])), min_size=1, max_size=6)
)
def test_no_order_of_questions_reveals_both_secrets_of_one_peer(sets: list[set[str]]) -> None:
    aggregation = after("masked", count=5)
    seeds, mask_keys = set(), set()
    for survivors in sets:
        for vendor in aggregation.clients:
            client = aggregation.clients[vendor]
            try:
                aggregation.notes[vendor] = client.confirm(aggregation.notes[vendor], survivors)
                aggregation.signatures[vendor] = client.confirmation(aggregation.notes[vendor])
            except MessageRefused:
                continue
        for vendor in aggregation.clients:
            try:
                aggregation.release([vendor])
            except MessageRefused:
                continue
            for owner, share in aggregation.released[vendor].items():
                is_seed = share == aggregation.notes[vendor].seeds[owner]
                (seeds if is_seed else mask_keys).add(owner)
    assert not seeds & mask_keys
