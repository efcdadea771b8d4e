"""Ask the other sites, through the own one, who of the roster could vote now."""

from __future__ import annotations

import time
import uuid

from deploy.operating.running import read_notes
from deploy.serving.job import ServerJob
from deploy.serving.own_superlink import own_superlink
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from strategies.errors import DeploymentError

PATIENCE = 60.0
LOOK_SECONDS = 0.2


def who_can_vote(site: SiteOnDisk) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the vendors whose sites answer, and those of them that have not lost their votes.

    Raises :class:`DeploymentError` when the own site is not up or gives no answer.
    """
    layout = Layout.of(site.settings)
    if read_notes(layout) is None:
        raise DeploymentError(
            f"the site of {site.vendor} is not up",
            "a site that can ask the others",
            f"srflm up {site.folder}",
            DeploymentError.NOT_UP,
        )
    superlink, run = own_superlink(layout), None
    task = ServerJob(name=uuid.uuid4().hex, kind="ask")
    until = time.monotonic() + PATIENCE + site.federation.run.answer_deadline
    while time.monotonic() < until:
        if run is None:
            try:
                run = superlink.start(task)
            except RuntimeError:  # it is starting
                time.sleep(1.0)
                continue
        outcome = superlink.outcome(task.name)
        if outcome is not None and outcome.result == "told":
            return outcome.answered, outcome.able
        if outcome is not None:
            break
        time.sleep(LOOK_SECONDS)
    raise DeploymentError(
        "no answer from the own SuperLink",
        "an outcome of the question",
        "read the site's logs: superlink.log, worker.log",
        DeploymentError.NO_OUTCOME,
    )
