import math
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.report import write_report
from srflm_flower.report.page import report_page
from srflm_flower.results.summary import RunSummary, summarise
from strategies.errors import NO_REPLY, FederationStopped, TrainingDiverged
from strategies.protocol.records import Absence, Ballot, PhaseCost, TermRecord, VendorMetrics

STOPPED = (FederationStopped.NO_QUORUM, "2 of 4 vendors were ready")
VOID = {"meta", "br", "col", "img"}
FIGURE = "data:image/svg+xml;base64,"


class Page(HTMLParser):
    """Reads a page, checks that its tags are balanced, and keeps tags, attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def figures(self) -> list[tuple[str, str]]:
        """Return each figure as an SVG text, and its text alternative."""
        images = [attributes for tag, attributes in self.tags if tag == "img"]
        sources = [(each["src"] or "").removeprefix(FIGURE) for each in images]
        return [
            (b64decode(source, validate=True).decode(), each["alt"] or "")
            for source, each in zip(sources, images, strict=True)
        ]


def run(
    vendors: int = 4, terms: int = 3, missing: tuple[str, ...] = (), metrics: bool = True
) -> tuple[Federation, list[TermRecord]]:
    """Return a federation and its records; ``missing`` vendors take part only in term 1."""
    federation = with_changes(built_in_federation(vendors), run__rounds=max(terms, 1))
    records: list[TermRecord] = []
    for term in range(1, terms + 1):
        absent = missing if term > 1 else ()
        here = [v for v in federation.roster if v not in absent]
        server = here[(term - 1) % len(here)]
        value = {"accuracy": 0.5 + 0.1 * math.tanh(term), "loss": 1.0 / term, "examples": 80.0}
        each = VendorMetrics(averaged=value, finetuned=value, personalised=value)
        records.append(
            TermRecord(
                federation=federation.hash,
                term=term,
                attempt=0,
                server=server,
                round=term,
                clients=tuple(v for v in here if v != server),
                stale_server=term > 1,
                ballots={v: Ballot(examples=1240, loss=1.0) for v in here},
                ranking=federation.roster,
                absences=tuple(Absence(vendor=v, phase="open", code=NO_REPLY) for v in absent),
                learning_rate=0.02 * 0.95**term,
                steps={},
                averaged_model="a" * 64,
                model="b" * 64,
                metrics=dict.fromkeys(here, each) if metrics else {},
                cost={"train": PhaseCost(seconds=2.5, bytes_sent=10**6, bytes_received=3 * 10**6)},
                parent=records[-1].hash if records else federation.hash,
            )
        )
    return federation, records


def completed(federation: Federation, records: list[TermRecord]) -> RunSummary:
    value = {"accuracy": 0.8125, "loss": 0.5, "examples": 80.0}
    test = {v: {"personalised": value, "global": value} for v in federation.roster}
    cross = {v: {w: {"accuracy": 0.75} for w in federation.roster} for v in federation.roster}
    return summarise(federation, records, 12.0, test, cross if len(test) <= 12 else {})


def stopped(federation: Federation, records: list[TermRecord]) -> RunSummary:
    return summarise(federation, records, 12.0, {}, {}, STOPPED)


def test_page_is_well_formed_and_accessible() -> None:
    federation, records = run()
    page = Page(report_page(federation, records, completed(federation, records)))
    tags = dict(page.tags)
    assert tags["html"]["lang"] == "en"
    assert page.count("h1") == page.count("title") == 1
    assert page.count("img") == page.count("figure") == page.count("figcaption") == 4
    assert page.count("caption") == page.count("table") > 0
    assert all(len(alternative) > 40 for _, alternative in page.figures())


def test_page_fetches_nothing() -> None:
    federation, records = run()
    text = report_page(federation, records, completed(federation, records))
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert "href" not in attributes
        assert (attributes.get("src") or FIGURE).startswith(FIGURE)
    assert "@import" not in text
    assert "url(" not in text
    assert re.findall(r"https?://", text) == []


def test_figures_are_documents_that_refer_only_to_themselves() -> None:
    federation, records = run()
    page = Page(report_page(federation, records, completed(federation, records)))
    for svg, _ in page.figures():
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        links = set(re.findall(r'href="([^"]+)"', svg)) | set(re.findall(r"url\(([^)]+)\)", svg))
        assert links
        assert links <= {f"#{name}" for name in re.findall(r'id="([^"]+)"', svg)}


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    federation, records = run()
    summary = completed(federation, records)
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, federation, records, summary)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_text_from_files_is_escaped() -> None:
    federation, records = run(terms=1)
    federation = with_changes(
        federation, task__classes=("<script>alert(1)</script>", 'a"&b', "c", "d")
    )
    summary = completed(federation, records).model_copy(update={"name": "<b>bold</b>"})
    records = [records[0].model_copy(update={"server": '"><i>x</i>'})]
    text = report_page(federation, records, summary)
    assert "<script" not in text
    assert "<b>" not in text
    assert "<i>" not in text
    page = Page(text)
    assert "<script>alert(1)</script>" in page.words()
    assert 'a"&b' in page.words()
    assert any('"><i>x</i>' in alternative for _, alternative in page.figures())


def test_final_table_has_every_vendor_and_the_means() -> None:
    federation, records = run()
    words = Page(report_page(federation, records, completed(federation, records))).words()
    for vendor in federation.roster:
        assert re.search(rf"{vendor} 1,240 80 \S+ none 0\.812 0\.812", words)
    assert "Mean over vendors 0.812 0.812" in words
    assert "No differential privacy in this run." in words
    assert "3 of 3 terms" in words


def test_stopped_run_says_so_with_its_code_and_how_to_resume() -> None:
    federation, records = run()
    words = Page(report_page(federation, records, stopped(federation, records))).words()
    assert "Stopped early, code SRFLM-F1" in words
    assert STOPPED[1] in words
    assert "srflm simulate --resume <folder>" in words
    assert "Completed" not in words


def test_missing_vendor_is_shown_with_its_terms_and_reason() -> None:
    federation, records = run(terms=4, missing=("draco",))
    words = Page(report_page(federation, records, stopped(federation, records))).words()
    assert re.search(r"draco 1,240 – none 2–4 – –", words)
    assert f"draco (open, {NO_REPLY})" in words
    assert "The vendor did not answer within the deadline." in words


def test_vendor_that_failed_as_server_is_named_in_the_table_of_terms() -> None:
    federation, records = run()
    code = TrainingDiverged.codes[0]
    lost = Absence(vendor="draco", phase="finetune", code=code)
    records[2] = records[2].model_copy(update={"attempt": 1, "absences": (lost,)})
    words = Page(report_page(federation, records, completed(federation, records))).words()
    assert f"draco (finetune, {code})" in words


def test_run_without_a_single_term_has_a_page() -> None:
    federation, records = run(terms=0)
    page = Page(report_page(federation, records, stopped(federation, records)))
    assert "nothing to draw" in page.words()
    assert "No global model has been released" in page.words()
    assert page.count("img") == 0
    for vendor in federation.roster:
        assert vendor in page.words()


def test_run_without_metrics_has_no_curves_and_no_nan() -> None:
    federation, records = run(metrics=False)
    page = Page(report_page(federation, records, stopped(federation, records)))
    words = page.words()
    assert "How the models learnt" not in words
    assert page.count("img") == 2
    assert not re.search(r"\b(nan|inf|None)\b", words)


@pytest.mark.parametrize(("vendors", "terms"), [(2, 1), (13, 2), (50, 40)])
def test_any_number_of_vendors_fits(vendors: int, terms: int) -> None:
    federation, records = run(vendors, terms, missing=("borealis",) if vendors > 2 else ())
    page = Page(report_page(federation, records, completed(federation, records)))
    assert page.count("img") == (4 if vendors <= 12 else 3)
    for vendor in federation.roster:
        assert vendor in page.words()
