"""A plan is put into a federation file; its comments, its order, and all other values stay."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from clients.privacy.accounting.planning import Plan, Schedule
from srflm_flower.privacy.plan import FederationPlan, with_plan, write_plan
from strategies.errors import ConfigurationError

FILE = """# ours
seed = 3 # drawn by lot

[privacy] # agreed
unit = "none" # for now
client-noise = 1.0

# who takes part
[[vendors]]
name = "a" # first
size = 10

# the second
[[vendors]]
name = 'b'
"""


def vendors_plan(size: int, noise: float) -> Plan:
    return Plan(Schedule(size, 20, 2, 4, 4, 2), noise, 2 * noise, 2.9, 1e-5)


PLAN = FederationPlan(3.0, 1e-5, 2, {"a": vendors_plan(400, 1.25), "b": vendors_plan(200, 1.5)})
PRIVACY = {
    "unit": "record",
    "epsilon": 3.0,
    "server-terms": 2,
    "client-noise": 1.5,
    "server-noise": 3.0,
}
VENDORS = [
    {"name": "a", "size": 400, "client-noise": 1.25, "server-noise": 2.5},
    {"name": "b", "size": 200, "client-noise": 1.5, "server-noise": 3.0},
]


def test_comments_and_order_stay() -> None:
    expected = """# ours
seed = 3 # drawn by lot

[privacy] # agreed
unit = "record" # for now
client-noise = 1.5
epsilon = 3.0
server-terms = 2
server-noise = 3.0

# who takes part
[[vendors]]
name = "a" # first
size = 400
client-noise = 1.25
server-noise = 2.5

# the second
[[vendors]]
name = 'b'
size = 200
client-noise = 1.5
server-noise = 3.0
"""
    assert with_plan(FILE, PLAN) == expected
    assert with_plan(expected, PLAN) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[[vendors]]\nname = "a"\n[[vendors]]\nname = "b"',
        '[privacy]\n[[vendors]]\nname = "a"\n[run]\nrounds = 4\n[[vendors]]\nname = "b"\n',
        'privacy = {unit = "none"}\nvendors = [{name = "a"}, {name = "b"}]\n',
        'privacy.unit = "none"\nseed = 3\nprivacy.epsilon = 8.0\n',
        'vendors = [\n  {name = "a", size = 1}, # 1st\n  {name = "b"},\n]\n[privacy]\nunit="none"',
        'note = """\n[privacy]\n"""\n[privacy]\nunit = "none"\n\n# end\n',
    ],
)
def test_every_way_to_write_the_file_gets_the_plan_and_keeps_the_rest(text: str) -> None:
    planned = with_plan(text, PLAN)
    expected = tomllib.loads(text) | {"privacy": PRIVACY, "vendors": VENDORS}
    assert tomllib.loads(planned) == expected
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in planned.splitlines() if "#" in line] == comments


def test_file_that_the_plan_would_make_invalid_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(FILE + "colour = 1\n")
    with pytest.raises(ConfigurationError, match="colour"):
        write_plan(path, PLAN)
    assert path.read_text() == FILE + "colour = 1\n"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
