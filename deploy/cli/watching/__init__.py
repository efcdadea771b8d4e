"""Commands for those who watch: ``srflm logs`` and ``srflm track``."""

from deploy.cli.watching import logs, track

__all__ = ["logs", "track"]
