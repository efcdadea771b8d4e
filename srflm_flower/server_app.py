"""The Flower ServerApp of a simulation, which conducts a whole run, term after term."""

from __future__ import annotations

from logging import INFO
from pathlib import Path

from flwr.app import Context
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp

from clients.files.event_log import EventLog
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.federation.network_trial import check_network
from srflm_flower.federation.preflight import require_paths
from srflm_flower.results.summary import term_line
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import RunFolder, create_run_folder
from srflm_flower.run.simulated_site import folder_note
from strategies.errors import ConfigurationError
from strategies.protocol.records import TermRecord
from strategies.term.plan import Observer

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Conduct the run that the run configuration describes, or resume the one in its folder."""
    folder = _folder(grid, context)
    try:
        _conduct(grid, folder)
    finally:
        # The nodes need the note only while the run lasts.
        folder_note(context.run_id).unlink(missing_ok=True)


def _conduct(grid: Grid, folder: RunFolder) -> None:
    with folder.locked():
        log(INFO, "Results: %s", folder.path)
        federation = folder.federation()
        folder.require_counted(federation)
        observer = _Logged(EventLog(folder.events), federation.task.metric)
        summary = ConductedRun(folder, federation, observer).conduct(grid)
        log(INFO, "%s", summary.what_happened)
        log(INFO, "Report: %s", folder.report)


class _Logged:
    """Passes events on, and logs one line per term for readers of Flower's log."""

    def __init__(self, observer: Observer, metric: str) -> None:
        self._observer, self._metric = observer, metric

    def __call__(self, event: str, **fields: object) -> None:
        self._observer(event, **fields)
        if event == "term-committed":
            record = TermRecord.model_validate(fields["record"])
            log(INFO, "%s", term_line(record, self._metric))


def _folder(grid: Grid, context: Context) -> RunFolder:
    """Return the run's folder: that of ``out``, or a new one in ``runs`` of the working folder."""
    out = str(context.run_config["out"])
    # `srflm simulate` has made the folder already, with the resolved federation in it.
    if out and (Path(out) / "federation.toml").is_file():
        _refuse_changes(context, Path(out))
        return RunFolder(Path(out))
    federation = _federation(grid, context)
    require_paths(federation)
    check_network(federation)  # before the folder is made, to leave no empty one
    folder = create_run_folder(federation, Path(out) if out else None, Path.cwd() / "runs")
    if not out:  # the nodes get the run configuration as it was, so they read the note
        folder_note(context.run_id).write_text(str(folder.path), encoding="utf-8")
    return folder


def _refuse_changes(context: Context, folder: Path) -> None:
    """Raise :class:`ConfigurationError` for settings that a resumed run cannot change."""
    given = [name for name in ("federation", "rounds", "seed") if context.run_config[name]]
    if given:
        raise ConfigurationError(
            f"{', '.join(given)} together with out = {str(folder)!r}, which holds a run",
            "out alone, to resume it",
            "leave the others out, or choose a new folder",
        )


def _federation(grid: Grid, context: Context) -> Federation:
    """Return the federation that the run configuration names, or the built-in one.

    The built-in federation has as many vendors as there are SuperNodes.
    """
    config = context.run_config
    if config["federation"]:
        federation = load_federation(Path(str(config["federation"])))
    else:
        federation = built_in_federation(len(list(grid.get_node_ids())))
    changes: dict[str, object] = {}
    if config["rounds"]:
        changes["run__rounds"] = int(config["rounds"])
    if config["seed"]:
        changes["seed"] = int(config["seed"])
    return with_changes(federation, **changes) if changes else federation
