"""``site.toml``: what a site's own IT team decides.  Nobody else reads or overrides it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, ValidationError

from clients.privacy.ledger.policy import PrivacyPolicy
from clients.settings import PhantomData
from deploy.site.pacs_settings import PacsSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.site.policy import SitePolicy
from strategies.errors import ConfigurationError
from strategies.settings import Settings

SitePath = Annotated[Path, Strict(False)]
SITE_FILE = "site.toml"


class TimeoutSettings(Settings):
    """When this site takes over from another server."""

    open: float | None = Field(
        default=None,
        gt=0,
        description="Seconds that the next server may take to open a term; left out, it is learnt"
        " from past terms.",
    )
    commit: float | None = Field(
        default=None,
        gt=0,
        description="Seconds that an open term may take until its record is committed; left out,"
        " it is learnt from past terms.",
    )


class PageSettings(Settings):
    """The page on which this site's operators watch it in a browser, on this machine alone."""

    show: bool = Field(
        default=True,
        description="Whether `srflm up` also serves the page, and the figures for Prometheus.",
    )
    port: int | None = Field(
        default=None,
        ge=1024,
        le=65535,
        description="Loopback port of the page; left out, the site chooses a free one at every"
        " start.",
    )


class SiteSettings(Settings):
    """One vendor's site.  Relative paths start at the folder of ``site.toml``."""

    vendor: str = Field(
        description="Name of the vendor whose site this is, as in the federation file."
    )
    federation: SitePath = Field(
        default=Path("federation.toml"), description="The agreed federation file."
    )
    identity: SitePath = Field(
        default=Path("identity"), description="Folder of this site's private keys and certificates."
    )
    state: SitePath = Field(
        default=Path("state"),
        description="Folder of all that must last: ledger, models, message log.",
    )
    run: SitePath = Field(
        default=Path("run"), description="Folder of files that are written again at every start."
    )
    logs: SitePath = Field(default=Path("logs"), description="Folder of the programs' logs.")
    listen: str = Field(
        default="0.0.0.0:8443",
        description="IP address and port on which nginx listens for the other sites; [::] means"
        " all addresses of the machine, IPv6 and IPv4.",
    )
    ports: int | None = Field(
        default=None,
        ge=1024,
        le=65000,
        description="First of the consecutive loopback ports on which this site's programs meet;"
        " left out, the site chooses free ones at every start.",
    )
    data: SitePath | None = Field(
        default=None,
        description="This vendor's own images: a folder with a manifest.csv (`srflm data index`"
        " writes it), a folder with a sub-folder per class, or one .npz file; a relative path"
        " starts at the folder of site.toml; a change needs `srflm down` and `srflm up`; left out"
        " where the federation uses phantoms.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto",
        description='Where this site computes; "auto" takes CUDA, then MPS, then the CPU.',
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads that training may use; left out, all cores; results are equal to"
        " the bit only with equal numbers.",
    )
    worker: Literal["warm", "stock"] = Field(
        default="warm",
        description='Whether one process with everything loaded answers all messages ("warm"), or'
        ' a new process each message, as in stock Flower ("stock").',
    )
    policy: SitePolicy = Field(
        default=SitePolicy(), description="What this site shares, and whose orders it follows."
    )
    privacy: PrivacyPolicy = Field(
        default=PrivacyPolicy(), description="This site's own limits for its records."
    )
    timeouts: TimeoutSettings = Field(
        default=TimeoutSettings(), description="When this site takes over from another server."
    )
    pacs: PacsSettings | None = Field(
        default=None, description="This site's own PACS; left out, it has none."
    )
    page: PageSettings = Field(
        default=PageSettings(), description="The page on which this site is watched."
    )

    def load_federation(self) -> Federation:
        """Read the federation as this site sees it: its own data, its own device.

        Raises :class:`ConfigurationError` when it is invalid or this vendor is no member.
        """
        federation = load_federation(self.federation)
        federation.member(self.vendor)
        for vendor in self.policy.runs_from or ():
            federation.member(vendor)
        changes: dict[str, object] = {"run__device": self.device}
        if self.data is not None:
            if isinstance(federation.data, PhantomData):
                raise ConfigurationError(
                    f"data = {str(self.data)!r} in {SITE_FILE}, where the federation uses phantoms",
                    "no data of one's own",
                    f"remove the line from {SITE_FILE}",
                )
            if federation.data.source == "npz":
                changes["data__path"] = self.data
            else:
                changes["vendors"] = [
                    member.model_dump(mode="python")
                    | ({"path": self.data} if member.name == self.vendor else {})
                    for member in federation.vendors
                ]
        return with_changes(federation, **changes)


def load_site(folder: Path) -> SiteSettings:
    """Read ``site.toml`` in ``folder`` (or the file itself), with absolute paths.

    Raises :class:`ConfigurationError` with all problems at once.
    """
    file = folder / SITE_FILE if folder.is_dir() else folder
    try:
        return site_settings(file.read_bytes(), file)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read ({error.strerror})",
            f"the folder of a site, with its {SITE_FILE}",
            "correct the path; `srflm site init` makes one, `srflm poc up` several to try",
        ) from error


def site_settings(text: bytes, file: Path) -> SiteSettings:
    """Read the ``text`` of a ``site.toml`` that is, or is to be, at ``file``, with absolute paths.

    Raises :class:`ConfigurationError` with all problems at once.
    """
    try:
        settings = SiteSettings.model_validate(tomllib.loads(text.decode("utf-8-sig")))
    except ValidationError as error:
        lines = [
            f"  - {'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        raise ConfigurationError(
            f"{len(lines)} problem(s) in {file}:\n" + "\n".join(lines),
            "a valid site file",
            "change the lines named above",
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{file} is not TOML: {error}", "a TOML file", "correct the line"
        ) from error
    base = file.parent.resolve()
    paths: dict[str, Any] = {
        name: base / path
        for name in ("federation", "identity", "state", "run", "logs", "data")
        if (path := getattr(settings, name)) is not None
    }
    if settings.privacy.ledger is not None:
        named = settings.privacy.ledger
        try:
            ledger = (base / named.expanduser()).resolve()
        except RuntimeError as error:
            raise ConfigurationError(
                f"privacy.ledger = {str(named)!r} in {file}, of a user without a home folder",
                "the path of a file",
                "name the whole path",
            ) from error
        own = [paths[name].resolve() for name in ("state", "identity", "run")]
        if any(map(ledger.is_relative_to, own)):
            raise ConfigurationError(
                f"privacy.ledger = {str(named)!r} in {file}, in the site's state, identity or run",
                "a file outside of them: each belongs to one federation, the ledger to the owner of"
                " the data",
                "name another file, or leave the setting out",
            )
        paths["privacy"] = settings.privacy.model_copy(update={"ledger": ledger})
    if settings.pacs is not None:
        own_files = {
            name: base / path
            for name in ("credentials", "ca")
            if (path := getattr(settings.pacs, name)) is not None
        }
        paths["pacs"] = settings.pacs.model_copy(update=own_files)
    return settings.model_copy(update=paths)
