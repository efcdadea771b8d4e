"""The paths of a running site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.site.settings import SiteSettings


@dataclass(frozen=True)
class Layout:
    """Paths of one site; everything in ``run`` is written again at every start."""

    state: Path
    run: Path
    logs: Path
    identity: Path

    @classmethod
    def of(cls, settings: SiteSettings) -> Layout:
        """Return the layout of a site."""
        return cls(settings.state, settings.run, settings.logs, settings.identity)

    @property
    def bells(self) -> Path:
        """The folder of files whose modification times wake the site's processes."""
        return self.run / "bells"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of this site's Flower programs."""
        return self.run / "flower"

    @property
    def edge(self) -> Path:
        """nginx's prefix."""
        return self.run / "edge"

    @property
    def app(self) -> Path:
        """The Flower app from which the agreed bundle is built."""
        return self.run / "app"

    @property
    def secret(self) -> Path:
        """The secret that the worker needs to get tasks; other local users do not have it."""
        return self.run / "superexec.secret"

    @property
    def lock(self) -> Path:
        """The lock that is held while the site is up."""
        return self.run / "site.lock"

    @property
    def up(self) -> Path:
        """Notes of the running site: its process, its programs, their processes."""
        return self.run / "up.json"

    def config(self, program: str) -> Path:
        """Return the configuration file of one of the site's programs."""
        return self.run / "configs" / f"{program}.json"


def edition_beside(federation: Path, edition: str) -> Path:
    """Return the path of another edition's file.

    ``federation`` is the site's current federation file, ``edition`` the hash of the other one.
    """
    # In the same folder, so that relative data paths in it keep their meaning.
    return federation.with_name(f"{federation.stem}.{edition}.toml")
