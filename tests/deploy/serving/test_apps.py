"""A deployed site that cannot be built still answers: with a code, and with nothing else."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Message

from srflm_flower.client_app import answer_at
from strategies.errors import ConfigurationError
from strategies.protocol import messages as wire
from strategies.term.conversation import request
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation


def opening(sites: DeployedFederation) -> Message:
    """Return the message by which ``a`` opens term 1."""
    sites.grid("a")  # a grid gives this process the identity that every message names
    federation = sites.site("a").federation.hash
    envelope = wire.Envelope(federation=federation, term=1, attempt=0, server="a")
    noun = wire.OpenAttempt(envelope=envelope, parent=federation, model="0" * 64)
    return request(noun, wire.OPEN, 1)


def test_site_without_its_signing_key_tells_its_code_and_its_attempt(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    message = opening(sites)
    (sites.site("b").settings.identity / "signing.key").unlink()
    reply = answer_at(lambda: sites.site("b"), message, "a")
    found = wire.unpack(reply, wire.Reply)
    assert (found.vendor, found.status, found.attempt) == ("b", "failed", 0)
    assert found.code == ConfigurationError.codes[0]
    assert str(tmp_path) not in str(reply.content)


def test_site_whose_federation_file_is_gone_tells_its_code(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    message = opening(sites)
    sites.site("b").settings.federation.unlink()
    reply = answer_at(lambda: sites.site("b"), message, "a")
    found = wire.unpack(reply, wire.Reply)
    assert (found.vendor, found.status, found.code) == ("b", "failed", "SRFLM-C1")
    assert str(tmp_path) not in str(reply.content)
