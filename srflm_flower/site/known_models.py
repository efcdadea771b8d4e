"""Look up the models that a message names, in the message and at the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flwr.app import Message

from clients.models.model_store import ModelStore
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.weights import Model, Weights, check_like


class NeedsModels(Exception):
    """The site lacks models that it is asked to work on; the server sends the message again."""

    def __init__(self, needs: Iterable[str]) -> None:
        self.needs = tuple(needs)
        super().__init__(f"needs {len(self.needs)} model(s)")


def find_models(
    message: Message, names: Iterable[str], at_hand: Mapping[str, Model], store: ModelStore
) -> dict[str, Model]:
    """Return models by hash, from the message, from ``at_hand``, or from disk, in this order.

    Raises :class:`NeedsModels` with the hashes of all missing models, and :class:`MessageRefused`
    for a model that is damaged or has another hash than the message claims.
    """
    found, needs = {}, []
    sent = _sent(message)
    for name in dict.fromkeys(names):  # each name once, in order
        if name in sent:
            found[name] = sent[name]
        elif name in at_hand:
            found[name] = at_hand[name]
        elif (stored := store.find(name)) is not None:
            found[name] = stored
        else:
            needs.append(name)
    if needs:
        raise NeedsModels(needs)
    return found


def alike(
    models: dict[str, Model], expected: Model, at_home: Weights | None = None
) -> dict[str, Model]:
    """Return ``models``, all of them finite weights of the network that ``expected`` has.

    A model may have the weights ``at_home`` too, which mostly stay at a site: all of them, or none.

    Raises :class:`strategies.errors.UpdateRejected` before anything is measured, or paid for.
    """
    for model in models.values():
        kept = at_home if at_home and at_home.keys() <= model.weights.keys() else {}
        check_like(model.weights, {**expected.weights, **kept})
    return models


def _sent(message: Message) -> dict[str, Model]:
    try:
        return wire.models_in(message.content)
    except ValueError as error:
        raise MessageRefused(
            str(error),
            "safetensors bytes with the hash that the message claims",
            "install the same version at every site, and look for a fault between the sites",
            MessageRefused.MODEL,
        ) from error
