"""A report says the same in every form, and its outcome first."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from srflm_flower.federation.loading import with_changes
from srflm_flower.report.forms.data import report_json
from srflm_flower.report.forms.markdown import report_markdown
from srflm_flower.report.forms.pdf import report_pdf
from srflm_flower.report.page import report_page
from srflm_flower.results.outcome import elected_in, outcome_of
from srflm_flower.results.summary import summarise
from strategies.errors import ConfigurationError, RunFolderError
from tests.srflm_flower.report.test_page import Page, completed, run
from tests.support.quick_sites import quick_federation
from tests.support.tiny import conduct, new_run, tiny_federation

MISSED = "6 of 6 terms; borealis missed term 4; another vendor stood in for the elected server"


def eventful() -> tuple:  # type: ignore[type-arg]
    """Return a run in which a silent server was replaced in term 2, and a vendor missed term 4."""
    federation, records = run(terms=6)
    records[1] = records[1].model_copy(update={"attempt": 1, "server": "cygnus"})
    ballots = {v: each for v, each in records[3].ballots.items() if v != "borealis"}
    records[3] = records[3].model_copy(update={"ballots": ballots})
    return federation, records


def test_outcome_comes_first_in_every_form() -> None:
    federation, records = eventful()
    summary = completed(federation, records)
    assert summary.what_happened.startswith(MISSED)
    markdown = report_markdown(federation, records, summary)
    assert markdown.index(MISSED) < 200
    tree = json.loads(report_json(federation, records, summary))
    assert list(tree)[1] == "outcome" and tree["outcome"]["sentence"].startswith(MISSED)
    assert tree["outcome"]["missed"] == {"borealis": [4]}
    assert tree["outcome"]["stood_in"] == [2]
    assert (tree["terms"][1]["elected"], tree["terms"][1]["server"]) == ("aster", "cygnus")
    words = Page(report_page(federation, records, summary)).words()
    assert "Completed, but not all vendors took part in all terms" in words
    assert words.index(MISSED) < 300


def test_cross_of_a_silent_server_is_drawn_and_told() -> None:
    federation, records = eventful()
    assert elected_in(federation, records)[2] == "aster"
    page = Page(report_page(federation, records, completed(federation, records)))
    assert any("term 2: cygnus in place of aster" in text for _, text in page.figures())


def test_server_that_tried_again_itself_was_replaced_by_nobody() -> None:
    federation, records = run(terms=2)
    first = federation.first_ranking[0]
    records[0] = records[0].model_copy(update={"attempt": 4, "server": first})
    assert outcome_of(federation, records).stood_in == ()


def test_figures_of_one_vendor_are_not_called_a_mean() -> None:
    federation, records = run()
    value = {"accuracy": 0.75, "examples": 40.0}
    test = {"aster": {"personalised": value, "global": value}}
    summary = summarise(federation, records, 1.0, test, {}, asked=())
    for text in (
        Page(report_page(federation, records, summary)).words(),
        report_markdown(federation, records, summary),
    ):
        assert "ean over vendors, test" not in text and "Mean over vendors" not in text
        assert "no final figures" not in text and "all vendors' test examples" not in text
        assert "Accuracy on the test split of aster" in text
    assert "(test data of aster alone)" in Page(report_page(federation, records, summary)).words()


def test_run_with_open_terms_is_not_called_completed() -> None:
    federation, records = run()
    longer = with_changes(federation, run__rounds=5)
    summary = summarise(longer, records, 1.0, {}, {}, asked=())
    page = report_page(longer, records, summary)
    assert "Not all planned terms are done" in page and "Completed" not in page
    assert "3 of 5 terms" in page


def test_page_has_a_dark_mode_and_a_hint_on_narrow_screens() -> None:
    federation, records = run()
    text = report_page(federation, records, completed(federation, records))
    assert "prefers-color-scheme: dark" in text and "color-scheme: light dark" in text
    assert Page(text).words().count("scroll the chart sideways") == 4


def test_pdf_has_pages_and_equal_runs_give_equal_bytes() -> None:
    federation, records = eventful()
    summary = completed(federation, records)
    one, two = (report_pdf(federation, records, summary) for _ in range(2))
    assert one == two and one.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type /Page\b(?!s)", one)) <= 8
    assert b"CreationDate" not in one and b"Producer" not in one


@pytest.mark.parametrize("terms", [0, 1, 60])
def test_pdf_of_any_length_is_written(terms: int) -> None:
    federation, records = run(terms=terms)
    assert report_pdf(federation, records, completed(federation, records)).startswith(b"%PDF-")


def test_markup_in_names_is_shown_and_not_used() -> None:
    federation, records = run(terms=1)
    summary = completed(federation, records).model_copy(update={"name": "<b>x</b>|[y](z)`"})
    text = report_markdown(federation, records, summary)
    assert "\\<b\\>x\\</b\\>\\|\\[y\\](z)\\`" in text


# ---- the command ---------------------------------------------------------------------------------


def test_command_writes_each_form_of_a_run(tmp_path: Path) -> None:
    folder = new_run(tiny_federation(tmp_path, ("a", "b")), tmp_path / "run")
    conduct(folder)
    for form, start in (("html", b"<!DOCTYPE"), ("pdf", b"%PDF"), ("md", b"# "), ("json", b"{")):
        out = tmp_path / f"report.{form}"
        words = ["report", str(folder.path), "--format", form, "--out", str(out)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.exception
        assert out.read_bytes().lstrip().startswith(start)
    assert (tmp_path / "report.html").read_text().count("3 of 3 terms") >= 1
    printed = CliRunner().invoke(app, ["report", str(folder.path), "--format", "json"])
    assert json.loads(printed.stdout)["outcome"]["terms_done"] == 3
    without = CliRunner().invoke(app, ["report", str(folder.path), "--format", "pdf"])
    assert isinstance(without.exception, ConfigurationError)
    folder.summary.unlink()  # as of a run that was killed
    printed = CliRunner().invoke(app, ["report", str(folder.path), "--format", "md"])
    assert "There are no figures on test data here" in printed.stdout
    folder.summary.write_text("{")
    broken = CliRunner().invoke(app, ["report", str(folder.path), "--format", "md"])
    assert isinstance(broken.exception, RunFolderError)


def test_command_tells_what_a_sites_ledger_tells(tmp_path: Path) -> None:
    with quick_federation(tmp_path, ("a", "b", "c")) as sites:
        sites.clear()
        sites.order("a", rounds=4)
        sites.run_to(2)
        printed = CliRunner().invoke(app, ["report", str(sites.folders["b"]), "--format", "md"])
        assert "**2 of 4 terms.**" in printed.stdout, printed.exception
        assert "no figures on test data" in printed.stdout
    other = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert isinstance(other.exception, RunFolderError)
