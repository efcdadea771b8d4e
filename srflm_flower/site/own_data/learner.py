"""Make a vendor's learner, with its data as the federation file describes it and its device."""

from __future__ import annotations

from torch import nn

from clients.data.plan import DataPlan
from clients.data.sources import load_vendor_data
from clients.device import choose_device
from clients.learner import Learner
from clients.preparation.augmentation import augmentation
from clients.tasks.registry import task_of
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.network_trial import check_network_on
from srflm_flower.site.privacy import PrivacyAccount


def vendor_learner(
    federation: Federation,
    vendor: str,
    network: nn.Module,
    account: PrivacyAccount,
    plan: DataPlan | None = None,
) -> Learner:
    """Read the vendor's data and return its learner; training overwrites ``network``'s weights.

    The data is as ``plan`` says, or else as the federation does.  Private training spends from
    ``account``.  Raises :class:`strategies.errors.SrflmError` when the data, the device, or the
    account cannot be used.
    """
    data = load_vendor_data(plan or federation.data_plan(), vendor)
    check_network_on(federation, data)
    return Learner(
        vendor,
        data,
        network,
        task_of(federation.task),
        federation.training,
        federation.seed,
        choose_device(federation.run.device),
        federation.run.mixed_precision,
        account.spender(federation, vendor, data),
        augmentation(federation.data.augment),
    )
