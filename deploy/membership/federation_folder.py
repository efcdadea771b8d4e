"""The consortium's folder: what was agreed, who was admitted, and what was published.

::

    <folder>/   federation.toml               the agreed settings, for people to write
                consortium-ca.key, .crt       the certification authority
                requests/<vendor>.toml        admitted requests
                leaves/<vendor>.toml          admitted requests to leave, each for one edition
                certificates/<vendor>.crt     certificates that were issued
                editions/<number>/            federation.toml, answer.toml, and files of weights
                editions/withdrawn-…/         editions that the members did not approve
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deploy.edge.machines import split_address
from deploy.identity.words import are_words_of
from deploy.membership.answer import ANSWER
from deploy.membership.member_request import read_member_request
from deploy.membership.request import Request, read_request, twice, write_request
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class FederationFolder:
    """The files of one federation at its consortium."""

    root: Path

    @property
    def agreed(self) -> Path:
        """The file with the agreed settings."""
        return self.root / "federation.toml"

    def request(self, vendor: str) -> Path:
        """Return where the admitted request of a vendor lies."""
        return self.root / "requests" / f"{vendor}.toml"

    def leave(self, vendor: str) -> Path:
        """Return where the admitted request of a vendor to leave lies."""
        return self.root / "leaves" / f"{vendor}.toml"

    def leaving(self) -> tuple[str, ...]:
        """Return the vendors that were admitted to leave after the last edition.

        Raises :class:`ConfigurationError`.
        """
        editions = self.editions()
        files = sorted((self.root / "leaves").glob("*.toml"))
        asked = map(read_member_request, files)
        return tuple(e.vendor for e in asked if editions and e.edition_hash == editions[-1].hash)

    def certificate(self, vendor: str) -> Path:
        """Return where the certificate of a vendor's site lies."""
        return self.root / "certificates" / f"{vendor}.crt"

    def edition(self, number: int) -> Path:
        """Return the folder of an edition."""
        return self.root / "editions" / str(number)

    def answer(self, number: int) -> Path:
        """Return the answer of an edition, for all members."""
        return self.edition(number) / ANSWER

    def requests(self) -> dict[str, Request]:
        """Return the admitted requests by vendor; raises the errors of :func:`read_request`."""
        files = sorted((self.root / "requests").glob("*.toml"))
        return {each.vendor: each for each in map(read_request, files)}

    def editions(self) -> list[Federation]:
        """Return all published editions, the oldest first; raises :class:`ConfigurationError`."""
        found: list[Federation] = []
        while (file := self.edition(len(found) + 1) / "federation.toml").exists():
            found.append(load_federation(file))
        return found

    def withdrawn(self) -> list[Federation]:
        """Return the editions that were published and then withdrawn, in no order."""
        files = (self.root / "editions").glob("withdrawn-*/federation.toml")
        return [load_federation(file) for file in sorted(files)]

    def withdraw(self) -> int:
        """Put the last edition aside, as the members have not approved it; return its number.

        Raises :class:`ConfigurationError` when there is none.
        """
        editions = self.editions()
        if not editions:
            raise ConfigurationError("no edition", "one to withdraw", "publish one")
        last = editions[-1]
        aside = self.root / "editions" / f"withdrawn-{last.edition}-{last.hash[:12]}"
        self.edition(last.edition).rename(aside)
        return last.edition


@dataclass(frozen=True)
class Candidate:
    """A request that waits for a person's decision; ``known`` is the vendor's earlier one."""

    request: Request
    known: Request | None

    @property
    def what(self) -> str:
        """What is new about the request, in a few words."""
        if self.known is None:
            return "new"
        if self.known.signing_key != self.request.signing_key:
            return "new keys, in place of the known ones"
        if self.known.digest == self.request.digest:
            return "admitted already"
        return "same keys; new address or spare keys"


def candidates(folder: FederationFolder, files: Sequence[Path]) -> list[Candidate]:
    """Read requests, to be shown before they are admitted.

    Raises :class:`ConfigurationError` for two requests of one name, address, or key, and the errors
    of :func:`deploy.membership.request.read_request`.
    """
    requests, known = [read_request(path) for path in files], folder.requests()
    after = known | {each.vendor: each for each in requests}
    problems = [f"two different requests of {vendor}" for vendor in twice(requests)]
    for what in ("address", "signing_key", "site_key"):
        owners: dict[object, str] = {}
        for vendor, each in after.items():
            value = split_address(each.address) if what == "address" else getattr(each, what)
            first = owners.setdefault(value, vendor)
            if first != vendor:
                problems.append(f"one {what.replace('_', '-')} for {first} and {vendor}")
    if problems:
        raise ConfigurationError(
            "; ".join(problems),
            "one request of each vendor, with an address and keys of its own",
            "ask these vendors by telephone which request is theirs",
        )
    return [Candidate(each, known.get(each.vendor)) for each in requests]


def admit(folder: FederationFolder, candidate: Candidate, replace: bool = False) -> None:
    """Keep a request that a person has confirmed.

    Raises :class:`ConfigurationError` for new keys of a known vendor, unless told to ``replace``.
    """
    request, known = candidate.request, candidate.known
    if known is not None and known.signing_key != request.signing_key and not replace:
        raise ConfigurationError(
            f"a second vendor with the name {request.vendor}, or new keys of the first one",
            "another name, or the word that the keys were replaced",
            f"ask {request.vendor}; if it has made new keys, admit it with --replace",
        )
    write_request(folder.request(request.vendor), request)


class Heard(Protocol):
    """What a fingerprint stands for: a request with its vendor."""

    @property
    def vendor(self) -> str:
        """Whose request it is."""
        ...

    @property
    def digest(self) -> str:
        """The SHA-256 of which the words are."""
        ...

    @property
    def fingerprint(self) -> str:
        """The twelve words."""
        ...


def require_heard(requests: Sequence[Heard], heard: Sequence[str]) -> None:
    """Check that each request's fingerprint is among those ``heard`` by telephone.

    Raises :class:`ConfigurationError`.
    """
    wrong = [
        each for each in requests if not any(are_words_of(words, each.digest) for words in heard)
    ]
    if wrong:
        named = "; ".join(f"{each.vendor}: {each.fingerprint}" for each in wrong)
        raise ConfigurationError(
            f"a request whose fingerprint is not the one heard ({named})",
            f"{'; '.join(heard)}",
            "do not admit it: ask the vendor by telephone to send its request again",
        )
