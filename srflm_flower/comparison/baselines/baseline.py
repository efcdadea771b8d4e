"""What a baseline is: a strategy of Flower's, and a vendor's work in a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flwr.app import RecordDict
from flwr.serverapp.strategy import FedAvg

from clients.guidance import PLAIN, Guidance
from clients.learner import Trained
from clients.training import Work
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.site.site import Site
from strategies.weights import Weights


@dataclass(frozen=True)
class Setup:
    """The numbers that a strategy may need; ``proximal`` is FedProx's μ."""

    vendors: int
    rounds: int
    proximal: float


@dataclass(frozen=True)
class Turn:
    """A vendor's work in a round of ``steps`` gradient steps, from the weights ``start``.

    ``start`` is a whole model: the server's weights, with the vendor's own for those that stay at
    home.  ``received`` are further arrays by record.  ``memory`` is what the vendor keeps between
    rounds, and ``own`` its own model of the last round, or the initial one.
    """

    site: Site
    start: Weights
    own: Weights
    received: Mapping[str, Weights]
    memory: RecordDict
    round_number: int
    steps: int
    proximal: float

    @property
    def learning_rate(self) -> float:
        """The rate of the round; work after the last round keeps the last rate."""
        federation = self.site.federation
        last = min(self.round_number, federation.run.rounds)
        return federation.term_plan().learning_rate_in(last)

    def train(
        self,
        start: Weights,
        steps: int,
        *,
        proximal: float = 0.0,
        guidance: Guidance = PLAIN,
        piece: int = 0,
    ) -> Trained:
        """Take ``steps`` gradient steps from ``start`` on the vendor's own data.

        Each ``piece`` of a round has an order of examples of its own.  Private training takes these
        steps instead of the agreed number, and spends for them.
        """
        learner, federation = self.site.learner, self.site.federation
        epochs = federation.training.client_epochs
        work = Work(self.learning_rate, epochs, steps, proximal, guidance)
        # The order follows from the number of the round: later numbers are those of no round.
        number = self.round_number + piece * (federation.run.rounds + 1)
        if learner.spender is None:
            return learner.train(start, work, "client", number)
        if steps == 0:  # a mechanism without steps does not exist, and nothing is spent
            return Trained(start, 0.0, learner.spender.size, 0)
        agreed = learner.spender.mechanisms
        mechanisms = {**agreed, "client": replace(agreed["client"], steps=steps)}
        spender = replace(learner.spender, mechanisms=mechanisms)
        return replace(learner, spender=spender).train(start, work, "client", number)


@dataclass(frozen=True)
class Done:
    """The outcome of a turn.

    ``own`` is the vendor's own model, a candidate for its personalised one; ``candidates`` are
    further ones.  ``sent`` is the model for the server, or None if nothing is sent; ``further`` are
    arrays by record, sent besides.  ``steps`` are all gradient steps that were taken.
    """

    own: Weights
    sent: Weights | None
    loss: float
    examples: int
    steps: int
    candidates: tuple[Weights, ...] = ()
    further: Mapping[str, Weights] = field(default_factory=dict)


def train_plainly(turn: Turn) -> Done:
    """Train all weights, and send them: FedAvg's client (McMahan et al., AISTATS 2017)."""
    trained = turn.train(turn.start, turn.steps, proximal=turn.proximal)
    return Done(trained.weights, trained.weights, trained.loss, trained.examples, trained.steps)


def nothing_at_home(site: Site) -> frozenset[str]:
    """Return the names of no weights: all are shared."""
    return frozenset()


@dataclass(frozen=True)
class Problem:
    """The reason why a federation cannot run a method: found, expected, how to mend it."""

    found: str
    expected: str
    mend: str


def no_problem(federation: Federation) -> Problem | None:
    """Find nothing: every federation can run the method."""
    return None


def needs_plain_training(method: str) -> Callable[[Federation], Problem | None]:
    """Return the check of a method whose training differential privacy does not cover."""

    def problem(federation: Federation) -> Problem | None:
        if not federation.privacy.private:
            return None
        return Problem(
            f"method {method} in a federation with a [privacy] table",
            "a method that trains by DP-SGD",
            f"leave {method} out of --methods, or the [privacy] table out of the file",
        )

    return problem


def steps_of_round(budget: StepBudget, vendor: str, round_number: int) -> int:
    """Return the steps that the vendor took in this round of the SRFLM run."""
    return budget.steps(vendor, round_number)


@dataclass(frozen=True)
class Baseline:
    """A method beside SRFLM, at the same number of gradient steps for each vendor.

    ``at_home`` names the weights that a vendor never sends.  ``flower_rounds`` is the number of
    Flower's rounds in the whole run, of which ``rounds_a_round`` make a round of SRFLM.
    ``steps`` are a vendor's in a round.  ``has_global`` says whether there is a global model.
    """

    strategy: Callable[[Setup], FedAvg]
    train: Callable[[Turn], Done] = train_plainly
    at_home: Callable[[Site], frozenset[str]] = nothing_at_home
    flower_rounds: Callable[[Setup], int] = lambda setup: setup.rounds
    rounds_a_round: Callable[[Setup], int] = lambda setup: 1
    steps: Callable[[StepBudget, str, int], int] = steps_of_round
    problem: Callable[[Federation], Problem | None] = no_problem
    has_global: bool = True
