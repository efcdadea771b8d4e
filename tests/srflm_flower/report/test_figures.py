import math
from io import BytesIO

import pytest
from PIL import Image

from srflm_flower.report.figures_compare import comparison_figure
from srflm_flower.report.figures_curves import learning_curves, values_by_term
from srflm_flower.report.figures_matrix import matrix, matrix_values
from srflm_flower.report.figures_timeline import Part, part_of, timeline
from srflm_flower.report.rendering import png_of, svg_of
from strategies.protocol.records import Absence, Ballot, TermRecord, VendorMetrics


def record(**changes: object) -> TermRecord:
    fields: dict[str, object] = {
        "federation": "f",
        "term": 1,
        "attempt": 0,
        "server": "aster",
        "round": 1,
        "clients": ("borealis",),
        "stale_server": False,
        "ballots": {v: Ballot(examples=1, loss=1.0) for v in ("aster", "borealis")},
        "ranking": ("aster",),
        "learning_rate": 0.1,
        "steps": {},
        "averaged_model": "a",
        "model": "b",
        "metrics": {"aster": VendorMetrics(averaged={"accuracy": 0.5})},
        "cost": {},
        "parent": "f",
    }
    return TermRecord.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("vendor", "part"),
    [("aster", "served"), ("borealis", "trained"), ("cygnus", "missed"), ("draco", "failed")],
)
def test_every_vendor_has_one_part_in_a_term(vendor: str, part: Part) -> None:
    absences = (
        Absence(vendor="draco", phase="finetune", code="SRFLM-T1", attempt=0),
        Absence(vendor="cygnus", phase="open", code="SRFLM-X2", attempt=1),
    )
    assert part_of(vendor, record(attempt=1, absences=absences)) == part


def test_vendor_absent_in_the_committed_attempt_did_not_fail_as_server() -> None:
    absence = Absence(vendor="borealis", phase="evaluate", code="SRFLM-X2", attempt=1)
    assert part_of("borealis", record(attempt=1, absences=(absence,))) == "trained"


def test_values_that_a_vendor_lacks_are_gaps() -> None:
    records = [record(), record(term=2, metrics={})]
    values = values_by_term(records, "aster", "averaged", "accuracy")
    assert values[0] == 0.5
    assert math.isnan(values[1])
    assert math.isnan(values_by_term(records, "aster", "finetuned", "accuracy")[0])


def test_matrix_has_models_as_rows_and_data_as_columns() -> None:
    cross = {"aster": {"borealis": {"accuracy": 0.25}}}
    rows = matrix_values(["aster", "borealis"], cross, "accuracy")
    assert rows[0][1] == 0.25
    assert all(math.isnan(v) for v in (rows[0][0], *rows[1]))


def test_figures_bear_gaps_and_equal_values() -> None:
    many = [f"vendor-with-quite-a-long-name-{n}" for n in range(14)]
    assert b"<svg" in svg_of(learning_curves(many, [record()], "accuracy"))
    assert b"<svg" in svg_of(matrix(["a", "b"], {"a": {"a": {"auc": 1.0}}}, "auc"))
    assert b"<svg" in svg_of(timeline(many, [record(term=t) for t in range(1, 150)]))


def test_comparison_leaves_out_what_a_method_lacks() -> None:
    table = {"FedAvg": {"averaged": (0.85, 0.01)}, "SRFLM": {"personalised": (0.94, 0.0)}}
    figure = comparison_figure(table, ["personalised", "averaged", "fine-tuned"], "accuracy")
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["FedAvg", "SRFLM"]
    assert {t.get_text() for t in axes.texts} == {"0.940 ± 0.000", "0.850 ± 0.010"}
    assert axes.get_xlim()[0] == 0
    assert svg_of(figure) == svg_of(figure)
    with Image.open(BytesIO(png_of(figure))) as image:
        assert image.width == 1350
