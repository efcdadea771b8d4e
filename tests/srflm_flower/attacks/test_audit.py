"""The audit passes the real build, in both roles of whole rounds, and catches broken ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clients.privacy.accounting.accounting import epsilon
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.audit.canaries import Canaries
from clients.privacy.settings import GradientMode, PrivacySettings
from srflm_flower.attacks.audit import Audit, AuditResult, audit, noise_of
from srflm_flower.attacks.canary_federation import AUDITED, canary_federation, run_canaries
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from strategies.errors import FederationStopped, PrivacyError
from tests.support.broken_builds import (
    Break,
    forgets_the_server_role,
    no_clipping,
    no_noise_as_client,
    no_noise_on_the_loss,
    noise_divided_by_batch,
    noise_times,
    same_noise_every_step,
)

SETTINGS = PrivacySettings()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def attacked(epsilon: float, seed: int = 0, **settings: object) -> AuditResult:
    chosen = SETTINGS.model_copy(update=settings)
    return audit(Audit(epsilon=epsilon), chosen, np.random.default_rng(seed))


def bounds(result: AuditResult) -> dict[str, float]:
    return {each.seen: max(each.one_run, each.gaussian) for each in result.bounds}


# ---- the real build ------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_real_build_passes(epsilon: float) -> None:
    result = attacked(epsilon)
    assert not result.refuted, bounds(result)
    assert result.accounted == pytest.approx(epsilon, rel=0.01), "both roles are in the ledger"


def test_audit_sees_a_good_part_of_what_is_lost() -> None:
    """An attack that finds nothing would pass every build."""
    assert bounds(attacked(4.0))["server updates"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("gradients", ["vmap", "loop", "ghost"])
def test_real_build_passes_in_every_mode(gradients: GradientMode) -> None:
    result = attacked(4.0, gradients=gradients)
    assert not result.refuted and result.lower_bound > 0.5


@pytest.mark.slow
def test_real_build_raises_no_false_alarm() -> None:
    assert [seed for seed in range(20) if attacked(1.0, seed).refuted] == []


# ---- builds with a fault -------------------------------------------------------------------------


BROKEN: dict[str, tuple[float, str, Break]] = {
    "no noise": (4.0, "sum of both", noise_times(0.0)),
    "a quarter of the noise": (4.0, "sum of both", noise_times(0.25)),
    "noise divided by the batch": (4.0, "sum of both", noise_divided_by_batch),
    "no noise as client": (4.0, "client updates", no_noise_as_client),
    "no clipping": (4.0, "sum of both", no_clipping),
    "server role not counted": (4.0, "server updates", forgets_the_server_role),
    "the same noise in every round": (4.0, "difference of both", same_noise_every_step),
    "no noise on the loss": (1.0, "losses", no_noise_on_the_loss),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_build_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed, where, break_it = BROKEN[name]
    break_it(monkeypatch)
    result = attacked(claimed)
    assert result.refuted
    assert bounds(result)[where] > result.accounted, bounds(result)


def test_what_is_audited_is_the_ledger_of_the_site_not_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forgets_the_server_role(monkeypatch)
    noise = noise_of(Audit())
    client_only = epsilon([Mechanism(noise.client, 0.999, 2)], 1e-5)
    assert attacked(4.0).accounted == pytest.approx(client_only, rel=1e-6) and client_only < 0.5


# ---- what is attacked ----------------------------------------------------------------------------


def test_everything_that_is_trained_in_both_roles_is_seen(tmp_path: Path) -> None:
    what = Audit()
    federation = canary_federation(noise_of(what), 1000, 4, what.delta, SETTINGS)
    canaries = Canaries.toss(1000, np.random.default_rng(0))
    leaked = run_canaries(federation, canaries, tmp_path)
    assert sorted(each.role for each in leaked.released) == ["client"] * 2 + ["server"] * 2
    assert all((each.start["weight"] != each.end["weight"]).any() for each in leaked.released)
    uses = RunFolder(tmp_path).privacy_ledger(AUDITED).books()
    purposes = [row.content.get("purpose") for row in uses.rows if "purpose" in row.content]
    assert sorted(purposes) == ["client"] * 2 + ["server"] * 2


@pytest.mark.parametrize("budget", [0.6, 2.9])
def test_run_in_which_a_site_does_not_always_train_is_no_audit(
    tmp_path: Path, budget: float
) -> None:
    what = Audit(canaries=100)
    federation = canary_federation(noise_of(what), 100, 4, what.delta, SETTINGS)
    starved = with_changes(federation, privacy__epsilon=budget, privacy__server_terms=9)
    canaries = Canaries.toss(100, np.random.default_rng(0))
    with pytest.raises((PrivacyError, FederationStopped)):
        run_canaries(starved, canaries, tmp_path)
