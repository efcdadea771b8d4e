"""The file for support: a site's scrubbed logs, versions, doctor's codes, and program states."""

from __future__ import annotations

import gzip
import io
import json
import platform
import tarfile
from collections import Counter
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

from clients.files.durable import durable_file
from deploy.flower.bundle import installed_hash
from deploy.operating.running import read_notes
from deploy.operating.support.allowed import PROGRAMS
from deploy.operating.support.log_lines import lines_of, log_files
from deploy.operating.support.scrubbing import Scrubber
from deploy.site.diagnosis import last_diagnosis
from deploy.site.layout import Layout
from deploy.site.settings import SiteSettings, load_site
from strategies.errors import ConfigurationError, SrflmError

PACKAGES: Final = ("srflm-flower", "flwr", "torch", "monai")
ABOUT: Final = """\
Logs of a site of a federation, scrubbed by `srflm logs --bundle`.

What stays: times, names of events, numbers of terms and attempts, seconds, bytes, exit codes,
error codes, kinds of exceptions, lines of code of known packages, known phrases of programs,
versions, and which programs run.

What was taken out: addresses and names of hosts, paths, names of users, of vendors (they are
this-site and vendor-<n>, by their place in the roster), of patients and of cases, texts of errors,
losses and metrics, hashes, keys, and every line and field that is not known to be harmless.
"left_out" says how many lines these were.  A line without a time had none.
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of the bundle of the site in ``folder``, by their names.

    Raises :class:`ConfigurationError` when ``site.toml`` is invalid.
    """
    settings = load_site(folder)
    layout = Layout.of(settings)
    scrubber = Scrubber(settings.vendor, _roster(settings))
    found = {
        "README.txt": ABOUT.encode(),
        "versions.json": _json(_versions()),
        "doctor.json": _json(_doctor(layout)),
        "programs.json": _json(_programs(layout)),
    }
    for source, path in log_files(layout).items():
        name = scrubber.file(source)
        if name is not None:
            lines = [json.dumps(line) for line in scrubber.lines(lines_of(source, path))]
            known = name.removesuffix(".jsonl")
            found[f"logs/{known}.jsonl"] = "".join(f"{line}\n" for line in lines).encode()
    return found


def write_bundle(path: Path, files: dict[str, bytes]) -> None:
    """Write a new file ``.tar.gz``, which only its user can read, and which does not name him.

    Raises :class:`ConfigurationError` for a file that exists, and
    :class:`strategies.errors.RunFolderError` for one that cannot be written.
    """
    if path.exists():
        raise ConfigurationError(f"{path}, which exists", "a new file", "name another --bundle")
    with (
        durable_file(path, private=True, mend="free space, or name another --bundle") as file,
        # Without a name and a time, which gzip would write into its head.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, data in files.items():
            entry = tarfile.TarInfo(name)  # of user 0, at time 0
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))


def _roster(settings: SiteSettings) -> tuple[str, ...]:
    try:
        return settings.load_federation().roster
    except SrflmError:  # a site that cannot start needs support, too
        return ()


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "system": platform.system()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    found["bundle"] = installed_hash()
    return found


def _doctor(layout: Layout) -> dict[str, Any]:
    """Return the codes of the last examination; findings have names in them."""
    found = last_diagnosis(layout.state)
    if found is None:
        return {"examined": None}
    counted = Counter((line.code, line.severity) for line in found.lines)
    lines = [{"code": c, "severity": s, "lines": n} for (c, s), n in sorted(counted.items())]
    return {"examined": found.time.isoformat(), "quick": found.quick, "found": lines}


def _programs(layout: Layout) -> dict[str, Any]:
    notes = read_notes(layout)
    if notes is None:
        return {"up": False, "programs": {}}
    states = {
        name: {"runs": psutil.pid_exists(process), "restarts": notes.restarts.get(name, 0)}
        for name, process in notes.programs.items()
        if name in PROGRAMS
    }
    return {"up": True, "programs": states}


def _json(tree: Any) -> bytes:
    return json.dumps(tree, indent=2).encode() + b"\n"
