"""``site.toml``: what a site's own IT team decides.  Nobody else reads or overrides it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, Strict, ValidationError

from clients.privacy.ledger.policy import PrivacyPolicy
from clients.settings import PhantomData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from strategies.errors import ConfigurationError
from strategies.settings import Settings

SitePath = Annotated[Path, Strict(False)]
SITE_FILE = "site.toml"


class PolicySettings(Settings):
    """The site's own policy, which no federation or server can override.

    ``shares_personalised``: send the personalised model when a server asks for it.  ``runs_from``:
    the vendors whose run orders are followed (all members when left out).
    """

    shares_personalised: bool = False
    runs_from: Annotated[tuple[str, ...], Strict(False)] | None = None


class TimeoutSettings(Settings):
    """When this site stands in for another server, in seconds; learnt from past terms if left out.

    ``open``: how long the next server may take to open a term.  ``commit``: how long an open term
    may take until its record is committed.
    """

    open: float | None = Field(default=None, gt=0)
    commit: float | None = Field(default=None, gt=0)


class SiteSettings(Settings):
    """One vendor's site.  Relative paths start at the folder of ``site.toml``.

    ``listen`` is where the edge listens on the network; ``ports`` the first of the loopback ports
    on which the site's own programs meet (left out, the site chooses).  ``data`` is this vendor's
    own file or folder, instead of the path in the federation file.
    ``threads``: CPU threads that training may use (all cores when left out; results are the same
    to the bit only with the same number).  ``worker``: ``warm`` answers messages from one process
    that has everything loaded, ``stock`` as Flower does, from a new process each.
    """

    vendor: str
    federation: SitePath = Path("federation.toml")
    identity: SitePath = Path("identity")
    state: SitePath = Path("state")
    run: SitePath = Path("run")
    logs: SitePath = Path("logs")
    listen: str = "0.0.0.0:8443"
    ports: int | None = Field(default=None, ge=1024, le=65000)
    data: SitePath | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    worker: Literal["warm", "stock"] = "warm"
    policy: PolicySettings = PolicySettings()
    privacy: PrivacyPolicy = PrivacyPolicy()
    timeouts: TimeoutSettings = TimeoutSettings()

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
        tree = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        settings = SiteSettings.model_validate(tree)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read ({error.strerror})",
            f"the folder of a site, with its {SITE_FILE}",
            "correct the path; `srflm site new` makes one, `srflm poc up` several to try",
        ) from error
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
    paths = {
        name: base / path
        for name in ("federation", "identity", "state", "run", "logs", "data")
        if (path := getattr(settings, name)) is not None
    }
    return settings.model_copy(update=paths)
