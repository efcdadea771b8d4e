"""A run in which nobody may serve any more ends by itself, with its results and the reason."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny import conduct, new_run, records_of, tiny_federation


def test_run_ends_when_every_vendor_has_served_as_often_as_agreed(tmp_path: Path) -> None:
    vendors = [{"name": name, "size": 100} for name in ("a", "b", "c")]
    federation = tiny_federation(
        tmp_path,
        ("a", "b", "c"),
        vendors=vendors,
        privacy__unit="record",
        privacy__batch_size=8,
        privacy__server_terms=1,
        election__policy="score",
        run__rounds=6,
    )
    folder = new_run(federation, tmp_path / "run")
    events: list[tuple[str, object]] = []
    summary = conduct(folder, observer=lambda event, **fields: events.append((event, fields)))
    assert sorted(record.server for record in records_of(folder)) == ["a", "b", "c"]
    assert summary.status == "completed" and summary.rounds == 3
    assert "3 of 6 terms" in summary.what_happened
    assert "ended: no vendor may serve another term" in summary.what_happened
    assert [event for event, _ in events if event in ("ended", "closing", "finished")] == [
        "ended",
        "closing",
        "finished",
    ]
    assert all(vendor.released for vendor in summary.vendors.values())
