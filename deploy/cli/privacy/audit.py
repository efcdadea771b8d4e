"""``srflm privacy audit``: attack private training, and compare the result with the ledger's ε."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from clients.files.durable import write_durably
from deploy.cli.parts.options import FederationFile, chosen_federation
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from srflm_flower.attacks.audit import AuditResult
    from srflm_flower.attacks.membership_inference import Attacked
    from srflm_flower.federation.federation import Federation

FEWEST, MOST = 100, 4096  # canaries
MAX_EPSILON = 20.0  # even a perfect attack with MOST canaries cannot refute more
FALSE_ALARM = 0.05  # probability of refuting a correct build, over all audits of one call


class Attack(StrEnum):
    """The kinds of attack."""

    DIRAC = "dirac"
    LIRA = "lira"


def audit(
    federation_file: FederationFile = None,
    attack: Annotated[
        Attack, typer.Option(help="canaries through whole rounds, or membership of real records")
    ] = Attack.DIRAC,
    epsilon: Annotated[
        list[float] | None, typer.Option(help="to be attacked; may be repeated  [default: 1 and 4]")
    ] = None,
    canaries: Annotated[int, typer.Option(help="how many (dirac)", min=FEWEST, max=MOST)] = 1000,
    vendor: Annotated[str | None, typer.Option(help="whose records (lira)")] = None,
    shadows: Annotated[int, typer.Option(help="models to train (lira); even", min=4)] = 8,
    steps: Annotated[
        int | None, typer.Option(help="steps of each (lira), instead of a whole run's", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="for the choice of records, not for noise")] = 0,
    out: Annotated[Path | None, typer.Option(help="a JSON file to write")] = None,
) -> None:
    """Attack private training: exit code 1 if it loses more privacy than is accounted for.

    dirac: attack all messages of a site in both roles of whole rounds, and compare with its own
    privacy ledger; on made-up records, with the federation's clipping, gradients, and randomness.
    lira: attack a vendor's training on its own records, with privacy and without; no verdict.

    Example: srflm privacy audit federation.toml --epsilon 4
    """
    _check(epsilon or [], shadows)
    federation = chosen_federation(federation_file)
    if attack is Attack.DIRAC:
        _dirac(federation, epsilon or [1.0, 4.0], canaries, seed, out)
    else:
        name = vendor or federation.roster[0]
        federation.member(name)
        _lira(federation, name, epsilon or [8.0, 1.0], shadows, steps, seed, out)


def _check(targets: list[float], shadows: int) -> None:
    for target in targets:
        if not 0 < target <= MAX_EPSILON:
            raise ConfigurationError(
                f"ε = {target:g}",
                f"a number above 0 and at most {MAX_EPSILON:g}, to be attacked",
                "correct --epsilon",
            )
    if shadows % 2:
        raise ConfigurationError(
            f"{shadows} models",
            "an even number: each record is in half of them",
            "correct --shadows",
        )


def _dirac(
    federation: Federation, targets: list[float], canaries: int, seed: int, out: Path | None
) -> None:
    import numpy as np

    from srflm_flower.attacks.audit import Audit
    from srflm_flower.attacks.audit import audit as audit_training

    console = Console(highlight=False)
    rng = np.random.default_rng(seed)
    results = []
    for target in targets:
        # The probability of a false alarm is shared by the audits (Bonferroni).
        with console.status(f"Attacking at ε = {target:g}"):
            what = Audit(target, canaries, level=FALSE_ALARM / len(targets))
            results.append(audit_training(what, federation.privacy, rng))
        console.print(_bounds_table(results[-1]))
    if out is not None:
        told = [
            asdict(each) | {"lower-bound": each.lower_bound, "refuted": each.refuted}
            for each in results
        ]
        _write(out, told)
    refuted = [each for each in results if each.refuted]
    for each in refuted:
        console.print(
            f"[bold red]REFUTED:[/] at least ε = {each.lower_bound:.2f} is lost where the site's"
            f" ledger accounts for {each.accounted:.2f}. Do not train with this installation.",
            soft_wrap=True,
        )
    if refuted:
        raise typer.Exit(1)
    console.print(
        "No attack shows more than is accounted for. (An audit can refute a claim, never prove it.)"
    )


def _bounds_table(result: AuditResult) -> Table:
    table = Table(
        title=f"accounted ε = {result.accounted:.3f}, attacked: ε ≥ {result.lower_bound:.3f}"
        f" (δ = {result.delta:g}; {1 - result.level:.1%} confidence; {result.seconds:.0f} s)",
        caption="at least so much ε is lost, by Steinke et al. 2023 for any mechanism, and by"
        " Mahloujifar et al. 2024 for a Gaussian one",
    )
    for heading in ("what left the site", "canaries", "any mechanism", "Gaussian"):
        right = heading != "what left the site"
        table.add_column(heading, justify="right" if right else "left")
    for each in result.bounds:
        table.add_row(each.seen, str(each.canaries), f"{each.one_run:.3f}", f"{each.gaussian:.3f}")
    return table


def _lira(
    federation: Federation,
    vendor: str,
    targets: list[float],
    models: int,
    steps: int | None,
    seed: int,
    out: Path | None,
) -> None:
    import numpy as np

    from srflm_flower.attacks.membership_inference import Shadows, attack_training

    console = Console(highlight=False)
    results = []
    for target in (None, *targets):
        what = "without privacy" if target is None else f"at ε = {target:g}"
        with console.status(f"Training {models} models {what}"):
            # The same seed each time: every ε is attacked with the same division of records.
            rng = np.random.default_rng(seed)
            shadows = Shadows(vendor, models, steps)
            results.append(attack_training(federation, shadows, target, rng))
    from srflm_flower.report.wording import metric_in_full

    score = metric_in_full(federation.task.released)
    console.print(_membership_table(vendor, models, results, score))
    if out is not None:
        _write(out, [asdict(each) for each in results])


def _membership_table(vendor: str, models: int, results: list[Attacked], score: str) -> Table:
    table = Table(
        title=f"{vendor}: membership of its training records, by {models} models of"
        f" {results[0].steps} steps",
        caption="guessing has AUC 0.5 and finds 1 %; the models are trained by this vendor alone",
    )
    others = f"{score} on others"
    for heading in ("ε", "AUC", "found at 1 % false alarms", others, "seconds"):
        table.add_column(heading, justify="right")
    for each in results:
        table.add_row(
            "not private" if each.epsilon is None else f"{each.epsilon:.2f}",
            f"{each.attack.auc:.3f}",
            f"{each.attack.true_positives:.1%}",
            f"{each.score:.3f}",
            f"{each.seconds:.0f}",
        )
    return table


def _write(out: Path, content: object) -> None:
    write_durably(out, json.dumps(content, indent=2).encode())
