"""Draw a few validation cases of each vendor of a simulated run, with the models at its end."""

from __future__ import annotations

from collections.abc import Mapping

from clients.case_pictures import ShownCase, case_pictures
from clients.data.plan import DataPlan
from clients.data.sources import read_vendor_records
from clients.device import choose_device
from clients.networks.build import initial_network
from clients.tasks.registry import task_of
from srflm_flower.federation.federation import Federation
from srflm_flower.report.pictures import (
    MOST_VENDORS,
    NO_PICTURES,
    SHOWN,
    Pictures,
    pictures_of,
    side_for,
)
from strategies.errors import SrflmError
from strategies.weights import Model


def pictures_of_run(
    federation: Federation,
    plan: DataPlan,
    released: Model | None,
    personalised: Mapping[str, Model],
) -> Pictures:
    """Return pictures of the vendors' validation cases; none of a vendor whose data is not there.

    ``plan`` is that of the run, whose data may be divided as among further vendors.

    Without a released model, and for many vendors, there are none at all.
    """
    if released is None or len(federation.roster) > MOST_VENDORS:
        return NO_PICTURES
    network = initial_network(
        federation.network_settings, federation.task, federation.seed, federation.image_shape
    )
    device, side = choose_device(federation.run.device), side_for(len(federation.roster))
    cases: dict[str, list[ShownCase]] = {}
    for vendor in federation.roster:
        if vendor not in personalised:
            continue
        try:
            # Not kept: this process needs no more of a vendor's data than these cases.
            data = read_vendor_records(plan, vendor)["validation"]
        except SrflmError:  # the run itself has ended well, and its report says how
            continue
        models = dict(zip(SHOWN, (released.weights, personalised[vendor].weights), strict=True))
        cases[vendor] = case_pictures(network, models, data, task_of(federation.task), device, side)
    return pictures_of(cases, federation.task)
