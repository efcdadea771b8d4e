"""Rules of the program that runs all benchmarks, and of what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.measuring.data import missing_data
from benchmarks.measuring.section import Result
from benchmarks.run_all import BENCHMARKS, main, run_all
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Said:
    text: str

    def as_markdown(self) -> str:
        return self.text


def says_yes(quick: bool, folder: Path) -> Result:
    assert folder.is_dir()
    return Said(f"quick is {quick}")


def breaks(quick: bool, folder: Path) -> Result:
    raise RuntimeError("a secret path")


def test_results_have_a_section_a_benchmark(tmp_path: Path) -> None:
    results = tmp_path / "new" / "results.md"
    shown: list[str] = []
    assert (
        run_all(
            ["one", "two"], True, results, shown.append, dict.fromkeys(("one", "two"), says_yes)
        )
        == []
    )
    text = results.read_text(encoding="utf-8")
    assert [text.count(line) for line in ("## One", "## Two", "quick is True")] == [1, 1, 2]
    assert len(shown) == 2


def test_benchmark_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    results = tmp_path / "results.md"
    benchmarks = {"bad": breaks, "good": says_yes}
    assert run_all(["bad", "good"], False, results, lambda _: None, benchmarks) == ["bad"]
    text = results.read_text(encoding="utf-8")
    assert "Failed: RuntimeError." in text and "quick is False" in text
    assert "secret" not in text


@pytest.mark.parametrize("only", ["nothing", "", "throughput,nothing"])
def test_unknown_benchmark_is_refused(only: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--only", only])
    assert exit_info.value.code == 2
    assert "expected some of " + ", ".join(BENCHMARKS) in capsys.readouterr().err


def test_missing_data_file_is_named(tmp_path: Path) -> None:
    federation = load_federation(EXAMPLES / "pbc" / "dirichlet-0.5.toml")
    missing = missing_data(with_changes(federation, data__path=tmp_path / "pbc.npz"))
    assert missing.startswith("its data file pbc.npz is not there")


def test_generated_data_is_never_missing() -> None:
    assert missing_data(built_in_federation()) == ""
