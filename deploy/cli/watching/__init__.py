"""A command for those who watch: ``srflm logs``."""

from deploy.cli.watching import logs

__all__ = ["logs"]
