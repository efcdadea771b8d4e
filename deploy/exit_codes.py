"""Exit codes by which a site's programs tell their supervisor something."""

from typing import Final

ROSTER_CHANGED: Final = 75
"""Of a launcher: the roster has changed, the site must be started anew."""
