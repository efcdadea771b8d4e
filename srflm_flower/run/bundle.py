"""Write a model of a run as a MONAI bundle, with the record of the run around it."""

from __future__ import annotations

from pathlib import Path

from clients.bundles.record import RunRecord
from clients.bundles.writing import write_bundle
from clients.models.model_file import ModelFile, read_model_file
from srflm_flower.results.bundle_record import record_of
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from strategies.errors import PrivacyError


def bundle_of_run(model: Path, folder: Path) -> RunRecord:
    """Write the model file as a bundle into ``folder``; return what it tells of the run.

    The record is empty for a file that lies in no run's folder of models.  Raises as
    :func:`clients.bundles.writing.write_bundle` does, and
    :class:`strategies.errors.LedgerError` for a damaged ledger, and
    :class:`strategies.errors.PrivacyError` for a model that no ε covers.
    """
    file = read_model_file(model)
    if file.without_noise:
        raise PrivacyError(
            f"{model.name}, trained without noise in a private federation",
            "a model that the federation's ε covers, such as global.safetensors",
            "keep this model at its site, and hand on the other one",
            PrivacyError.WITHOUT_NOISE,
        )
    record = _record_around(model, file)
    write_bundle(model, folder, record)
    return record


def _record_around(model: Path, file: ModelFile) -> RunRecord:
    run = RunFolder(model.resolve().parent.parent)
    if not run.federation_file.is_file() or not run.ledger.is_file():
        return RunRecord()
    federation = run.federation()
    # A file that was copied here comes from another run.
    if file.notes.get("federation") != federation.hash:
        return RunRecord()
    records = Ledger(run.ledger, federation.hash).records()
    return record_of(federation, records, file.notes.get("vendor"))
