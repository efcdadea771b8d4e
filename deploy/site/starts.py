"""The starts of a site: each has a number and a name, on disk before the first message.

The number is kept in the ledger and beside the keys: if the two differ, the state is lost or an old
copy, and may have forgotten a vote.  If both are old, the other sites notice.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

from clients.files.durable import write_durably
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.site.lapses import Start
from srflm_flower.site.ledger_file import BOOTS, number_in
from strategies.errors import MessageRefused
from strategies.protocol.memory import Memory


def found_ledger(site: SiteOnDisk) -> None:
    """Make the site's ledger when it joins; one that is there stays."""
    # Only here is an empty ledger no reason to think that votes were lost.
    site.state.ledger.found({})


def begin_start(site: SiteOnDisk, restored: bool) -> None:
    """Note a start of the site; one that may have forgotten votes does not vote for now.

    ``restored`` is the operator's word that it is a copy, and that no other site of the vendor
    runs.
    """
    ledger = site.state.ledger
    ledger.found_anew()
    known, expected = int(ledger.fact(BOOTS) or 0), number_in(site.starts)
    # A start that was broken off between the two writes has forgotten nothing.
    broken_off = expected == known + 1 == ledger.announced()
    start = _next(site, max(known, expected))
    ledger.begin(start, forgetful=known != expected and not broken_off, restored=restored)
    # Its operator may have mended what it failed at: it need not wait for all others' turns.
    ledger.take_up(site.vendor)


def take_over(site: SiteOnDisk, newer: Memory) -> None:
    """Go on as the newest site of the vendor in place of ``newer``, whose votes are unknown.

    Raises :class:`MessageRefused` unless the operator has said that the other one is gone.
    """
    if not site.state.ledger.may_take_over():
        raise MessageRefused(
            f"a site of {site.vendor!r} that was started later than this one (start {newer.start})",
            "one site of each vendor",
            "switch this one off; or, if it was restored and the other one is gone for good:"
            " `srflm down`, then `srflm up --restored`",
            MessageRefused.SUPERSEDED,
        )
    site.state.ledger.begin_again(_next(site, newer.start), newer)


def _next(site: SiteOnDisk, number: int) -> Start:
    place = place_of(site.settings.state / "ledger.sqlite")
    start = Start(number + 1, secrets.token_hex(8), place)
    site.state.ledger.announce(start.number)
    write_durably(site.starts, str(start.number).encode())
    return start


def place_of(path: Path) -> str:
    """Return the number and the time of birth of a file: a copy has others.

    They are the same after a snapshot of the whole disk is put back.  The time is missing where
    nothing tells it.
    """
    known, born = path.stat(), ""
    # The number of a deleted file is soon given to another one: the time of its birth is not.
    birth = getattr(known, "st_birthtime", None)  # Python on Linux does not tell it
    if birth is not None:
        born = str(birth)
    elif (program := shutil.which("stat")) is not None:
        asked = [program, "--format=%.9W", str(path)]  # seconds: a text would follow the time zone
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        born = told if told.strip("0.-") else ""
    return f"{known.st_ino}:{born}"
