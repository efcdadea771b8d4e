"""What a deployed site has to show when its terms are done."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clients.models.model_file import load_model, read_model_file
from deploy.site.export import export_site
from srflm_flower.results.release import released
from srflm_flower.run.bundle import bundle_of_run
from srflm_flower.site.released_so_far import released_so_far
from strategies.errors import PrivacyError, RunFolderError
from strategies.weights import hash_weights
from tests.support.deployed import DeployedFederation
from tests.support.tiny import private, tiny_federation


def test_site_exports_the_best_model_of_all_terms_and_its_own(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    with pytest.raises(RunFolderError, match="without a committed term"):
        export_site(sites.site("a"), tmp_path / "too early")
    sites.order("a", rounds=4)
    for _ in range(4):
        sites.turn()
    records, metric = sites.records("a"), sites.site("a").federation.task.metric
    best = released(records, metric)
    assert best is not None
    for vendor in ("a", "b", "c"):
        site, out = sites.site(vendor), tmp_path / vendor
        bundle = tmp_path / "bundle" if vendor == "a" else None
        assert released_so_far(site.state.ledger, metric) == best
        export = export_site(site, out, bundle)
        assert export.release == best
        assert read_model_file(out / "global.safetensors").hash == best.model
        load_model(out / "personalised.safetensors")
        assert set(export.test) == {"global", "personalised"}
        assert len((out / "ledger.jsonl").read_text().splitlines()) == 4
        assert "Report of the federation" in (out / "report.html").read_text()
        # A site sees pictures of its own cases only, and hands none on.
        assert export.pictures is not None and not export.pictures.is_relative_to(out)
        page = export.pictures.read_text(encoding="utf-8")
        assert f"Validation cases of {vendor}<" in page and page.count("<table") == 1
        assert not any(
            b"image/png" in path.read_bytes() for path in out.rglob("*") if path.is_file()
        )
        assert stat.S_IMODE(export.pictures.stat().st_mode) == 0o600
    readme = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    assert f"the {best.kind} model of term {best.term}" in readme and best.model in readme
    assert "vendors: a, b, c" in readme and str(tmp_path) not in readme


def test_site_that_was_away_says_that_it_lacks_the_model(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    sites.order("a", rounds=3)
    for _ in range(3):
        sites.turn()
    site = sites.site("b")
    (release,) = [released(sites.records("b"), site.federation.task.metric)]
    assert release is not None
    site.models.path(release.model).unlink()
    export = export_site(sites.site("b"), tmp_path / "out")
    assert not export.has_release
    assert not (tmp_path / "out" / "global.safetensors").exists()
    with pytest.raises(RunFolderError, match="without the released model, for a bundle"):
        export_site(sites.site("b"), tmp_path / "out", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_site_of_frozen_features_has_pictures_of_its_images(tmp_path: Path) -> None:
    features = {"kind": "scattering", "side": 16}
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), model__network="linear", model__features=features
    )
    sites = DeployedFederation(tmp_path / "f", federation)
    sites.order("a", rounds=1)
    sites.turn()
    export = export_site(sites.site("a"), tmp_path / "out")
    assert export.pictures is not None and "image/png" in export.pictures.read_text("utf-8")


@pytest.mark.parametrize("is_private", [True, False])
def test_site_trains_the_released_model_on_at_home_before_it_exports(
    tmp_path: Path, is_private: bool
) -> None:
    make = private if is_private else tiny_federation
    personalised = {"standard_errors": 1000.0, "fine_tuning": {"epochs": 2}}
    federation = make(tmp_path, personalised=personalised)
    sites = DeployedFederation(tmp_path / "f", federation)
    sites.order("a", rounds=1)
    sites.turn()
    site = sites.site("a")
    export = export_site(site, tmp_path / "out")
    released = read_model_file(tmp_path / "out" / "global.safetensors").weights
    after = site.site.personalisation.after
    tuned = list(after.models_from(released, after.epochs))
    file = read_model_file(tmp_path / "out" / "personalised.safetensors")
    assert file.hash == hash_weights(tuned[-1]) and len(tuned) == 2
    assert file.without_noise == export.noiseless == is_private
    assert not read_model_file(tmp_path / "out" / "global.safetensors").without_noise


def test_private_site_hands_on_no_exact_figure_and_marks_what_had_no_noise(tmp_path: Path) -> None:
    own = {"epochs": 2, "learning_rate": 0.05}
    sites = DeployedFederation(tmp_path / "f", private(tmp_path, personalised__own=own))
    sites.order("a", rounds=1)
    sites.turn()
    out = tmp_path / "out"
    export = export_site(sites.site("a"), out)
    assert export.noiseless and export.test, "the site itself sees them"
    assert read_model_file(out / "personalised.safetensors").without_noise
    assert not read_model_file(out / "global.safetensors").without_noise
    assert "No test metrics are here" in (out / "report.html").read_text()
    with pytest.raises(PrivacyError):
        bundle_of_run(out / "personalised.safetensors", tmp_path / "bundle")
