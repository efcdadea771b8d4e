"""A vendor's site as its files have it: settings, federation, keys, ledger, messages.

No network is built and no data is read here, so a command that only looks at a site starts at
once.  :mod:`deploy.site.deployed_site` has the site that answers messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clients.models.model_store import ModelStore
from deploy.site.message_log import MessageLog
from deploy.site.settings import SiteSettings, load_site
from srflm_flower.federation.federation import Federation
from srflm_flower.site.edition_standing import Standing, standing_of
from srflm_flower.site.state import SiteState
from srflm_flower.site.view import view_of
from strategies.errors import ConfigurationError
from strategies.protocol.admission import View
from strategies.protocol.signatures import VendorKeys

INITIAL_MODEL = "initial-model"


@dataclass(frozen=True)
class SiteOnDisk:
    """One vendor's site on its own machine, whether it is up or down."""

    folder: Path
    settings: SiteSettings

    @property
    def vendor(self) -> str:
        """The vendor whose site this is."""
        return self.settings.vendor

    @cached_property
    def federation(self) -> Federation:
        """The federation as this site sees it."""
        return self.settings.load_federation()

    @cached_property
    def keys(self) -> VendorKeys:
        """This vendor's signing key and all vendors' public keys."""
        public = {m.name: m.signing_key for m in self.federation.vendors if m.signing_key}
        path = self.settings.identity / "signing.key"
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{path} cannot be read as a private key",
                "this site's signing key",
                "put this one file back (`srflm restore`, or from a copy of the keys), or leave the"
                " federation and join again with new keys",
            ) from error
        return VendorKeys(private, public)  # type: ignore[arg-type]

    @cached_property
    def state(self) -> SiteState:
        """The state that the site keeps on disk."""
        federation, first = self.federation, self.federation.first_edition.federation
        settings = federation.network_settings, federation.task
        return SiteState(self.settings.state, first, *settings, self.starts)

    @property
    def starts(self) -> Path:
        """The file beside the keys with the number of the site's starts."""
        return self.settings.identity / "starts"

    @cached_property
    def models(self) -> ModelStore:
        """The models that the site keeps, by hash."""
        return ModelStore(self.settings.state / "models")

    @property
    def initial_model(self) -> str | None:
        """The hash of the model with which the federation begins; None before the first start."""
        # To compute it takes a network.  The ledger that holds it refuses every other federation.
        return self.state.ledger.fact(INITIAL_MODEL)

    @property
    def audit(self) -> MessageLog:
        """The list of all messages that were accepted or refused."""
        return MessageLog(self.settings.state / "audit.jsonl", self.state.ledger)

    def standing(self) -> Standing:
        """Return where the site stands between editions of the federation file."""
        federation = self.federation
        return standing_of(self.state.ledger, federation.first_edition, federation.as_edition)

    def view(self) -> View:
        """Return what this site knows about the federation."""
        return view_of(self.state.ledger, self.standing(), self.federation.first_ranking)


def site_on_disk(folder: Path) -> SiteOnDisk:
    """Return the site in ``folder`` as its files are now.

    Raises :class:`ConfigurationError` when ``site.toml`` is invalid.
    """
    return SiteOnDisk(folder, load_site(folder))
