"""Rules by which images and targets belong together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.manifest.pairing import (
    ELSEWHERE,
    NO_CLASS,
    NO_IMAGE,
    NO_TARGET,
    TWICE,
    LeftOut,
    Pair,
    pairs_in,
)

CLASSES = ("benign", "malignant")


def test_class_is_the_folder_and_the_patient_the_folder_inside() -> None:
    pairs, out = pairs_in(
        ["benign/1.png", "site/malignant/p 7/ä.png", "other/2.png", "3.png"], "class", CLASSES
    )
    assert pairs == [
        Pair("benign/1.png", "benign", ""),
        Pair("site/malignant/p 7/ä.png", "malignant", "p 7"),
    ]
    assert out == [LeftOut("3.png", NO_CLASS), LeftOut("other/2.png", NO_CLASS)]


def test_mask_has_the_name_of_its_image() -> None:
    pairs, out = pairs_in(
        [
            "images/a.nii.gz",
            "labels/a.nii.gz",
            "images/p1/b.dcm",
            "labels/p1/b.nii.gz",
            "imagesTr/c_0000.nii.gz",
            "labelsTr/c.nii.gz",
            "readme.txt",
        ],
        "mask",
        CLASSES,
    )
    assert pairs == [
        Pair("images/a.nii.gz", "labels/a.nii.gz", ""),
        Pair("imagesTr/c_0000.nii.gz", "labelsTr/c.nii.gz", ""),
        Pair("images/p1/b.dcm", "labels/p1/b.nii.gz", "p1"),
    ]
    assert out == [LeftOut("readme.txt", ELSEWHERE)]


def test_series_in_a_folder_has_the_mask_of_its_name() -> None:
    paths = ["images/case.1", "images/case.2#0123456789abcdef", "masks/case.1.nii.gz"]
    paths.append("masks/case.2.nii.gz")
    pairs, out = pairs_in(paths, "mask", ())
    assert [(pair.image, pair.target) for pair in pairs] == [
        (paths[0], paths[2]),
        (paths[1], paths[3]),
    ]
    assert out == []


def test_image_without_a_target_and_target_without_an_image_are_named() -> None:
    pairs, out = pairs_in(
        ["images/a.png", "targets/b.png", "images/c.png", "targets/c.png"], "image", ()
    )
    assert [pair.image for pair in pairs] == ["images/c.png"]
    assert out == [LeftOut("images/a.png", NO_TARGET), LeftOut("targets/b.png", NO_IMAGE)]


def test_two_files_of_one_name_are_left_out_both() -> None:
    pairs, out = pairs_in(["images/a.png", "images/a.nii", "masks/a.nii"], "mask", ())
    assert pairs == []
    assert {each.reason for each in out} == {TWICE} and len(out) == 3


def test_same_name_in_two_places_is_two_cases() -> None:
    paths = [f"{site}/{kind}/a.png" for site in ("x", "y") for kind in ("images", "masks")]
    pairs, out = pairs_in(paths, "mask", ())
    assert [pair.image for pair in pairs] == ["x/images/a.png", "y/images/a.png"] and out == []


parts = st.sampled_from(["images", "masks", "targets", "benign", "a", "b.nii.gz", "b.png", "p"])


@settings(max_examples=200, deadline=None)
@given(
    paths=st.sets(st.lists(parts, min_size=1, max_size=4).map("/".join), max_size=12),
    kind=st.sampled_from(["class", "mask", "image"]),
)
def test_every_file_is_used_once_or_left_out_with_a_reason(paths: set[str], kind: str) -> None:
    pairs, out = pairs_in(paths, kind, CLASSES)  # type: ignore[arg-type]
    used = [pair.image for pair in pairs]
    if kind != "class":
        used += [pair.target for pair in pairs]
    assert sorted([*used, *(each.path for each in out)]) == sorted(paths)
