"""Check the tables of a federation file against each other: one line for each contradiction.

Each line names the place, the value found, the value expected, and the correction.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from clients.partition_settings import ByClassPartition, SharesPartition
from clients.settings import FileData, NpzData
from srflm_flower.federation.feature_checks import feature_problems
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.header_checks import header_problems
from srflm_flower.federation.member import deployment_problems
from srflm_flower.federation.places import short
from srflm_flower.federation.preparation_checks import preparation_problems
from srflm_flower.federation.privacy_checks import privacy_problems, server_terms_problems
from strategies.protocol.records import liars_withstood
from strategies.protocol.secure_nouns import MIN_CLIENTS


def problems_between_tables(federation: Federation) -> list[str]:
    """Return one line for each contradiction; every field by itself must be valid already."""
    return [problem for check in _CHECKS for problem in check(federation)]


def _roster(federation: Federation) -> list[str]:
    names, problems = federation.roster, []
    if len(names) < 2:
        problems.append(
            f"vendors: found {len(names)}; expected at least two; add a [[vendors]] table"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(
            f"vendors: found {', '.join(twice)} more than once; expected different names;"
            " rename one"
        )
    return problems


def _sites(federation: Federation) -> list[str]:
    return deployment_problems(federation.vendors)


def _edition(federation: Federation) -> list[str]:
    # A file of a later edition is only valid with its predecessor and the first edition.
    later, known = federation.edition > 1, (federation.previous, federation.first)
    if all((each is not None) == later for each in known):
        return []
    return [
        f"edition: found {federation.edition}; expected 1 without previous and [first], or a later"
        " one with both; `srflm consortium assemble --change` writes them"
    ]


def _second_bundle(federation: Federation) -> list[str]:
    second = federation.accepted_bundle
    if second is None or federation.bundle not in (None, second):
        return []
    return [
        f"accepted-bundle: found {second[:12]}… beside bundle"
        f" {(federation.bundle or 'none')[:12]}; expected two different ones; leave it out"
    ]


def _fixed_server(federation: Federation) -> list[str]:
    server, names = federation.election.server, federation.roster
    if server is None or server in names or not names:  # _roster reports an empty roster
        return []
    return [
        f"election.server: found {server!r}; expected one of {', '.join(names)}; correct the name"
    ]


def _min_clients(federation: Federation) -> list[str]:
    clients, found = len(federation.vendors) - 1, federation.aggregation.min_clients
    if clients < 1 or found <= clients:  # _roster reports fewer than two vendors
        return []
    return [
        f"aggregation.min-clients: found {found}; expected at most {clients}, all vendors but the"
        " server; lower it"
    ]


def _robust_rule(federation: Federation) -> list[str]:
    """Check that there are enough clients for a robust rule."""
    # Only the clients count: the server's stale update may be missing.
    rule, vendors = federation.aggregation.rule, len(federation.vendors)
    if rule not in ("trimmed-mean", "krum") or vendors < 2:
        return []
    if vendors < 4:
        return [
            f"aggregation.rule: found {rule!r} with {vendors} vendors; expected at least 4 vendors"
            ' for this rule; add vendors, or set rule = "mean"'
        ]
    if rule == "krum":
        return _krum(federation.aggregation.faulty, vendors)
    return _trimmed_mean(federation.aggregation.trim, vendors)


def _trimmed_mean(trim: float, vendors: int) -> list[str]:
    """Check ⌊trim · clients⌋ ≥ 1 (Yin et al., ICML 2018: the mean without the extreme values)."""
    clients = vendors - 1  # all vendors but the server
    if math.floor(trim * clients) >= 1:
        return []
    return [
        f"aggregation.trim: found {trim}, which leaves out nobody with {clients} clients; expected"
        f" at least {math.ceil(100 / clients) / 100}, so that the largest and the smallest update"
        " are left out; raise it, add vendors, or choose another aggregation.rule"
    ]


def _krum(faulty: int, vendors: int) -> list[str]:
    """Check clients ≥ 2f + 3 (Blanchard et al., NeurIPS 2017, proposition 4.2)."""
    most = (vendors - 4) // 2  # clients = vendors − 1, solved for f
    if faulty <= most:
        return []
    return [
        f"aggregation.faulty: found {faulty}; expected at most {most} with {vendors} vendors, as"
        f" krum needs 2 × faulty + 3 = {2 * faulty + 3} clients besides the server; lower it, add"
        " vendors, or choose another aggregation.rule"
    ]


def _secure(federation: Federation) -> list[str]:
    """Check that secure aggregation reveals sums only, and no client's update."""
    aggregation, vendors = federation.aggregation, len(federation.vendors)
    if not aggregation.secure:
        return []
    problems, mend = [], "or set aggregation.secure = false"
    if aggregation.rule != "mean":
        problems.append(
            f"aggregation.rule: found {aggregation.rule!r}; expected 'mean' with"
            f" aggregation.secure, as the server sees no single update; change it, {mend}"
        )
    if vendors <= MIN_CLIENTS:
        problems.append(
            f"aggregation.secure: found true with {vendors} vendors; expected at least"
            f" {MIN_CLIENTS + 1}, as each of two clients learns the other's update from their"
            f" mean; add vendors, {mend}"
        )
    if federation.evaluate_averaged:
        problems.append(
            "evaluate-averaged: found true; expected false with aggregation.secure, as who takes"
            " its own update off the mean, or one term's mean off another server's, learns more"
            f" than a sum; set it to false, {mend}"
        )
    return problems


def _quorum(federation: Federation) -> list[str]:
    vendors, quorum = len(federation.vendors), federation.protocol.quorum
    if quorum == "majority" or vendors < 2 or liars_withstood(vendors, quorum) > 0:
        return []
    return [
        f'protocol.quorum: found "byzantine" with {vendors} vendors, of whom none may lie; expected'
        ' at least 4 vendors; add vendors, or set quorum = "majority"'
    ]


def _rounds(federation: Federation) -> list[str]:
    if federation.run.rounds % federation.rounds_per_term == 0:
        return []
    return [
        f"run.rounds: found {federation.run.rounds}; expected a multiple of rounds-per-term"
        f" ({federation.rounds_per_term}); change one of them"
    ]


def _vendor_paths(federation: Federation) -> list[str]:
    # The file that members agree on has no paths: each site names its own data in site.toml.  A
    # simulation needs them, and asks for them before it starts.
    if isinstance(federation.data, FileData):
        return []
    return [
        f"vendors.{vendor.name}.path: found {short(vendor.path)}; expected none, as data.source"
        f' is "{federation.data.source}"; remove it, or set data.source = "files"'
        for vendor in federation.vendors
        if vendor.path is not None
    ]


def _vendor_classes(federation: Federation) -> list[str]:
    if _is_by_class(federation):
        return [
            f"vendors.{vendor.name}.classes: found nothing; expected this vendor's labels, as"
            ' data.partition.kind is "by-class"; add classes = […]'
            for vendor in federation.vendors
            if not vendor.classes
        ]
    return [
        f"vendors.{vendor.name}.classes: found {short(vendor.classes)}; expected none without"
        ' data.partition.kind = "by-class"; remove it, or set this partition'
        for vendor in federation.vendors
        if vendor.classes is not None
    ]


def _partition(federation: Federation) -> list[str]:
    if not isinstance(federation.data, NpzData):
        return []
    partition, kind = federation.data.partition, federation.task.kind
    if not isinstance(partition, SharesPartition):
        if federation.task.target == "class":
            return []
        return [
            f"data.partition.kind: found {partition.kind!r}; expected 'shares', as examples for"
            f' {kind} have no class; set kind = "shares"'
        ]
    if len(partition.shares) in (0, len(federation.vendors)):
        return []
    return [
        f"data.partition.shares: found {len(partition.shares)} numbers; expected one for each of"
        f" the {len(federation.vendors)} vendors; correct or remove it"
    ]


def _is_by_class(federation: Federation) -> bool:
    data = federation.data
    return isinstance(data, NpzData) and isinstance(data.partition, ByClassPartition)


def _vendor_labels(federation: Federation) -> list[str]:
    classes = len(federation.task.classes)
    return [
        f"vendors.{vendor.name}.classes: found {label}; expected 0 to {classes - 1}; correct it,"
        " or complete task.classes"
        for vendor in federation.vendors
        if _is_by_class(federation)
        for label in vendor.classes or ()
        if not 0 <= label < classes
    ]


_CHECKS: tuple[Callable[[Federation], list[str]], ...] = (
    _roster,
    _sites,
    _edition,
    _second_bundle,
    _fixed_server,
    _min_clients,
    _robust_rule,
    _secure,
    _quorum,
    _rounds,
    _vendor_paths,
    _partition,
    header_problems,
    _vendor_classes,
    _vendor_labels,
    preparation_problems,
    feature_problems,
    privacy_problems,
    server_terms_problems,
)
