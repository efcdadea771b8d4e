"""The texts of an exported bundle for people: ``docs/README.md`` and ``LICENSE``."""

from __future__ import annotations

from collections.abc import Iterator

from clients.bundles.metadata import required_packages
from clients.bundles.network_entry import NetworkEntry
from clients.bundles.preprocessing import Form, form_of
from clients.bundles.record import RunRecord
from clients.models.model_file import ModelFile

_FILES: dict[Form, str] = {
    "nifti": "volumes in NIfTI (.nii, .nii.gz), one real number a voxel. DICOM series go through"
    " `srflm predict`, which reads them",
    "array": "slices as .npy files of shape (rows, columns), in the unit of the agreed rule",
    "picture": "grey or RGB pictures of 8 bits (.png, .jpg, .bmp), without palette or transparency",
}
_RESULTS = {
    "class": "`predictions.csv` has a line for each image: its file, then the probability of each"
    " class",
    "mask": "each image gets a NIfTI file with the class of every pixel, in the image's own"
    " geometry",
    "image": "each image gets a NIfTI file, restored, in the image's own geometry",
}


def licence_text(record: RunRecord) -> str:
    """Return the text that stands until the members have chosen a licence."""
    owners = ", ".join(record.vendors) or "the members of the federation"
    return (
        f"The model in this folder belongs to {owners}.\n\n"
        "They have not chosen a licence yet: until this text is replaced by one, all rights are"
        " reserved.\n\nThe configuration files were written by srflm-flower, which is under the"
        " Apache License 2.0; MONAI is under the same licence.\n"
    )


def readme_text(file: ModelFile, entry: NetworkEntry, record: RunRecord) -> str:
    """Return what the model is, from which run it comes, how it is used, and what it needs."""
    return "\n".join(_lines(file, entry, record)) + "\n"


def _lines(file: ModelFile, entry: NetworkEntry, record: RunRecord) -> Iterator[str]:
    task = file.task
    yield f"# {record.name or 'A model of a federation'}: {task.kind}, {task.spatial_dims}D"
    yield ""
    yield "Research only; not for diagnosis."
    yield ""
    yield "## The run"
    yield ""
    yield from _run(file, record)
    yield ""
    yield "## Use"
    yield ""
    yield "    python -m monai.bundle run --bundle_root . --config_file configs/inference.json \\"
    yield "      --meta_file configs/metadata.json --dataset_dir IMAGES --output_dir RESULTS"
    yield ""
    form = form_of(task, file.prepare)
    yield f"IMAGES is a folder of {_FILES[form]}."
    yield f"In RESULTS, {_RESULTS[task.target]}."
    if task.classes:
        yield f"The classes are {', '.join(f'{n} {c}' for n, c in enumerate(task.classes))}."
    if file.image_shape is not None and file.prepare.size is None:
        sides = " × ".join(map(str, file.image_shape))
        yield f"The network was trained on images of {sides} pixels."
    yield ""
    yield "`srflm predict` finds the same with the model file of this run. The configuration has"
    yield "expressions (`$…`), which MONAI's runner evaluates: read it before you run it."
    yield ""
    yield "## Needs"
    yield ""
    yield from (f"- {name} {version}" for name, version in required_packages(entry).items())
    yield ""
    if entry.needs_us:
        yield f"The network ({file.model.network}) is none of MONAI's own: the bundle names"
        yield "a function of the package srflm-flower, which must be installed beside MONAI."
    else:
        yield "The network is made of MONAI's own classes: nothing else is needed."


def _run(file: ModelFile, record: RunRecord) -> Iterator[str]:
    yield f"- model: {file.hash}"
    federation = record.federation or file.notes.get("federation")
    if federation:
        yield f"- federation: {federation}"
    if not record.vendors:
        yield "- the record of the run was not at hand when this bundle was written"
        return
    yield f"- vendors: {', '.join(record.vendors)}"
    yield f"- {record.rounds} rounds in {record.terms} terms; {record.model}"
    for name, value in record.metrics.items():
        yield f"- {name}: {value:.4g}, mean over the vendors' validation data"
    yield f"- privacy: {record.privacy}"
    for vendor, (epsilon, delta) in record.epsilon.items():
        yield f"- ε of {vendor}: {epsilon:.2f} at δ = {delta:g}"
