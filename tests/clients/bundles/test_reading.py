"""A bundle is read without running any of it: plain values are taken, all else refused by name."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clients.bundles.reading import read_bundle
from strategies.errors import ConfigurationError
from tests.clients.bundles.made import ENTRIES, UNET, bundle, with_definition


def test_definition_becomes_the_tables_of_a_federation_file(tmp_path: Path) -> None:
    found = read_bundle(bundle(tmp_path))
    tables = tomllib.loads(found.to_toml())
    assert tables["model"] == {
        "network": "UNet",
        "arguments": {"channels": [4, 8], "strides": [2], "num_res_units": 1},
    }
    assert tables["task"] == {
        "kind": "segmentation",
        "classes": ["class-0", "class-1", "class-2"],
        "channels": 1,
        "spatial-dims": 2,
    }


@pytest.mark.parametrize(
    "target", ["monai.networks.nets.UNet", "monai.networks.nets.unet.UNet", "UNet"]
)
def test_class_may_be_named_with_its_module(tmp_path: Path, target: str) -> None:
    assert read_bundle(with_definition(tmp_path, _target_=target)).model.network == "UNet"


def test_yaml_is_read_and_a_classifier_is_known_by_its_output(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text(
        "# a comment\nn: 4\nnetwork_def:\n  _target_: DenseNet\n  _desc_: words\n"
        "  spatial_dims: 2\n  in_channels: 3\n  out_channels: '@n'\n  init_features: 8\n"
        "  growth_rate: 4\n  block_config: [2, 2]\n"
    )
    found = read_bundle(tmp_path)
    assert (found.task.kind, found.task.channels, found.task.outputs) == ("classification", 3, 4)


def test_names_of_the_outputs_are_taken_from_the_metadata(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    names = {"0": "background", "1": "spleen", "2": "liver"}
    metadata = {"network_data_format": {"outputs": {"pred": {"channel_def": names}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert read_bundle(folder).task.classes == tuple(names.values())


RUN = "$__import__('pathlib').Path('was-run').touch()"
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "code in an argument": ({"dropout": RUN}, r"network_def::dropout: code"),
    "code in an array": ({"channels": [4, RUN]}, r"network_def::channels::1: code"),
    "code after a space": ({"dropout": f" {RUN}"}, r"network_def::dropout: code"),
    "code behind a reference": ({"dropout": "@imports"}, r"imports::0: code"),
    "a macro": ({"dropout": "%other.json::x"}, r"network_def::dropout: a macro"),
    "another class": ({"_target_": "os.system", "command": "touch was-run"}, r"os\.system"),
    "a class of PyTorch": ({"_target_": "torch.nn.Linear"}, r"torch\.nn\.Linear"),
    "a function of MONAI": ({"_target_": "monai.networks.nets.resnet18"}, r"ResNet"),
    "a module that sounds alike": ({"_target_": "monai.networks.netsx.UNet"}, r"netsx"),
    "code as a class": ({"_target_": RUN}, r"_target_"),
    "no class": ({"_target_": None}, r"network_def::_target_: no such entry"),
    "a component": (
        {"act": {"_target_": "os.system", "command": "touch was-run"}},
        r"network_def::act::_target_: a component",
    ),
    "a component in an array": (
        {"norm": ["instance", {"_target_": "os.system"}]},
        r"network_def::norm::1::_target_: a component",
    ),
    "a table": ({"act": {"name": "relu"}}, r"network_def::act: a table"),
    "other entries first": ({"_requires_": "@imports"}, r"network_def::_requires_"),
    "a debugger": ({"_mode_": "debug"}, r"network_def::_mode_"),
    "a switch": ({"_disabled_": False}, r"network_def::_disabled_"),
    "an unknown word": ({"_wrap_": "x"}, r"network_def::_wrap_"),
    "a reference to nothing": ({"dropout": "@nothing"}, r"leads to no entry"),
    "a reference within": ({"dropout": "@::classes"}, r"leads to no entry"),
    "a reference beyond an array": ({"dropout": "@shape::units::7"}, r"leads to no entry"),
    "a reference in a circle": ({"dropout": "@network_def::dropout"}, r"leads back to itself"),
    "a number without end": ({"dropout": float("inf")}, r"no plain value"),
    "null where it means something": ({"bias": None}, r"network_def::bias: null"),
    "text as a size": ({"in_channels": "one"}, r"network_def::in_channels"),
    "one output": ({"out_channels": 1}, r"1 output\(s\)"),
    "four dimensions": ({"spatial_dims": 4}, r"4 dimensions"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_be_run_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changes, expected = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=expected):
        read_bundle(with_definition(tmp_path, **changes))
    assert [each.name for each in tmp_path.iterdir()] == ["configs"]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [(RUN, "network_def: code"), ("%a.json::b", "a macro"), ([UNET], "a list"), ("@net", "a str")],
)
def test_definition_that_is_no_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, definition: object, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=expected):
        read_bundle(bundle(tmp_path, ENTRIES | {"network_def": definition}))
    assert [each.name for each in tmp_path.iterdir()] == ["configs"]


def test_logging_configuration_is_never_read(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    # A folder in its place: to open it would be an error.
    (folder / "configs" / "logging.conf").mkdir()
    assert read_bundle(folder).model.network == "UNet"


def test_references_that_multiply_come_to_an_end(tmp_path: Path) -> None:
    entries = {f"e{n}": [f"@e{n + 1}"] * 10 for n in range(9)} | {"e9": [1] * 10}
    with pytest.raises(ConfigurationError, match="more than 10000 values"):
        read_bundle(with_definition(tmp_path, entries, channels="@e0"))


def test_argument_that_no_network_has_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"chanels.*does not have.*channels"):
        read_bundle(with_definition(tmp_path, chanels=[4, 8]))


def test_argument_is_answered_with_both_that_are_as_near(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_bundle(with_definition(tmp_path, kernel_sizes=3))
    assert {"kernel_size", "up_kernel_size"} <= set(caught.value.expected[7:].split(", "))


def test_argument_that_other_networks_have_is_not_this_ones(tmp_path: Path) -> None:
    # FlexibleUNet and FlexUNetEncoderRegister know a backbone.
    with pytest.raises(ConfigurationError, match="backbone, which network 'UNet' does not have"):
        read_bundle(with_definition(tmp_path, backbone="resnet18"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("inference.json", b"{"),
        ("inference.json", b"[" * 100_000),
        ("inference.json", b"[]"),
        ("inference.json", b"\xff"),
        ("inference.yaml", b"network_def: !!python/object/apply:os.system ['touch was-run']"),
        ("inference.yaml", b"a: [" * 5_000),
        ("inference.json", b" " * (4 * 2**20 + 1)),
    ],
)
def test_file_that_is_no_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match="no configuration of a bundle"):
        read_bundle(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["configs"]


def test_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"configs/inference\.json"):
        read_bundle(tmp_path)


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "classes": ({"out_channels": 4097}, "a whole number beyond"),
    "many classes": ({"out_channels": 10**12}, "a whole number beyond"),
    "layers": ({"num_res_units": 10**9}, "num_res_units: a whole number beyond"),
    "arrays within arrays": ({"channels": deep(300)}, "within each other"),
    "null within an array": ({"channels": [4, None]}, "channels::1: null within an array"),
    "channels below none": ({"in_channels": -1}, "no number of channels"),
    "dimensions": ({"spatial_dims": 4000}, "4000 dimensions"),
    "an image": ({"_target_": "UNETR", "img_size": [96, -1]}, "no size"),
}


@pytest.mark.parametrize("name", LARGE)
def test_value_that_would_fill_the_memory_is_refused(tmp_path: Path, name: str) -> None:
    changes, expected = LARGE[name]
    with pytest.raises(ConfigurationError, match=expected):
        read_bundle(with_definition(tmp_path, **changes))


def test_chain_of_references_comes_to_an_end(tmp_path: Path) -> None:
    chain = {f"e{n}": f"@e{n + 1}" for n in range(2000)} | {"e2000": [4, 8]}
    with pytest.raises(ConfigurationError, match="within each other"):
        read_bundle(with_definition(tmp_path, chain, channels="@e0"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {k: 1}\nb: &b {<<: [*a, *a]}\n", "no configuration of a bundle"),
        ("network_def:\n  _target_: UNet\n  channels: &b [*b]\n", "no configuration of a bundle"),
        (f"network_def:\n  _target_: UNet\n  spatial_dims: 0x{'F' * 6000}\n", "beyond"),
        (f"network_def:\n  _target_: UNet\n  0x{'F' * 6000}: 2\n", "no configuration"),
        ("network_def:\n  _target_: UNet\n  1: 2\n", "a key that is no text"),
    ],
    ids=["merged", "in itself", "dimensions", "a long key", "a key"],
)
def test_yaml_that_multiplies_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=expected):
        read_bundle(tmp_path)
