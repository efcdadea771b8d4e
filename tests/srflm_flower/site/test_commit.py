"""What a site checks of a committed record before it stores it: everything, and once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.signatures import VendorKeys, acceptance_statement
from tests.support.stage import ask, refused, staged


def test_acceptances_are_checked_once_and_before_model_and_record_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified, verify = Counter[tuple[str, bytes]](), VendorKeys.verify

    def counted(keys: VendorKeys, vendor: str, statement: bytes, signature: str) -> bool:
        verified[vendor, statement] += 1
        return verify(keys, vendor, statement, signature)

    with staged(tmp_path) as stage:
        sender, site = stage.second.envelope.server, stage.sites.site(stage.site)
        accepted = {v: acceptance_statement(v, stage.record, 1) for v in "abc"}
        site.models.keep_only(())  # it has evaluated this model already
        monkeypatch.setattr(VendorKeys, "verify", counted)
        with refused(stage, sender, MessageRefused.SIGNATURE):
            ask(stage, stage.committed(stage.record, "a"), wire.COMMIT, sender)
        assert stage.model.hash not in site.models
        verified.clear()
        assert ask(stage, stage.committed(stage.record, *"abc"), wire.COMMIT, sender).head_term == 2
        assert {v: verified[v, accepted[v]] for v in "abc"} == dict.fromkeys("abc", 1)
        assert stage.model.hash in site.models
