"""Examine one site: look at it in every respect, and judge what was found.

A look that needs what another one has found to be broken is left out, so that one fault gives few
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from clients.networks.facts import NetworkFacts
from clients.networks.shapes import Size
from deploy.doctor.codes.table import CHECKS
from deploy.doctor.facts import RunningFacts
from deploy.doctor.lines import error, of_error, ok, warning
from deploy.doctor.looks.contact import MOST_BYTES, Caller, call_all, caller
from deploy.doctor.looks.data import data_facts
from deploy.doctor.looks.files import file_facts, running_facts
from deploy.doctor.looks.identity import certificate_facts, key_faults
from deploy.doctor.looks.machine import address_facts, machine_facts, port_facts
from deploy.doctor.looks.need import training_need
from deploy.doctor.looks.privacy import privacy_facts
from deploy.doctor.looks.versions import PROJECT, installed, version_facts
from deploy.doctor.rules.certificates import certificate_lines
from deploy.doctor.rules.data import data_lines
from deploy.doctor.rules.files import file_lines, running_lines
from deploy.doctor.rules.machine import machine_lines
from deploy.doctor.rules.peers import address_line, peer_lines, port_lines, round_line
from deploy.doctor.rules.privacy import privacy_lines
from deploy.doctor.rules.programs import version_lines
from deploy.edge.machines import host_of
from deploy.membership.confirming import check_confirmed
from deploy.membership.joining import check_own_keys
from deploy.site.diagnosis import Diagnosis, Line, keep_diagnosis
from deploy.site.layout import Layout
from deploy.site.settings import SiteSettings, load_site
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.network_trial import check_initial_weights, try_network_of
from strategies.errors import SrflmError

OWN_KEYS: Final = ("keys.complete", "keys.agreed", "certificate.fits", "certificate.dates")


def examine(folder: Path, quick: bool = False, now: datetime | None = None) -> Diagnosis:
    """Examine the site in ``folder``, and keep the result there.

    A ``quick`` examination sends nothing to measure a speed, and does not read large data.
    """
    folder, now = folder.resolve(), now or datetime.now(UTC)
    version = installed(PROJECT) or "unknown"
    try:
        settings = load_site(folder)
    except SrflmError as broken:
        line = of_error("site.file", broken, "site.toml cannot be used")
        return Diagnosis(vendor="", version=version, time=now, quick=quick, lines=(line,))
    site = SiteOnDisk(folder, settings)
    examination = Examination(site, quick, now)
    examination.run()
    places = list(CHECKS)
    found = Diagnosis(
        vendor=site.vendor,
        federation=examination.federation.hash if examination.federation is not None else "",
        version=version,
        time=now,
        quick=quick,
        lines=tuple(sorted(examination.lines, key=lambda line: places.index(line.code))),
    )
    with suppress(SrflmError):  # a folder that cannot be written has a line of its own
        keep_diagnosis(settings.state, found)
    return found


@dataclass
class Examination:
    """The lines about one site, gathered look by look."""

    site: SiteOnDisk
    quick: bool
    now: datetime
    lines: list[Line] = field(default_factory=list)

    @property
    def settings(self) -> SiteSettings:
        """The site's ``site.toml``."""
        return self.site.settings

    @cached_property
    def federation(self) -> Federation | None:
        """The federation as this site sees it; None if its file cannot be used."""
        try:
            return self.site.federation
        except SrflmError:
            return None

    @cached_property
    def running(self) -> RunningFacts:
        """What runs of the site."""
        return running_facts(self.site.folder, Layout.of(self.settings))

    def run(self) -> None:
        """Take all looks."""
        self._take("the site's files", lambda: file_lines(file_facts(self.settings)))
        self._take("what runs", lambda: running_lines(self.running))
        self._take("the federation file", self._federation)
        federation = self.federation
        if federation is None or not federation.member(self.site.vendor).address:
            return
        self._take("keys", lambda: self._keys(federation))
        self._take("certificates", lambda: self._certificates(federation))
        self._take("versions", lambda: version_lines(version_facts(federation.bundles)))
        self._take("privacy", self._privacy)
        size = self._data(federation)
        network = self._network(federation, size)
        self._take("the machine", lambda: self._machine(federation, network))
        self._take("addresses", lambda: [self._address(federation)])
        with ExitStack() as open_until_then:
            calling = self._calling(federation, open_until_then)
            self._take("ports", lambda: self._ports(federation, calling))
            if calling is not None:
                self._take("peers", lambda: self._peers(calling, network))

    def _calling(self, federation: Federation, until_then: ExitStack) -> Caller | None:
        """Return this site as its peers see it; None without usable keys."""
        # Then no peer would answer, and this site's fault would read as theirs.
        if any(line.severity == "error" for line in self.lines if line.code in OWN_KEYS):
            return None
        identity = self.settings.identity
        with suppress(SrflmError):
            return until_then.enter_context(caller(self.site.vendor, federation, identity))
        return None

    def _take(self, what: str, look: Callable[[], Iterable[Line]]) -> None:
        try:
            self.lines += look()
        except Exception as broken:  # a fault of the doctor must neither hide the rest nor stop it
            found = f"{what}: the look at them broke off ({type(broken).__name__})"
            self.lines.append(warning("doctor.check", found, what, at_home=str(broken)))

    def _federation(self) -> Iterator[Line]:
        try:
            federation = self.site.federation
        except SrflmError as broken:
            try:
                load_federation(self.settings.federation)
            except SrflmError:
                yield ok("site.file", "site.toml is valid")
                yield of_error("site.federation", broken, "the federation file cannot be used")
            else:  # the fault is this site's, and reads as such
                found = "site.toml does not fit the agreed federation file"
                yield of_error("site.file", broken, found)
            return
        yield ok("site.file", "site.toml is valid, and fits the federation file")
        if not federation.member(self.site.vendor).address:
            found = "the federation file is for a simulation: its members have no address, no keys"
            yield error("site.federation", found)
            return
        edition = f"{federation.name}, edition {federation.edition}, {federation.hash[:12]}"
        yield ok("site.federation", edition)
        try:
            terms = len(self.site.state.ledger)
        except SrflmError as broken:
            yield of_error("site.ledger", broken, "this site's ledger cannot be used")
            return
        yield ok("site.ledger", f"{terms} terms")
        try:
            check_confirmed(self.site)
        except SrflmError as unsigned:
            yield of_error("site.signatures", unsigned, "not signed by all who must")
        else:
            yield ok("site.signatures", "signed by those who must, or in force already")

    def _keys(self, federation: Federation) -> Iterator[Line]:
        vendor, identity = self.site.vendor, self.settings.identity
        faults = list(key_faults(identity, vendor, federation.roster))
        for name, fault in faults:
            yield of_error("keys.complete", fault, "this private key cannot be used", name)
        if faults:
            return
        yield ok("keys.complete", f"all keys for {len(federation.roster)} members are here")
        try:
            check_own_keys(identity, federation.member(vendor))
        except SrflmError as other:
            yield of_error("keys.agreed", other, "the federation file has other keys of this site")
        else:
            yield ok("keys.agreed", "the federation file has this site's keys")

    def _certificates(self, federation: Federation) -> Iterator[Line]:
        facts = list(certificate_facts(self.settings.identity, self.site.vendor))
        host = host_of(federation.member(self.site.vendor).address or "")
        return certificate_lines(facts, self.now, host)

    def _privacy(self) -> Iterable[Line]:
        facts = privacy_facts(self.site)
        return () if facts is None else privacy_lines(facts)

    def _data(self, federation: Federation) -> Size | None:
        """Look at the data; return the size of their images, if it is known."""
        size: list[Size | None] = [federation.image_shape]

        def look() -> Iterator[Line]:
            facts, size[0] = data_facts(self.settings, federation, self.quick)
            return data_lines(facts)

        self._take("data", look)
        return size[0]

    def _network(self, federation: Federation, size: Size | None) -> NetworkFacts | None:
        """Try the network; return what it is like, if it runs."""
        found: list[NetworkFacts] = []

        def look() -> Iterator[Line]:
            try:
                found.append(try_network_of(federation, size))
                check_initial_weights(federation)
            except SrflmError as broken:
                yield of_error("model.network", broken, "the agreed network cannot be used here")
                return
            facts = found[0]
            text = f"{federation.model.network}: {facts.parameters:,} parameters"
            private = ", ready for differential privacy" if federation.privacy.private else ""
            yield ok("model.network", f"{text}, {facts.sent:,} bytes to send{private}")

        self._take("the network", look)
        return found[0] if found else None

    def _machine(self, federation: Federation, network: NetworkFacts | None) -> Iterator[Line]:
        needs = training_need(federation, network.size) if network is not None else None
        return machine_lines(machine_facts(self.settings, network, needs, self.running.up))

    def _address(self, federation: Federation) -> Line:
        return address_line(address_facts(self.site.vendor, self.settings, federation))

    def _ports(self, federation: Federation, calling: Caller | None) -> Iterator[Line]:
        facts = port_facts(self.settings, federation.roster, self.running.up, calling)
        return port_lines(facts)

    def _peers(self, calling: Caller, network: NetworkFacts | None) -> Iterator[Line]:
        model = network.sent if network is not None else 0
        peers = call_all(calling, 0 if self.quick else model or MOST_BYTES)
        federation = calling.federation
        yield from peer_lines(peers)
        deadline, members = federation.run.work_deadline, len(federation.roster)
        yield from round_line(peers, model, deadline, members)
