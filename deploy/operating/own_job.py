"""Give the own SuperLink a job, and wait for its outcome."""

from __future__ import annotations

import time
import uuid

from deploy.operating.running import read_notes
from deploy.serving.job import JobOutcome, ServerJob
from deploy.serving.own_superlink import own_superlink
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from strategies.errors import DeploymentError

LOOK_SECONDS = 0.2


def require_up(site: SiteOnDisk) -> None:
    """Raise :class:`DeploymentError` unless the site is up."""
    if read_notes(Layout.of(site.settings)) is None:
        raise DeploymentError(
            f"the site of {site.vendor} is not up",
            "a site that runs",
            f"srflm up {site.folder}",
            DeploymentError.NOT_UP,
        )


def perform(site: SiteOnDisk, task: ServerJob, patience: float) -> JobOutcome:
    """Let the own SuperLink do ``task``; return its outcome, within ``patience`` seconds.

    A task whose run ends without an outcome is given again, so it must be one to do twice.  Raises
    :class:`DeploymentError` without an outcome.
    """
    superlink, run = own_superlink(Layout.of(site.settings)), None
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if run is None:
            try:
                # The lock and the outcome of the run before have its name.
                task = task.model_copy(update={"name": uuid.uuid4().hex})
                run = superlink.start(task)
            except RuntimeError:  # it is starting
                time.sleep(1.0)
                continue
        ended = superlink.ended(run, task.name)  # before the look at its last act, the outcome
        outcome = superlink.outcome(task.name)
        if outcome is not None:
            return outcome
        if ended:
            run = None  # by a launcher that has just started, or with the process
        time.sleep(LOOK_SECONDS)
    raise no_outcome()


def no_outcome() -> DeploymentError:
    """Return the error for a job that has no usable outcome."""
    return DeploymentError(
        "no answer from the own SuperLink",
        "an outcome of the job",
        "read the site's logs: superlink.log, worker.log",
        DeploymentError.NO_OUTCOME,
    )
