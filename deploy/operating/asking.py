"""Ask the other sites, through the own one, who of the roster could vote now."""

from __future__ import annotations

import uuid

from deploy.operating.own_job import no_outcome, perform, require_up
from deploy.serving.job import ServerJob
from deploy.site.site_on_disk import SiteOnDisk

PATIENCE = 60.0


def who_can_vote(site: SiteOnDisk) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the vendors whose sites answer, and those of them that have not lost their votes.

    Raises :class:`strategies.errors.DeploymentError` when the own site is not up or gives no
    answer.
    """
    require_up(site)
    task = ServerJob(name=uuid.uuid4().hex, kind="ask")
    outcome = perform(site, task, PATIENCE + site.federation.run.answer_deadline)
    if outcome.result != "told":
        raise no_outcome()
    return outcome.answered, outcome.able
