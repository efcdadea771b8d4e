"""A site that answers messages; a process finds its own by the environment variable SRFLM_SITE.

Only the site's own supervisor sets the variable.  The run configuration and the messages from a
peer's SuperLink never decide which site, data, or federation is used.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from flwr.app import Message, RecordDict

from deploy.door.sign import Sign, sign_file
from deploy.processes.bell import Bell
from deploy.site.privacy_files import site_ledger
from deploy.site.settings import load_site
from deploy.site.site_on_disk import INITIAL_MODEL, SiteOnDisk
from deploy.site.starts import begin_start
from deploy.site.unreached import read_unreached, unreached_file
from srflm_flower.federation.first_model import FirstModel, first_model
from srflm_flower.federation.network_trial import check_network
from srflm_flower.site.outgoing import fields_in
from srflm_flower.site.own_data.learner import vendor_learner
from srflm_flower.site.privacy import PrivacyAccount
from srflm_flower.site.site import Site
from strategies.errors import INTERNAL_ERROR, ConfigurationError, SrflmError
from strategies.protocol import messages as wire
from strategies.protocol.yielding import YIELD
from strategies.weights import Model

SITE_VARIABLE = "SRFLM_SITE"
PEER = "peer"
"""Name in a SuperNode's node configuration: the vendor whose SuperLink it gets messages from."""


@dataclass(frozen=True)
class DeployedSite(SiteOnDisk):
    """One vendor's site as it answers messages and serves terms."""

    @cached_property
    def first(self) -> FirstModel:
        """The learner's scratch space, and a copy of its weights from before any training."""
        return first_model(self.federation)

    @property
    def initial(self) -> Model:
        """The model with which the federation begins; the same at all sites."""
        return self.first.shared

    @property
    def account(self) -> PrivacyAccount:
        """The site's privacy ledger and policy."""
        return PrivacyAccount(site_ledger(self.settings), self.settings.privacy)

    @cached_property
    def site(self) -> Site:
        """The site that answers messages; its data is read when it is first needed."""
        federation = self.federation
        site = Site(
            self.vendor,
            federation,
            lambda: vendor_learner(federation, self.vendor, self.first.network, self.account),
            self.first,
            self.state,
            self.models,
            self.keys,
            self.settings.policy,
        )
        unreached = partial(read_unreached, unreached_file(self.settings.run))
        site.participant = replace(site.participant, unreached=unreached)
        return site

    def answer(self, message: Message, sender: str | None = None) -> RecordDict:
        """Answer a message from ``sender``'s SuperLink, and note it in the audit.

        Raises :class:`SrflmError` when the message is refused or its answer fails.
        """
        outcome = INTERNAL_ERROR
        head, reply = len(self.state.ledger), None
        try:
            reply = self.site.answer(message, sender)
            outcome = "done"
            return reply
        except SrflmError as error:
            outcome = error.code
            raise
        finally:
            self._note(message, sender, outcome, reply)
            awaited = message.metadata.message_type in (wire.ORDER, YIELD)
            if len(self.state.ledger) != head or awaited:
                self.tell_next()

    def _note(
        self, message: Message, sender: str | None, outcome: str, reply: RecordDict | None
    ) -> None:
        envelope = wire.envelope_of(message)
        # What has left the site, by name and size: its operator may look, and nobody else can.
        left: dict[str, object] = {}
        if reply is not None:
            left["sent"] = wire.payload_bytes(reply)
            with contextlib.suppress(ValueError):  # what is no answer has no fields
                left["fields"] = list(fields_in(reply))
        self.audit.note(
            vendor=sender,
            type=message.metadata.message_type,
            term=envelope.term if envelope else None,
            attempt=envelope.attempt if envelope else None,
            bytes=wire.payload_bytes(message.content),
            outcome=outcome,
            **left,
        )

    # ---- bells: wake those who wait at this site -------------------------------------------------

    @property
    def bells(self) -> Path:
        """The folder of bells, by name: ``launcher``, ``worker``, and each peer."""
        return self.settings.run / "bells"

    def tell_next(self) -> None:
        """Wake the launcher, and the SuperNode for the vendor that serves next; show how far it is.

        Whoever looks at this site's door sees that.
        """
        order, term = self.state.ledger.order(), len(self.state.ledger)
        with contextlib.suppress(SrflmError):
            sign = Sign(term, order.number if order is not None else 0)
            sign.show(sign_file(self.settings.run))
        for name in ("launcher", self.view().ranking[0]):
            with contextlib.suppress(OSError):
                Bell(self.bells / name).ring()

    # ---- the site's own log --------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Append to the site's own log; ignore a failure to write."""
        # A full disk must not hide the error that is being logged.  The state writes it, as the
        # error may be that ``site`` cannot be made.
        with contextlib.suppress(SrflmError):
            self.state.log(text)

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted."""
        return self.state.highest_attempt()  # of the state, as ``site`` may be broken

    # ---- starts --------------------------------------------------------------------------------

    def begin(self, restored: bool = False) -> None:
        """Note a start of the site; see :func:`deploy.site.starts.begin_start`."""
        begin_start(self, restored)
        check_network(self.federation)
        # At every start: another version of PyTorch may draw other weights from the same seed.
        self.state.ledger.set_fact(INITIAL_MODEL, self.initial.hash)


def deployed_site() -> DeployedSite:
    """Return the site of this process.

    Raises :class:`ConfigurationError` if the process was not started by a site.
    """
    folder = os.environ.get(SITE_VARIABLE)
    if not folder:
        raise ConfigurationError(
            f"a process without {SITE_VARIABLE}",
            "one that a site's supervisor has started",
            "start the site with `srflm up`",
        )
    return site_at(Path(folder))


_sites: dict[Path, DeployedSite] = {}


def site_at(folder: Path) -> DeployedSite:
    """Return the site in ``folder``; load it once per process.

    Raises :class:`ConfigurationError` when its files are invalid.
    """
    if folder not in _sites:
        _sites[folder] = DeployedSite(folder, load_site(folder))
    return _sites[folder]


def site_anew(folder: Path) -> DeployedSite:
    """Load the site in ``folder`` again from its current files."""
    _sites.pop(folder, None)
    return site_at(folder)


def preload() -> None:
    """Load the site's data before the first message; log an error.

    The warm worker calls this: the processes that it forks share the memory.
    """
    site = deployed_site()
    try:
        _ = site.site.learner
    except SrflmError as error:
        # The first message that needs the data fails with the same error and reports it.
        site.log(f"preparing the data: {error}")
