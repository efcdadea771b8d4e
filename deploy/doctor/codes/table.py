"""All kinds of lines: what is looked at, when it warns or is an error, and the usual mend.

``docs/reference/doctor.md`` is written from this table.
"""

from __future__ import annotations

from typing import Final

from deploy.doctor.codes.at_home import AT_HOME
from deploy.doctor.codes.with_others import WITH_OTHERS

CHECKS: Final = {check.code: check for check in (*AT_HOME, *WITH_OTHERS)}
"""Every kind of line by its code, in the order in which they are shown."""
