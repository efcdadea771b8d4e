"""Export a deployed site's results: its models as files, the ledger, the report, and a package.

The models, the ledger, and the report are for the site itself; the package is to be handed on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.bundles.writing import write_bundle
from clients.case_pictures import case_pictures
from clients.files.durable import write_durably
from clients.models.model_file import ModelFile, marked
from clients.networks.features.records import FeatureRecords
from deploy.processes.private import private_files
from deploy.site.deployed_site import DeployedSite
from deploy.site.package import Material, Package, write_package
from deploy.site.planned import planned as planned_of
from srflm_flower.package.about import AboutSettings
from srflm_flower.package.card import OwnScore, OwnTest
from srflm_flower.report import write_cases
from srflm_flower.report.page import report_page
from srflm_flower.report.pictures import NO_PICTURES, SHOWN, Pictures, pictures_of, side_for
from srflm_flower.results.advice import Advice, Name, advise, interval
from srflm_flower.results.bundle_record import record_of
from srflm_flower.results.release import Release
from srflm_flower.results.summary import summarise
from srflm_flower.site.released_so_far import released_at
from strategies.errors import RunFolderError
from strategies.protocol.records import Metrics
from strategies.weights import Weights

CASES = "cases.html"


@dataclass(frozen=True)
class Export:
    """The result of an export; ``has_release`` is false if the site lacks the released model.

    ``test`` holds the metrics of ``global`` and ``personalised`` on the site's own test images.
    ``advice`` says which model this site should use, ``noiseless`` that no ε covers the
    personalised one.  ``pictures`` is the page with pictures of its own validation cases, None
    without both models.  ``package`` is what may be handed on, None without the released model.
    """

    release: Release
    has_release: bool
    test: dict[str, Metrics]
    advice: Advice | None = None
    noiseless: bool = False
    pictures: Path | None = None
    package: Package | None = None


def export_site(
    site: DeployedSite,
    folder: Path,
    bundle: Path | None = None,
    about: AboutSettings | None = None,
) -> Export:
    """Write ``global.safetensors``, ``personalised.safetensors``, ledger, and report to ``folder``.

    Before that the site trains the released model on at home, if the federation has agreed on it
    (``personalised.fine-tuning``).  Pictures of the site's own validation cases stay in its state
    folder.  The released model is written into the folder ``bundle`` too, if that is given, as a
    MONAI bundle, and into a signed package with what people state ``about`` it
    (:mod:`deploy.site.package`).

    Raises :class:`RunFolderError` when no term is committed yet, or ``folder`` is not writable; for
    a bundle also if the site lacks the model, and as :func:`clients.bundles.writing.write_bundle`
    does.
    """
    federation, ledger = site.federation, site.state.ledger
    with private_files():  # already a look at the site's ledger may make files beside it
        found, release = released_at(federation, site.state, site.models)
        found = site.site.home.complete(found) if found is not None else None
        if found is not None:
            site.site.personalisation.fine_tune(found, len(ledger))
        best, records = site.state.best(), list(ledger.records())
    if release is None:
        raise RunFolderError(
            "a site without a committed term",
            "one that has taken part in a run",
            "order a run (`srflm run`), or let the site catch up (`srflm up`)",
            RunFolderError.NOT_A_RUN,
        )
    models: dict[str, Weights] = {}
    if found is not None:
        models["global"] = found
    if best is not None:
        models["personalised"] = best.weights
    with private_files():
        size = float(len(site.site.learner.data.test))
        test = {
            name: {**site.site.learner.evaluate(each, "test"), "examples": size}
            for name, each in models.items()
        }
        cases = _cases(site, models)
        advice = _advice(site, models)
    # From here on with the user's own umask: an export is made to be handed on.
    noiseless = best is not None and best.noiseless
    notes = {"vendor": site.vendor, **federation.model_notes()}
    files: dict[str, ModelFile] = {}
    for name, weights in models.items():
        if site.first.at_home:
            notes["normalisation"] = site.vendor
        own = marked(name == "personalised" and noiseless)
        files[name] = ModelFile(
            federation.network_settings, federation.task, weights, {**notes, "kind": name, **own}
        )
        files[name].write(folder / f"{name}.safetensors")
    lines = [record.model_dump_json() for record in records]
    write_durably(folder / "ledger.jsonl", ("\n".join(lines) + "\n").encode())
    # No noise covers exact test metrics, and a report is handed on.
    hidden = federation.privacy.private and federation.privacy.metrics != "exact"
    planned = planned_of(site, records)
    own = {} if hidden else {site.vendor: test}
    summary = summarise(planned, records, 0.0, own, {}, asked=())
    page = report_page(planned, records, summary).encode()
    write_durably(folder / "report.html", page)
    pictures = site.settings.state / CASES if cases.cases else None
    if pictures is not None:  # not in the export, which may be handed on: they are of patients
        write_cases(pictures, federation, cases)
    if bundle is not None:
        if found is None:
            raise RunFolderError(
                "a site without the released model, for a bundle",
                "a site that took part in the term from which it comes",
                "export the bundle at another site",
                RunFolderError.NOT_A_RUN,
            )
        write_bundle(folder / "global.safetensors", bundle, record_of(federation, records))
    package = None
    if found is not None:
        own_test = None if hidden else _own_test(site, models["global"], test["global"])
        committed = list(ledger.committed())[: len(records)]
        material = Material(planned, files["global"], release, committed, page, own_test)
        package = write_package(site, folder, material, about or AboutSettings())
    return Export(release, found is not None, test, advice, noiseless, pictures, package)


def _own_test(site: DeployedSite, model: Weights, metrics: Metrics) -> OwnTest:
    """Return the figures of the released model on the site's own test images."""
    learner = site.site.learner
    scores = learner.patient_scores(learner.measure(model, "test"), "test")
    score = None
    if len(scores) > 1:
        found = interval(np.asarray(scores, np.float64))
        score = OwnScore(mean=found.mean, low=found.low, high=found.high, patients=len(scores))
    # A metric that is undefined on the data at hand is left out.
    defined = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return OwnTest(vendor=site.vendor, metrics=defined, score=score)


def _advice(site: DeployedSite, models: Mapping[str, Weights]) -> Advice | None:
    """Return which model this site should use, if it has a personalised one."""
    compared: dict[Name, Weights] = {}
    if "personalised" not in models:
        return None
    compared["personalised"] = models["personalised"]
    if "global" in models:
        compared["released"] = models["global"]
    own = site.state.own_model()
    if own is not None:
        compared["own"] = own[0]
    learner = site.site.learner
    return advise(
        {
            name: learner.patient_scores(learner.measure(each, "test"), "test")
            for name, each in compared.items()
        }
    )


def _cases(site: DeployedSite, models: Mapping[str, Weights]) -> Pictures:
    """Return pictures of the site's own validation cases, if it has both models."""
    if len(models) < len(SHOWN):
        return NO_PICTURES
    learner = site.site.learner
    data = learner.data.validation
    found = case_pictures(
        learner.network,
        {name: models[name] for name in SHOWN},
        data.images if isinstance(data, FeatureRecords) else data,  # of features is no picture
        learner.task,
        learner.device,
        side_for(1),
    )
    return pictures_of({site.vendor: found}, site.federation.task)
