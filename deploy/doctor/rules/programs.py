"""Judge the installed code, packages, and nginx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deploy.doctor.facts import VersionFacts
from deploy.doctor.lines import error, ok
from deploy.site.diagnosis import Line

OLDEST_NGINX: Final = (1, 20)
DIGITS: Final = 12


def version_lines(facts: VersionFacts) -> Iterator[Line]:
    """Yield the lines about versions.

    Peers cannot be asked: their edges forward nothing but Flower's calls.  But every member runs
    an agreed bundle or does not start.
    """
    ours = facts.versions.get("srflm-flower", "unknown")
    others = [each for each in facts.agreed if each != facts.bundle]
    if facts.bundle in facts.agreed:
        found = f"srflm-flower {ours}, bundle {facts.bundle[:DIGITS]}…, as all have agreed"
        upgrade = f"; {others[0][:DIGITS]}… is accepted, too, for an upgrade" if others else ""
        yield ok("version.bundle", found + upgrade)
    else:
        found = (
            f"srflm-flower {ours} with bundle {facts.bundle[:DIGITS]}…; the members have agreed on"
            f" {' or '.join(f'{each[:DIGITS]}…' for each in facts.agreed) or 'none'}"
        )
        yield error("version.bundle", found)
    if facts.unfit:
        yield error("version.packages", "; ".join(facts.unfit))
    else:
        listed = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        yield ok("version.packages", listed)
    yield _nginx(facts.nginx)


def _nginx(told: str | None) -> Line:
    if told is None:
        return error("version.nginx", "no program nginx")
    found = re.search(r"nginx/(\d+)\.(\d+)(\.\d+)?", told)
    if found is None:
        return error("version.nginx", "nginx does not tell its version")
    name = f"nginx {found[0].removeprefix('nginx/')}"
    if (int(found[1]), int(found[2])) < OLDEST_NGINX:
        return error("version.nginx", f"{name}; needed is 1.20 or newer")
    if "http_ssl_module" not in told:
        return error("version.nginx", f"{name} without http_ssl_module")
    return ok("version.nginx", name)
