"""Advise each vendor of a simulated run which model to use, on its own test data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from clients.data.records import Records
from clients.data.sources import read_vendor_records
from clients.device import choose_device
from clients.evaluation import evaluate
from clients.networks.weights import set_weights
from clients.privacy.training.units import scores_by_patient
from clients.tasks.registry import task_of
from clients.tasks.task import Task
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import first_model
from srflm_flower.results.advice import Advice, Name, advise
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.state import SiteState
from strategies.errors import SrflmError
from strategies.weights import Model, Weights


def advice_of_run(
    folder: RunFolder,
    federation: Federation,
    released: Model | None,
    personalised: Mapping[str, Model],
) -> dict[str, Advice]:
    """Return the advice for each vendor; none for one whose data is not there.

    Without a released model there is none, and none with privacy: exact scores of test images would
    be in a report that is handed on.
    """
    if released is None or federation.privacy.private:
        return {}
    network, task = first_model(federation).network, task_of(federation.task)
    # The data may be divided as among further vendors.
    device, plan = choose_device(federation.run.device), folder.data_plan()
    found: dict[str, Advice] = {}
    for vendor, model in personalised.items():
        models: dict[Name, Weights] = {
            "personalised": model.weights,
            "released": released.weights,
        }
        settings = federation.network_settings, federation.task
        own = SiteState(folder.site(vendor), federation.hash, *settings).own_model()
        if own is not None:
            models["own"] = own[0]
        try:
            test = read_vendor_records(plan, vendor)["test"]
        except SrflmError:  # the run itself has ended well, and its report says how
            continue
        found[vendor] = advise(scores_of(models, network, test, task, device))
    return found


def scores_of(
    models: Mapping[Name, Weights],
    network: nn.Module,
    data: Records,
    task: Task,
    device: torch.device,
) -> dict[Name, tuple[float, ...]]:
    """Return each model's mean score of every patient in ``data``, in [0, 1], more is better."""
    found: dict[Name, tuple[float, ...]] = {}
    for name, weights in models.items():
        set_weights(network, weights)
        shares = evaluate(network, data, task, device, in_full=False).shares
        found[name] = scores_by_patient(shares, data)
    return found
