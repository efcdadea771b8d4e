"""The rounds that were ordered at a site, so that a report shows what is missing of them."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from strategies.protocol.records import TermRecord


def planned(site: SiteOnDisk, records: Sequence[TermRecord]) -> Federation:
    """Return the site's federation with the rounds of the order in force as ``run.rounds``."""
    order, per_term = site.state.ledger.order(), site.federation.rounds_per_term
    done = records[-1].round if records else 0
    ordered = max(order.rounds if order is not None else 0, done, 1)
    return with_changes(site.federation, run__rounds=-(-ordered // per_term) * per_term)
