"""The figures of a run go to TensorBoard, MLflow, and JSON lines, as the ledger has them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.cli.watching import track
from deploy.tracking import extras
from deploy.tracking.figures import MEAN, figures
from deploy.tracking.sink import feed
from srflm_flower.run.ledger import Ledger
from strategies.errors import ConfigurationError
from strategies.protocol.records import TermRecord
from tests.support.tiny import VENDORS, conduct, new_run, tiny_federation

TERMS = 2
Found = dict[tuple[str, int], float]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracked")
    run = new_run(tiny_federation(folder, run__rounds=TERMS), folder / "run")
    conduct(run)
    return run.path


@pytest.fixture(scope="module")
def records(run: Path) -> list[TermRecord]:
    first = json.loads((run / "ledger.jsonl").read_text().splitlines()[0])
    found = list(Ledger(run / "ledger.jsonl", first["federation"]).records())
    assert len(found) == TERMS
    return found


@pytest.fixture(scope="module")
def expected(records: list[TermRecord]) -> Found:
    return {(each.name, record.term): each.value for record in records for each in figures(record)}


def tracked(run: Path, *words: str | Path) -> Any:
    return CliRunner().invoke(app, ["track", str(run), *map(str, words)])


def test_figures_say_what_the_record_says(records: list[TermRecord]) -> None:
    record = records[-1]
    found = dict(figures(record))
    for vendor in VENDORS:
        for model in ("averaged", "finetuned", "personalised"):
            for metric, value in getattr(record.metrics[vendor], model).items():
                assert found[f"{model}/{metric}/{vendor}"] == value
    assert found[f"loss/{VENDORS[0]}"] == record.ballots[VENDORS[0]].loss
    assert found["term/round"] == record.round
    mean = sum(found[f"finetuned/accuracy/{v}"] for v in VENDORS) / len(VENDORS)
    assert found[f"finetuned/accuracy/{MEAN}"] == pytest.approx(mean)
    assert {name.partition("/")[0] for name in found} >= {"averaged", "loss", "seconds", "bytes"}


def test_json_lines_have_every_figure(run: Path, expected: Found, tmp_path: Path) -> None:
    out = tmp_path / "new" / "figures.jsonl"
    ended = tracked(run, "--to", "jsonl", "--out", out)
    assert ended.exit_code == 0 and f"{TERMS} terms" in ended.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(line["name"], line["step"]): line["value"] for line in lines} == expected
    assert len(lines) == len(expected)


def test_tensorboard_reads_every_figure(run: Path, expected: Found, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "tb"
    ended = tracked(run, "--to", "tensorboard", "--out", out)
    assert ended.exit_code == 0, ended.output
    read = EventAccumulator(str(out), size_guidance={"scalars": 0})
    read.Reload()
    names = {name for name, _ in expected}
    # TensorBoard takes some characters out of names.
    assert len(read.Tags()["scalars"]) == len(names)
    vendor = VENDORS[0]
    for event in read.Scalars(f"loss/{vendor}"):
        assert event.value == pytest.approx(expected[f"loss/{vendor}", event.step])
    assert [event.step for event in read.Scalars("term/round")] == [1, 2]


def test_mlflow_reads_every_figure(run: Path, expected: Found, tmp_path: Path) -> None:
    if find_spec("mlflow") is None:
        pytest.skip("needs the extra mlflow: 17 packages, so the tests' environment is without it")
    import mlflow

    out = tmp_path / "store"
    for _ in range(2):  # a store takes several runs
        ended = tracked(run, "--to", "mlflow", "--out", out)
        assert ended.exit_code == 0, ended.output
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    client = mlflow.MlflowClient(tracking_uri=out.resolve().as_uri())
    experiment = client.get_experiment_by_name("srflm")
    found = client.search_runs([experiment.experiment_id])
    assert [(each.info.status, each.info.run_name) for each in found] == [("FINISHED", "run")] * 2
    for (name, step), value in expected.items():
        history = {m.step: m.value for m in client.get_metric_history(found[0].info.run_id, name)}
        assert history[step] == pytest.approx(value), name


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_missing_extra_is_named(
    kind: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str) -> None:
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(extras, "import_module", missing)
    ended = tracked(run, "--to", kind, "--out", tmp_path / "out")
    assert isinstance(ended.exception, ConfigurationError)
    assert f"pip install 'srflm-flower[{kind}]'" in str(ended.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tensorboard", "jsonl"])
def test_figures_of_two_runs_are_not_mixed(kind: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "of-another").write_text("one")
    ended = tracked(run, "--to", kind, "--out", tmp_path)
    assert isinstance(ended.exception, ConfigurationError)
    assert [each.name for each in tmp_path.iterdir()] == ["of-another"]


def test_folder_that_is_no_run_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "no-run").mkdir()
    ended = tracked(tmp_path / "no-run", "--to", "jsonl", "--out", tmp_path / "out")
    assert ended.exit_code != 0 and not (tmp_path / "out").exists()


class Noted:
    """A sink that notes what it takes."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.flushed = 0

    def scalar(self, name: str, value: float, step: int) -> None:
        self.steps.append(step)

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize("interrupted", [False, True])
def test_run_that_goes_on_is_followed_to_its_end(
    interrupted: bool, records: list[TermRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A term is given once; the last one may be committed between two looks."""
    looks = iter([records[:1], records[:1], records])
    ends, naps = iter([False, False, True]), [0]

    def sleep(_: float) -> None:
        naps[0] += 1
        if interrupted and naps[0] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(track.time, "sleep", sleep)
    sink = Noted()
    read: Callable[[], Sequence[TermRecord]] = lambda: next(looks)  # noqa: E731
    terms = track._feed(sink, read, lambda: next(ends))
    assert terms == (1 if interrupted else TERMS)
    assert sorted({*sink.steps}) == list(range(1, terms + 1))
    alone = Noted()
    feed(records[:terms], alone)
    assert sink.steps == alone.steps
