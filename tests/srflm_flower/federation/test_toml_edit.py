"""Values are changed in a TOML file; comments and all the rest stay."""

from __future__ import annotations

import tomllib

import pytest

from srflm_flower.federation.toml_edit import edited

FILE = """# ours
seed = 3 # drawn by lot

[privacy] # agreed
unit = "none" # for now
client-noise = 1.0

# who takes part
[[vendors]]
name = "a" # first
size = 10

[[vendors]]
name = 'b'
"""


def test_comments_and_order_stay() -> None:
    new = edited(FILE, "privacy", {"unit": "record", "server-noise": 2.5}, {"b": {"size": 20}})
    assert new == FILE.replace('"none" # for', '"record" # for').replace(
        "client-noise = 1.0\n", "client-noise = 1.0\nserver-noise = 2.5\n"
    ).replace("name = 'b'\n", "name = 'b'\nsize = 20\n")


def test_table_that_is_missing_comes_before_the_vendors() -> None:
    text = FILE[FILE.index("# who") :]
    new = edited(text, "privacy", {"unit": "record"}, {"a": {"size": 11}})
    assert new is not None
    tree = tomllib.loads(new)
    assert tree["privacy"] == {"unit": "record"}
    assert [vendor.get("size") for vendor in tree["vendors"]] == [11, None]
    assert tomllib.loads(edited("seed = 3", "privacy", {"unit": "record"}, {}) or "") == {
        "seed": 3,
        "privacy": {"unit": "record"},
    }


@pytest.mark.parametrize(
    "text",
    [
        'privacy = {unit = "none"}\n',
        'privacy.unit = "none"\n',
        'vendors = [{name = "a"}]\n',
        'note = """\n[privacy]\n"""\n[privacy]\nunit = "none"\n',
    ],
)
def test_file_written_in_another_way_is_left_alone(text: str) -> None:
    assert edited(text, "privacy", {"unit": "record"}, {"a": {"size": 1}}) is None


def test_vendor_that_is_not_there_is_not_added() -> None:
    assert edited(FILE, "privacy", {"unit": "record"}, {"z": {"size": 1}}) is None
