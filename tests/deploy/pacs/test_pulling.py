"""A pull fetches whole series, each image once, and never half of anything."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections import Counter
from pathlib import Path

import pytest

from clients.files.locks import locked
from deploy.pacs.connection import Connection
from deploy.pacs.fetching import FETCHED, name_of
from deploy.pacs.pulling import HIDDEN, TABLE, look
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import ConfigurationError, PacsError, RunFolderError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs, in_parts
from tests.deploy.pacs.pulls import MR, Files, content, expected, pulled, refused, silent
from tests.support.dicom_files import CANARY
from tests.support.waiting import PATIENCE_SECONDS

# ---- the good path -----------------------------------------------------------------------------


def test_all_series_come_as_they_are_stored(pacs: MadeUpPacs, files: Files, folder: Path) -> None:
    found = pulled(pacs, folder)
    assert content(folder) == expected(files)
    assert (found.series, found.whole, found.before, found.not_whole) == (4, 4, 0, 0)
    assert (found.images, found.bytes) == (12, sum(map(len, files.values())))


def test_everything_is_for_its_owner_alone(pacs: MadeUpPacs, folder: Path) -> None:
    umask = os.umask(0o022)
    try:
        pulled(pacs, folder)
    finally:
        assert os.umask(umask) == 0o022
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_pull_only_reads(pacs: MadeUpPacs, folder: Path) -> None:
    pulled(pacs, folder)
    assert {method for method, _ in pacs.asked} == {"GET"}


def test_second_pull_fetches_nothing(pacs: MadeUpPacs, folder: Path) -> None:
    pulled(pacs, folder)
    asked = len(pacs.images_asked)
    again = pulled(pacs, folder)
    assert len(pacs.images_asked) == asked == 12
    assert (again.before, again.whole, again.images, again.bytes) == (4, 0, 0, 0)


@pytest.mark.parametrize("told", [True, False])
def test_series_that_has_grown_gets_what_it_lacks(
    pacs: MadeUpPacs, files: Files, folder: Path, told: bool
) -> None:
    pacs.told = told
    late = next(iter(files))
    content_of_late = pacs.files.pop(late)
    pulled(pacs, folder)
    pacs.files[late] = content_of_late
    again = pulled(pacs, folder)
    if told:
        assert content(folder) == expected(files)
        assert (again.images, again.before, again.whole) == (1, 3, 1)
    else:  # nothing says that it has grown, and asking for each image's name takes long
        assert again.before == 4


def test_table_says_which_folder_has_which_series(
    pacs: MadeUpPacs, files: Files, folder: Path
) -> None:
    pulled(pacs, folder)
    pulled(pacs, folder)
    lines = (folder / TABLE).read_text().splitlines()
    assert len(lines) == 1 + 4
    for study, series, _ in files:
        assert any(each.startswith(f"{name_of(series)},{study},{series},") for each in lines)


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_few_series_are_fetched_at_a_time(pacs: MadeUpPacs, folder: Path, at_once: int) -> None:
    meeting, first, lock = threading.Barrier(at_once), set(), threading.Lock()

    def answer(handler) -> bool:
        series = handler.path.split("/")[5:6]
        with lock:
            is_first = "/instances/" in handler.path and len(first) < at_once
            first.update(series if is_first else ())
        if is_first:  # nobody goes on before so many are under way
            meeting.wait(PATIENCE_SECONDS)
        return False

    pacs.answer = answer
    assert pulled(pacs, folder, at_once=at_once).whole == 4
    assert len(first) == at_once


def test_look_counts_and_fetches_nothing(pacs: MadeUpPacs) -> None:
    with Connection(PacsSettings(address=pacs.address)) as connection:
        series, found = look(connection, MR, silent)
    assert (len(series), found.series, sum(each.images or 0 for each in series)) == (4, 4, 12)
    assert pacs.images_asked == []


# ---- images that do not come -------------------------------------------------------------------


def spoil(pacs: MadeUpPacs, spoilt, times: int = 10**6) -> str:
    """Let the first image be answered otherwise; return the name of its series' folder."""
    (_, series, image), left = next(iter(pacs.files)), [times]

    def answer(handler) -> bool:
        if not handler.path.endswith(image) or left[0] == 0:
            return False
        left[0] -= 1
        spoilt(handler)
        return True

    pacs.answer = answer
    return name_of(series)


def cut_off(handler) -> None:
    body, kind = in_parts(b"x" * 5000)
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:3000])
    handler.close_connection = True


def endless(handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", in_parts(b"")[1])
    handler.end_headers()
    handler.close_connection = True
    try:
        handler.wfile.write(in_parts(b"")[0][:50])
        while True:
            handler.wfile.write(bytes(2**16))
    except OSError:
        pass


def another(handler) -> None:
    *_, last = handler.pacs.files.values()
    handler.send(*in_parts(last))


SPOILT = {
    "no DICOM": lambda handler: handler.send(*in_parts(b"<html>" + b" " * 200)),
    "an answer that ends before": lambda h: h.send(in_parts(b"x" * 900)[0][:500], in_parts(b"")[1]),
    "several objects": lambda h: h.send(
        in_parts(b"a")[0].replace(b"--\r\n", b"\r\n\r\nb"), in_parts(b"")[1]
    ),
    "without a boundary": lambda handler: handler.send(b"x", "multipart/related"),
    "do not begin": lambda handler: handler.send(b"x" * 100_000, in_parts(b"")[1]),
    "another image": another,
    "status 404": lambda handler: handler.send(b"", "text/plain", 404),
    "status 500": lambda handler: handler.send(CANARY.encode(), "text/plain", 500),
    "(403)": lambda handler: handler.send(b"", "text/plain", 403),
    "redirection (302)": lambda handler: handler.send(b"", "text/plain", 302, Location="/x"),
    "compressed": lambda h: h.send(*in_parts(b"x"), Content_Encoding="gzip"),
    "larger than": endless,
}


@pytest.mark.parametrize("why", SPOILT)
def test_series_without_all_its_images_is_left_out_and_the_others_come(
    pacs: MadeUpPacs, files: Files, folder: Path, why: str
) -> None:
    series = spoil(pacs, SPOILT[why])
    found = pulled(pacs, folder, largest_image=1)
    assert (found.whole, found.not_whole, found.images) == (3, 1, 11)
    (reason,) = found.reasons
    assert why in reason and found.reasons[reason] == 1
    assert CANARY not in reason and not any(uid in reason for uid in next(iter(files)))
    whole = {path: data for path, data in expected(files).items() if not path.startswith(series)}
    assert content(folder) == whole
    # The next pull tries what is missing, and only that.
    pacs.answer = lambda handler: False
    asked = len(pacs.images_asked)
    again = pulled(pacs, folder)
    assert (again.images, len(pacs.images_asked)) == (1, asked + 1)
    assert content(folder) == expected(files)


@pytest.mark.parametrize(
    "spoilt", [cut_off, lambda handler: handler.send(b"", "text/plain", 503, Retry_After="7")]
)
def test_request_that_is_cut_off_or_put_off_is_repeated(
    pacs: MadeUpPacs, files: Files, folder: Path, spoilt
) -> None:
    spoil(pacs, spoilt, times=2)
    waits: list[float] = []
    assert pulled(pacs, folder, waits=waits).whole == 4
    assert content(folder) == expected(files)
    assert len(waits) == 2 and (waits in ([0.5, 1.0], [7.0, 7.0]))


def test_object_that_is_no_part_is_taken_too(pacs: MadeUpPacs, files: Files, folder: Path) -> None:
    """Some servers send application/dicom, as a client may ask for it."""
    first = next(iter(files.values()))
    spoil(pacs, lambda handler: handler.send(first, "application/dicom"))
    assert pulled(pacs, folder).whole == 4
    assert content(folder) == expected(files)


@pytest.mark.parametrize("listed", [0, 2])
def test_series_of_which_the_pacs_lists_too_few_images_is_left_out(
    pacs: MadeUpPacs, folder: Path, listed: int
) -> None:
    """Some servers cut lists without a word; half a volume would look like a smaller one."""
    (_, series, _), *_ = pacs.files
    images = [
        {"00080018": {"vr": "UI", "Value": [key[2]]}} for key in pacs.files if key[1] == series
    ]

    def answer(handler) -> bool:
        if f"{series}/instances" not in handler.path or "/instances/" in handler.path:
            return False
        return handler.send(json.dumps(images[:listed]).encode(), "application/json") is None

    pacs.answer = answer
    found = pulled(pacs, folder)
    assert (found.whole, found.not_whole) == (3, 1)
    assert found.reasons == {"the PACS lists fewer images than the series has": 3 - listed}
    assert not (folder / name_of(series)).exists()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_series_whose_images_are_not_listed_is_left_out(
    pacs: MadeUpPacs, folder: Path, status: int
) -> None:
    first = next(iter(pacs.files))[1]
    pacs.answer = lambda handler: (
        f"{first}/instances" in handler.path and handler.send(b"", "text/plain", status) is None
    )
    found = pulled(pacs, folder)
    assert (found.whole, found.not_whole, found.images) == (3, 1, 9)


def test_study_that_may_not_be_read_is_counted(pacs: MadeUpPacs, folder: Path) -> None:
    first = next(iter(pacs.files))[0]
    pacs.answer = lambda handler: (
        first in handler.path and handler.send(b"", "text/plain", 403) is None
    )
    found = pulled(pacs, folder)
    assert (found.series, found.whole) == (2, 2)
    assert found.others == {"study that this site's user may not read (403)": 1}


def test_pacs_that_stays_down_ends_the_pull_and_keeps_what_has_come(
    pacs: MadeUpPacs, folder: Path
) -> None:
    down = []

    def answer(handler) -> bool:
        if len(pacs.images_asked) > 5:
            down.append(handler.path)
            handler.send(b"", "text/plain", 503)
        return bool(down)

    pacs.answer = answer
    assert "overloaded or down (503)" in refused(pacs, folder, PacsError.UNREACHABLE, at_once=1)
    pacs.answer = lambda handler: False
    assert pulled(pacs, folder).images == 12 - 5
    assert max(Counter(pacs.images_asked).values()) == 1 + 4


# ---- the folder --------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_full_disk_is_one_error(
    pacs: MadeUpPacs, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    pulled(pacs, folder.with_name("other"))  # and with this everything is imported
    really = getattr(os, call)

    def full(path: object, *rest: object, **words: object) -> int:
        if len(pacs.images_asked) > 12 + 5:
            raise OSError(28, "No space left on device")
        return really(path, *rest, **words)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RunFolderError) as caught:
            pulled(pacs, folder, at_once=1)
    assert "No space left on device" in str(caught.value)
    assert caught.value.code == RunFolderError.NOT_WRITABLE
    assert not list((folder / HIDDEN).rglob(".*.dcm*"))
    kept = len([*folder.rglob("*.dcm"), *folder.rglob(f"*{FETCHED}")])
    asked = len(pacs.images_asked)
    assert kept >= 5
    assert pulled(pacs, folder).images == 12 - kept == len(pacs.images_asked) - asked


def test_folder_that_others_can_look_into_is_refused(pacs: MadeUpPacs, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        pulled(pacs, folder)
    assert pacs.asked == [] and list(folder.iterdir()) == []


def test_two_pulls_into_one_folder_do_not_mix(pacs: MadeUpPacs, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with locked(folder / HIDDEN / "lock"), pytest.raises(RunFolderError) as caught:
        pulled(pacs, folder)
    assert caught.value.code == RunFolderError.BUSY
    assert pacs.asked == []
