"""Texts for a terminal as HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

CODE = re.compile("`([^`]+)`")


def coded(text: str) -> Markup:
    """Return a text with what stands between backticks as code; all of it is escaped."""
    from markupsafe import Markup, escape  # a command that writes no page needs none of it

    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))
