"""A site's own policy beats whatever a federation or a server asks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.policy import Budget, PrivacyPolicy, Request, budget, check
from clients.privacy.settings import PrivacySettings

STEP = Mechanism(1.0, 0.05, 10)


def test_policy_that_says_nothing_allows_all() -> None:
    for role in ("client", "server"):
        assert check(Request(role, STEP), PrivacyPolicy()) == ()  # type: ignore[arg-type]
        assert check(Request(role, None), PrivacyPolicy()) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "policy", "found"),
    [
        (Request("client", STEP), PrivacyPolicy(min_noise=1.1), "a noise multiplier of 1"),
        (Request("server", STEP), PrivacyPolicy(roles=("client",)), "the role of server"),
        (Request("client", STEP), PrivacyPolicy(roles=()), "the role of client"),
        (Request("client", None), PrivacyPolicy(required=True), "without differential privacy"),
    ],
)
def test_what_the_policy_forbids_is_named(
    request_: Request, policy: PrivacyPolicy, found: str
) -> None:
    (violation,) = check(request_, policy)
    assert found in violation.found
    assert "site" in violation.expected and violation.mend


def test_all_violations_are_told_at_once() -> None:
    policy = PrivacyPolicy(min_noise=2.0, roles=("client",))
    assert len(check(Request("server", STEP), policy)) == 2


def test_smaller_budget_counts() -> None:
    asked = PrivacySettings(unit="record", epsilon=8.0, delta=1e-5, server_terms=3)
    assert budget(asked, PrivacyPolicy()) == Budget(8.0, 1e-5, 3)
    assert budget(asked, PrivacyPolicy(max_epsilon=2.0, delta=1e-6), 2) == Budget(2.0, 1e-6, 6)
    assert budget(asked, PrivacyPolicy(max_epsilon=20.0, delta=1e-3)) == Budget(8.0, 1e-5, 3)


@pytest.mark.parametrize(
    "wrong",
    [{"max-epsilon": 0}, {"delta": 1.0}, {"min-noise": -1}, {"roles": ["judge"]}, {"epsilon": 1}],
)
def test_policy_with_wrong_values_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrivacyPolicy.model_validate(wrong)
