"""Check ``[privacy]`` of a federation file against the vendors' public sizes and noise."""

from __future__ import annotations

from collections.abc import Iterator

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.member import Member


def privacy_problems(federation: Federation) -> list[str]:
    """Return the problems of the update protection and of the vendors' sizes and noise."""
    if federation.privacy.update_noise > 0 and federation.privacy.update_clip is None:
        return [
            "privacy.update-noise: found it without privacy.update-clip; expected both, as noise"
            " hides nothing of what has no bound; add update-clip, or remove update-noise"
        ]
    at_home = federation.aggregation.normalisation == "at-home"
    if federation.privacy.update_clip is not None and at_home:
        return [
            'aggregation.normalisation: found "at-home" with privacy.update-clip; expected'
            ' "averaged", as no noise would cover the normalisation weights of a released model;'
            " remove one of the two"
        ]
    if not federation.privacy.private:
        return [
            f'vendors.{vendor.name}.{name}: found it, where privacy.unit is "none"; expected it'
            ' with differential privacy only; remove it, or set privacy.unit = "record"'
            for vendor in federation.vendors
            for name in ("client-noise", "server-noise")
            if getattr(vendor, name.replace("-", "_")) is not None
        ]
    problems = list(_patient_problems(federation)) if federation.privacy.unit == "patient" else []
    problems += [*_subset_problems(federation), *_role_problems(federation)]
    problems += _guard_problems(federation)
    return problems + [
        problem for vendor in federation.vendors for problem in _size_problems(federation, vendor)
    ]


def _patient_problems(federation: Federation) -> Iterator[str]:
    # One patient's images could be at several vendors then, each with a budget of its own.
    if federation.data.source == "npz":
        yield (
            'privacy.unit: found "patient" with data.source = "npz", whose images are divided among'
            " vendors one by one; expected vendors with data of their own; set data.source ="
            ' "files", or privacy.unit = "record"'
        )


def _role_problems(federation: Federation) -> Iterator[str]:
    # PLD accounting is for a history that is fixed beforehand.  What was released decides who
    # serves, so without a cap it would decide by which noise each next round is counted.
    privacy = federation.privacy
    for vendor in federation.vendors if privacy.server_terms is None else ():
        client = vendor.client_noise or privacy.client_noise
        server = vendor.server_noise or privacy.server_noise
        if client != server:
            yield (
                f"privacy.server-terms: found none, where {vendor.name} has a noise of {client:g}"
                f" as a client and {server:g} as the server; expected a cap on the terms as the"
                " server, or equal noise in both roles; set privacy.server-terms, or plan again"
                " with `srflm privacy plan`"
            )


def _guard_problems(federation: Federation) -> Iterator[str]:
    # Whether a site refuses follows from its exact metrics, and no noise covers it.
    if federation.aggregation.guard is not None and federation.privacy.metrics != "exact":
        yield (
            "aggregation.guard: found it with privacy.metrics ="
            f' "{federation.privacy.metrics}"; expected "exact" with a guard, as a refusal tells'
            " of the validation records what no ε covers; remove the guard, or set this"
        )


def _subset_problems(federation: Federation) -> Iterator[str]:
    # One image more in the data would put others out of the subset, or bring others in.
    for vendor in federation.vendors:
        if vendor.max_examples is not None and federation.data.source == "files":
            yield (
                f"vendors.{vendor.name}.max-examples: found {vendor.max_examples} with differential"
                " privacy; expected none, as one image more would change which others are taken;"
                " remove it, and leave out images by hand where there are too many"
            )


def _size_problems(federation: Federation, vendor: Member) -> Iterator[str]:
    place = f"vendors.{vendor.name}"
    batch, delta = federation.privacy.batch_size, federation.privacy.delta
    if vendor.size is None:
        yield (
            f"{place}.size: found nothing; expected the vendor's public size, about how many"
            f" {federation.privacy.unit}s it has for training; add size = …, in a number that"
            " everybody may know (`srflm config check` counts images while privacy is off)"
        )
        return
    unit = f"{federation.privacy.unit}s"
    if batch > vendor.size:
        yield (
            f"privacy.batch-size: found {batch}, more than the {vendor.size} {unit} of"
            f" {vendor.name}; expected fewer than the smallest vendor has; lower it"
        )
    elif batch == vendor.size:
        yield (
            f"privacy.batch-size: found {batch}, all {unit} of {vendor.name}: a sample rate of 1;"
            " expected a rate below 1; lower it"
        )
    # A mechanism that publishes each record with probability δ is (0, δ)-private.
    if delta * vendor.size >= 1:
        yield (
            f"privacy.delta: found {delta:g}, not below 1/{vendor.size}, one over the {unit} of"
            f" {vendor.name}: it would let all of one be published; expected less; lower it"
        )


def server_terms_problems(federation: Federation) -> list[str]:
    """Return a problem if a fixed server serves more terms than ``privacy.server-terms``."""
    most = federation.privacy.server_terms
    terms = federation.run.rounds // federation.rounds_per_term
    if not federation.privacy.private or most is None or federation.election.policy != "fixed":
        return []
    if terms <= most:
        return []
    return [
        f'privacy.server-terms: found {most}, where election.policy = "fixed" has one vendor serve'
        f" all {terms} terms; expected at least as many; raise it, or choose another policy"
    ]
