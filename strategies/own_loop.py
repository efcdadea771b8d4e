"""The steps of Flower's loop, for a strategy that has a loop of its own."""

from __future__ import annotations

from typing import NoReturn

from flwr.serverapp.strategy import Strategy


class OwnLoop(Strategy):
    """A Flower strategy whose ``start`` replaces Flower's loop of train and evaluate.

    Flower's loop is the only caller of the four steps, so a call of one is a mistake: TypeError.
    """

    def configure_train(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise TypeError: the strategy has no such step."""
        raise TypeError(f"{type(self).__name__} has a loop of its own: call start()")

    aggregate_train = configure_evaluate = aggregate_evaluate = configure_train
