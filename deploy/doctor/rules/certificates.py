"""Judge certificates: whose they are, when they end, and which hosts they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from deploy.doctor.facts import CertificateFacts
from deploy.doctor.lines import error, of_error, ok, warning
from deploy.edge.machines import one_spelling
from deploy.identity.checks import ERROR_DAYS, WARNING_DAYS
from deploy.site.diagnosis import Line


def certificate_lines(
    certificates: Sequence[CertificateFacts], now: datetime, host: str
) -> Iterator[Line]:
    """Yield the lines about all certificates; ``host`` is that of this site's agreed address."""
    for each in certificates:
        if each.fault is not None:
            yield of_error("certificate.fits", each.fault, "it does not fit", each.name)
        elif each.ends is not None:
            fits = "an authority" if each.name.endswith("ca.crt") else "for its key, and signed"
            yield ok("certificate.fits", fits, each.name)
        if each.starts is not None and each.ends is not None:
            yield from _dates(each, each.starts, each.ends, now)
        if each.name == "site.crt" and each.ends is not None and host:
            yield _names(each, host)


def _dates(
    each: CertificateFacts, starts: datetime, ends: datetime, now: datetime
) -> Iterator[Line]:
    if now < starts:
        found = f"it is valid from {starts:%Y-%m-%d %H:%M} UTC on; this machine's clock says"
        found += f" {now:%Y-%m-%d %H:%M}"
        yield error("certificate.dates", found, each.name, "set the clock right, or wait")
        return
    if now >= ends:
        found = f"it expired on {ends:%Y-%m-%d}"
        yield error("certificate.dates", found, each.name, each.renewal)
        return
    yield ok("certificate.dates", f"valid until {ends:%Y-%m-%d}", each.name)
    days = (ends - now).days
    left = f"{days} days left"
    if days <= ERROR_DAYS:
        yield error("certificate.expires", left, each.name, each.renewal)
    elif days <= WARNING_DAYS:
        yield warning("certificate.expires", left, each.name, each.renewal)
    else:
        yield ok("certificate.expires", left, each.name)


def _names(each: CertificateFacts, host: str) -> Line:
    if one_spelling(host) in each.hosts:
        return ok("certificate.names", "it names the host of the agreed address", each.name)
    found = f"it names {', '.join(each.hosts) or 'nothing'}; the agreed address has {host}"
    return warning("certificate.names", found, each.name)
