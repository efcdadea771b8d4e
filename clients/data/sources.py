"""Load a vendor's data from the source named in ``federation.toml``, check it, and cache it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clients.data.case_cache import users_cache
from clients.data.examples import Examples
from clients.data.folder import read_folder
from clients.data.manifest.by_header import Division
from clients.data.manifest.keys import manifest_keys, owners_key_file
from clients.data.manifest.loading import Source, read_cases
from clients.data.manifest.rows import MANIFEST
from clients.data.npz import Arrays, forget_decoded_files, read_npz
from clients.data.partition import (
    Indices,
    divide_by_class,
    divide_by_shares,
    draw_dirichlet,
    random_splits,
    stratified_subset,
)
from clients.data.phantom import LESION_CLASSES, make_vendor
from clients.data.phantom.targets import check_phantom_classes, phantom_examples
from clients.data.plan import DataPlan
from clients.data.records import Records
from clients.data.separate import as_separate
from clients.data.vendor_data import (
    SPLITS,
    SplitName,
    VendorData,
    as_split,
    check_vendor_data,
    flat_labels,
)
from clients.partition_settings import ByClassPartition, DirichletPartition, SharesPartition
from clients.seeds import derive_seed
from clients.settings import FileData, NpzData, PhantomData, VendorSettings
from clients.tasks.registry import task_of
from clients.tasks.settings import TaskSettings
from clients.tasks.task import check_labels
from strategies.errors import ConfigurationError, DataError

_cache: dict[tuple[str, str], VendorData] = {}


def load_vendor_data(plan: DataPlan, vendor: str) -> VendorData:
    """Return the vendor's data, which stays in memory for later calls.

    Raises :class:`DataError` or :class:`ConfigurationError` if it cannot be used.
    """
    # A process of a simulation serves many vendors and rounds; reading each time would dominate.
    key = (repr(plan), vendor)
    if key not in _cache:
        records = read_vendor_records(plan, vendor)
        data = VendorData(*(records[name] for name in SPLITS))
        task, one_class = task_of(plan.task), plan.splits.allow_one_class
        check_vendor_data(data, vendor, task, plan.batch_size, one_class)
        _cache[key] = data
    return _cache[key]


def read_vendor_records(plan: DataPlan, vendor: str) -> dict[SplitName, Records]:
    """Return the vendor's records by split, unchecked and not kept.

    Raises as :func:`load_vendor_data` does.
    """
    index, number = _place(plan, vendor)
    found = _indexed(plan, plan.vendors[index])
    if found is not None:
        most, train = plan.vendors[index].max_examples, found["train"]
        if most is not None:
            classes = torch.zeros(len(train)) if train.classes is None else train.classes
            kept = stratified_subset(classes.numpy().astype(np.int64), most, _rng(plan, number))
            found["train"] = train.at(torch.from_numpy(kept))
        return found
    arrays = read_vendor_arrays(plan, vendor)
    if isinstance(plan.data, FileData) and plan.data.prepare.patch is not None:
        return {name: as_separate(arrays[name], plan.task, plan.data.prepare) for name in SPLITS}
    return {name: as_split(arrays[name], plan.task) for name in SPLITS}


def _place(plan: DataPlan, vendor: str) -> tuple[int, int]:
    """Return a vendor's place in the roster, and the number that seeds its own data's division."""
    index = [each.name for each in plan.vendors].index(vendor)
    # The place in the roster changes when another vendor leaves; a fixed number does not, and
    # keeps this vendor's training and test images apart for good.
    number = plan.vendors[index].number
    return index, index if number is None else number


def _indexed(plan: DataPlan, vendor: VendorSettings) -> dict[SplitName, Records] | None:
    """Return the records of a vendor's manifest, or its part of a common one; None without any."""
    data = plan.data
    if not isinstance(data, FileData):
        return None
    source = manifest_source(data, plan.task, plan.seed)
    if vendor.path is None:
        if data.path is None or data.partition is None:
            return None
        division = Division(data.partition, plan.vendors)
        common = data.path / MANIFEST
        return read_cases(common, source, lambda rows: division.some_rows_of(rows, vendor))
    manifest = vendor.path / MANIFEST if vendor.path.is_dir() else vendor.path
    if manifest.suffix != ".csv" or not manifest.exists():
        return None
    return read_cases(manifest, source)


def forget_cached_data() -> None:
    """Drop all cached data; the next call reads the files again."""
    _cache.clear()
    forget_decoded_files()


def read_vendor_arrays(plan: DataPlan, vendor: str) -> Arrays:
    """Return the raw images and labels by split of a vendor without a manifest."""
    index, number = _place(plan, vendor)
    settings = plan.vendors[index]
    match plan.data:
        case PhantomData() as data:
            return _limited(_phantom(data, plan, number), plan, settings, number)
        case NpzData() as data:
            return _share_of_file(data, plan, index)
        case FileData() as data:
            return _limited(_read_own(data, plan, settings, number), plan, settings, number)


# Every draw has a generator of its own, named by its purpose. An added draw cannot shift others.
def _rng(plan: DataPlan, *words: object) -> np.random.Generator:
    return np.random.default_rng(derive_seed(plan.seed, "data", *words))


def _phantom(data: PhantomData, plan: DataPlan, number: int) -> Arrays:
    check_phantom_classes(plan.task)
    prior: list[float] | None = None
    if data.label_alpha is not None:
        rng = _rng(plan, "class-mix", number)
        prior = rng.dirichlet(np.full(len(LESION_CLASSES), data.label_alpha)).tolist()
    images = make_vendor(
        number,
        data.examples,
        size=data.image_size,
        seed=plan.seed,
        heterogeneity=data.heterogeneity,
        class_probabilities=prior,
        pairs=plan.task.target == "image",
    )
    train, validation, test = random_splits(
        data.examples, plan.splits.validation, plan.splits.test, _rng(plan, "splits", number)
    )
    chosen = {"train": train, "validation": validation, "test": test}
    examples = phantom_examples(images, plan.task)
    return {name: examples.at(chosen[name]) for name in SPLITS}


def _share_of_file(data: NpzData, plan: DataPlan, index: int) -> Arrays:
    arrays = read_npz(data.path, plan.task.target)
    labels = {name: _labels(arrays[name], plan.task) for name in SPLITS}
    if plan.task.target == "class":
        for name in SPLITS:
            if len(labels[name]):
                low, high = int(labels[name].min()), int(labels[name].max())
                check_labels(low, high, len(plan.task.classes), f"{data.path} has {name}")
    kept = stratified_subset(labels["train"], data.max_examples, _rng(plan, "subset"))
    shares = _partition({**labels, "train": labels["train"][kept]}, data, plan)
    chosen: dict[SplitName, Indices] = {name: shares[name][index] for name in SPLITS}
    chosen["train"] = kept[chosen["train"]]
    limit = plan.vendors[index].max_examples
    if limit is not None:
        mine = stratified_subset(labels["train"][chosen["train"]], limit, _rng(plan, index))
        chosen["train"] = chosen["train"][mine]
    return {name: arrays[name].at(chosen[name]) for name in SPLITS}


def _labels(examples: Examples, task: TaskSettings) -> Indices:
    """Return the class of each example; where examples have no class, all have the same."""
    if task.target == "class":
        return flat_labels(examples.targets)
    return np.zeros(len(examples.targets), np.int64)


def _partition(
    labels: dict[SplitName, Indices], data: NpzData, plan: DataPlan
) -> dict[SplitName, list[Indices]]:
    """Return split → an index array for each vendor."""
    rng = _rng(plan, "partition")
    match data.partition:
        case DirichletPartition(alpha=alpha):
            parts = draw_dirichlet(
                [labels[name] for name in SPLITS],
                plan.task.outputs,
                len(plan.vendors),
                alpha,
                rng,
                min_train=plan.batch_size,
                min_classes=1 if plan.splits.allow_one_class else 2,
            )
            return dict(zip(SPLITS, parts, strict=True))
        case ByClassPartition():
            classes_of = _classes_of_vendors(plan.vendors)
            return {name: divide_by_class(labels[name], classes_of, rng) for name in SPLITS}
        case SharesPartition(shares=shares):
            equal = (1.0,) * len(plan.vendors)
            return {
                name: divide_by_shares(len(labels[name]), shares or equal, rng) for name in SPLITS
            }


def _classes_of_vendors(vendors: Sequence[VendorSettings]) -> list[tuple[int, ...]]:
    missing = [vendor.name for vendor in vendors if vendor.classes is None]
    if missing:
        raise ConfigurationError(
            f"no classes for {', '.join(missing)}",
            'classes = [...] in every [[vendors]] table, for data.partition.kind = "by-class"',
            "list each vendor's labels",
        )
    return [vendor.classes or () for vendor in vendors]


def manifest_source(data: FileData, task: TaskSettings, seed: int) -> Source:
    """Return the rules by which this user's manifests are read."""
    owner = manifest_keys(seed, owners_key_file()).owner
    return Source(task, data.prepare, owner, data.most_unreadable, users_cache())


def _limited(arrays: Arrays, plan: DataPlan, vendor: VendorSettings, number: int) -> Arrays:
    """Return ``arrays`` with at most as many training examples as the vendor is to have."""
    if vendor.max_examples is not None:
        labels = _labels(arrays["train"], plan.task)
        kept = stratified_subset(labels, vendor.max_examples, _rng(plan, number))
        arrays["train"] = arrays["train"].at(kept)
    return arrays


def _read_own(data: FileData, plan: DataPlan, vendor: VendorSettings, number: int) -> Arrays:
    if vendor.path is None:
        raise ConfigurationError(
            f"no path for vendor {vendor.name!r}",
            "its folder or file of images",
            'name it: data = "…" in the site\'s site.toml, or, for a simulation, path = "…" in its'
            " [[vendors]] table",
        )
    prepare = data.prepare
    if vendor.path.suffix == ".npz" or vendor.path.is_file():
        if prepare.window is not None:
            low, high = prepare.window
            raise DataError(
                f"{vendor.path} is one file, whose pixels are in no unit, for a window of"
                f" {low:g} to {high:g}",
                "a folder of images in the unit of the window",
                "name a folder of DICOM, NIfTI, or NPY files, or agree on no [data.prepare] window",
                DataError.WINDOW,
            )
        if prepare.is_set:
            raise DataError(
                f"{vendor.path} is one file of prepared images, for what [data.prepare] sets",
                "a folder of images as they came",
                "name a folder of images, or agree on no [data.prepare]",
                DataError.GEOMETRY,
            )
        return read_npz(vendor.path, plan.task.target)
    if plan.task.target != "class":
        raise DataError(
            f"{vendor.path} is a folder without a {MANIFEST}",
            f"a folder that was indexed, or an .npz file with images and {plan.task.target}s",
            f"run `srflm data index {vendor.path}` with this federation file",
            DataError.UNREADABLE,
        )
    # From the federation's seed, not a secret: a simulation, a site set up anew, and a copy of the
    # data divide it alike, and ε holds for whoever knows the division of all other records.
    key = str(derive_seed(plan.seed, "data", "splits", number)).encode()
    return read_folder(vendor.path, plan.task.classes, data.image_size, plan.splits, key, prepare)
