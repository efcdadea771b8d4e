"""A vendor's learner is made as the federation file describes it."""

from __future__ import annotations

from pathlib import Path

import torch

from clients.learner import Learner
from clients.networks.build import initial_network
from clients.preparation.augment_settings import AugmentSettings
from clients.privacy.ledger.ledger import PrivacyLedger
from srflm_flower.site.own_data.learner import vendor_learner
from srflm_flower.site.privacy import PrivacyAccount
from tests.support.tiny import tiny_federation


def made(folder: Path, **changes: object) -> Learner:
    federation = tiny_federation(folder, **changes)
    ledger = PrivacyLedger(folder / "privacy.sqlite", folder / "privacy.anchor")
    network = initial_network(federation.network_settings, federation.task, 1)
    return vendor_learner(federation, federation.roster[0], network, PrivacyAccount(ledger))


def test_learner_changes_images_only_as_agreed(tmp_path: Path) -> None:
    assert made(tmp_path).augment is None
    flip = AugmentSettings(flip=(1,), flip_probability=1.0)
    learner = made(tmp_path, data__augment=flip.model_dump(mode="json", exclude_none=True))
    images, targets = learner.data.train.images, learner.data.train.targets
    assert learner.augment is not None
    assert torch.equal(learner.augment(images, targets, 1)[0], images.flip(-1))
