"""Say the agreed preparation as transforms of MONAI, so that a bundle sees images as training did.

Each entry does what :mod:`clients.preparation` does at the same step.  What cannot be said so is
refused: a bundle that prepares otherwise would find other things.
"""

from __future__ import annotations

from typing import Any, Literal

from clients.networks.stock import SMALLEST_SIDE
from clients.preparation.intensity import DEVIATIONS
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import ConfigurationError

Form = Literal["nifti", "array", "picture"]
"""The files that a bundle takes: volumes in NIfTI, slices as arrays (NPY), 8-bit pictures."""

SUFFIXES: dict[Form, list[str]] = {
    "nifti": [".nii", ".nii.gz"],
    "array": [".npy"],
    "picture": [".png", ".jpg", ".jpeg", ".bmp"],
}
KEY = "image"
Entry = dict[str, Any]


def form_of(task: TaskSettings, settings: PrepareSettings) -> Form:
    """Return the form of files for which transforms of MONAI prepare as training did.

    Raises :class:`ConfigurationError` for a preparation that they cannot repeat.
    """
    has_rule = settings.window is not None or settings.normalise is not None
    if settings.size is not None and any(side % 2 for side in settings.size):
        # MONAI and this project place an odd cut differently, by one voxel.
        raise _cannot(f"[data.prepare] size = {list(settings.size)}", "even numbers of voxels")
    if task.spatial_dims == 2 and not has_rule and not _has_geometry(settings):
        return "picture"
    if task.channels != 1:
        raise _cannot(f"{task.channels} channels with [data.prepare]", "one channel")
    if not has_rule:
        # Bytes are scaled otherwise than other numbers, and no transform asks for the type.
        raise _cannot("volumes without a rule for their values", "a window, or normalise")
    if task.spatial_dims == 3:
        return "nifti"
    if _has_geometry(settings):
        raise _cannot("slices with an agreed orientation or spacing", "volumes")
    return "array"


def definitions(task: TaskSettings, settings: PrepareSettings) -> Entry:
    """Return the functions, by name, to which the transforms refer."""
    found: Entry = {}
    if settings.spacing is not None:
        spacing = settings.spacing
        found["spacing"] = list(spacing * task.spatial_dims if len(spacing) == 1 else spacing)
        # The same centre before and after, as clients.preparation.geometry.resampled has it.  To
        # MONAI an "@" is a reference, so matrices are multiplied by name.
        found["ratios"] = (
            "$lambda x: [1.0 if abs(new / float(old) - 1) < 1e-4 else new / float(old)"
            " for new, old in zip(@spacing, x.pixdim)]"
        )
        found["grid_shape"] = (
            "$lambda x: [max(1, round(n / r)) for n, r in zip(x.shape[1:], @ratios(x))]"
        )
        found["grid_of"] = (
            "$lambda x: monai.data.MetaTensor(torch.empty([1, *@grid_shape(x)]), meta=x.meta,"
            " affine=x.affine.double().matmul(torch.tensor([[r * (i == j) for j in range(3)]"
            " + [(n - 1) / 2 - r * (m - 1) / 2] for i, (r, n, m) in enumerate("
            "zip(@ratios(x), x.shape[1:], @grid_shape(x)))] + [[0, 0, 0, 1]],"
            " dtype=torch.float64)))"
        )
    if settings.normalise == "z-score":
        found["body"] = "$lambda x: x.as_tensor()[x.as_tensor() > x.as_tensor().min()].double()"
        found["z_score"] = (
            f"$lambda x: ((x - @body(x).mean()) / ({2 * DEVIATIONS:g} *"
            " @body(x).std(unbiased=False)) + 0.5).clip(0, 1)"
        )
    if settings.size is not None:
        # Padding has the lowest value of its channel: below 0 is what was padded.
        found["filled"] = (
            "$lambda x: torch.where(x < 0, torch.where(x < 0, 2, x).flatten(1).amin(1)"
            ".reshape([-1] + [1] * (x.ndim - 1)), x)"
        )
    return found


def preprocessing(
    task: TaskSettings, settings: PrepareSettings, image_size: int | None, pads: bool
) -> list[Entry]:
    """Return the transforms from a file to a network's input, float32 (channels, *space).

    ``image_size`` is the side to which a classifier's images are resized; ``pads`` pads small ones.
    Raises as :func:`form_of` does.
    """
    form, steps = form_of(task, settings), _loading(form_of(task, settings))
    if form == "nifti":
        steps.append(_step("Orientationd", axcodes=settings.orientation or "RAS"))
    if settings.spacing is not None:
        steps += [
            _step("CopyItemsd", names="grid"),
            _step("Lambdad", keys="grid", func="@grid_of"),
            _step(
                "ResampleToMatchd",
                key_dst="grid",
                mode="bilinear",
                padding_mode="border",
                align_corners=False,
                dtype="$numpy.float64",
            ),
            _step("DeleteItemsd", keys="grid"),
        ]
    steps.append(_rule(form, settings))
    if settings.size is not None:
        size = settings.size
        sides = list(size * task.spatial_dims if len(size) == 1 else size)
        steps += [
            _step("SpatialPadd", spatial_size=sides, mode="constant", value=-1.0),
            _step("Lambdad", func="@filled"),
            _step("CenterSpatialCropd", roi_size=sides),
        ]
    elif image_size is not None and task.target == "class" and settings.spacing is None:
        steps.append(_step("Resized", spatial_size=[image_size] * task.spatial_dims, mode="area"))
    steps.append(_scaled(0.0, 1.0, -1.0, 1.0))
    if pads:
        sides = [SMALLEST_SIDE] * task.spatial_dims
        steps.append(_step("SpatialPadd", spatial_size=sides, mode="edge"))
    steps.append(_step("EnsureTyped", dtype="$torch.float32"))
    return steps


def _loading(form: Form) -> list[Entry]:
    if form == "picture":
        # Rows first, as this project reads pictures.
        reader: Any = {"_target_": "PILReader", "reverse_indexing": False}
        return [_step("LoadImaged", reader=reader), _step("EnsureChannelFirstd")]
    reader = "NibabelReader" if form == "nifti" else "NumpyReader"
    return [
        _step("LoadImaged", reader=reader),
        _step("EnsureChannelFirstd", channel_dim="no_channel"),
    ]


def _rule(form: Form, settings: PrepareSettings) -> Entry:
    """Return the transform from values to [0, 1]."""
    if settings.window is not None:
        return _scaled(*settings.window, 0.0, 1.0)
    match settings.normalise:
        case "z-score":
            return _step("Lambdad", func="@z_score")
        case "percentile":
            low, high = settings.percentiles
            return _step(
                "ScaleIntensityRangePercentilesd",
                lower=low,
                upper=high,
                b_min=0.0,
                b_max=1.0,
                clip=True,
                channel_wise=True,
            )
    assert form == "picture"
    return _scaled(0.0, 255.0, 0.0, 1.0)


def _scaled(low: float, high: float, new_low: float, new_high: float) -> Entry:
    return _step(
        "ScaleIntensityRanged", a_min=low, a_max=high, b_min=new_low, b_max=new_high, clip=True
    )


def _step(name: str, keys: str = KEY, **arguments: Any) -> Entry:
    return {"_target_": name, "keys": keys, **arguments}


def _has_geometry(settings: PrepareSettings) -> bool:
    return settings.orientation is not None or settings.spacing is not None


def _cannot(found: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{found}, which no transforms of MONAI repeat exactly",
        f"for a bundle: {expected}",
        "hand on the model file itself, for `srflm predict`; or agree on another preparation",
    )
