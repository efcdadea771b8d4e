from __future__ import annotations

from rich.console import Console

from deploy.cli.parts.progress import Progress
from tests.support.tiny import conduct, new_run, tiny_federation


def progress_after_run(folder, **changes: object) -> tuple[Progress, list[str]]:
    """Return the state after a run in memory, and what was drawn after every event."""
    run = new_run(tiny_federation(folder, **changes), folder / "run")
    federation = run.federation()
    progress = Progress(federation.roster, federation.task.metric, federation.run.rounds)
    drawn: list[str] = []

    def observe(event: str, **fields: object) -> None:
        progress.on_event({"event": event, **fields})
        console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
        with console.file:
            console.print(progress)
            drawn.append(console.export_text())

    conduct(run, observer=observe)
    return progress, drawn


def test_table_shows_who_serves_and_every_vendor_s_figures(tmp_path) -> None:
    progress, drawn = progress_after_run(tmp_path)
    assert any("server a " in text and "train at the clients" in text for text in drawn)
    assert any("server b " in text and "fine-tune at the server" in text for text in drawn)
    assert all(vendor in drawn[-1] for vendor in "abcd")
    assert len(progress.lines) == 3 and progress.rounds_done == 3


def test_time_left_is_known_after_the_first_round_and_ends_at_nought(tmp_path) -> None:
    progress, drawn = progress_after_run(tmp_path)
    assert "time left —" in drawn[0]
    assert progress.seconds_left() == 0


def test_nobody_serves_while_the_results_are_gathered(tmp_path) -> None:
    progress, drawn = progress_after_run(tmp_path)
    assert progress.server == ""
    assert "gathering the results" in drawn[-1]
