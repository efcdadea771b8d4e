"""The errors about a PACS, in words of this project: the PACS's own may name a patient."""

from __future__ import annotations

from strategies.errors import PacsError

_EXPIRED, _NOT_YET, _OTHER_HOST, _OTHER_IP = 10, 9, 62, 64
"""OpenSSL's numbers (X509_V_ERR_…)."""


def no_answer(kind: str) -> PacsError:
    """Return an error of a PACS that cannot be reached, or has broken off; ``kind`` is httpx's."""
    words = {
        "ConnectError": "cannot be reached",
        "ConnectTimeout": "cannot be reached in time",
        "ReadTimeout": "has been silent for pacs.patience seconds",
        "WriteTimeout": "takes nothing any more",
        "RemoteProtocolError": "has broken off before its answer was whole",
        "ReadError": "has broken off before its answer was whole",
        "WriteError": "has broken off",
    }
    return PacsError(
        f"the PACS {words.get(kind, f'does not answer ({kind})')}",
        "a DICOMweb service at pacs.address",
        "correct the address in site.toml, or try again later: what has been fetched stays",
        PacsError.UNREACHABLE,
    )


def certificate_refused(number: int) -> PacsError:
    """Return an error of a certificate; ``number`` is OpenSSL's."""
    words = {
        _EXPIRED: "has expired",
        _NOT_YET: "is not valid yet",
        _OTHER_HOST: "is for another host",
        _OTHER_IP: "is for another host",
    }
    return PacsError(
        f"the certificate of the PACS {words.get(number, 'comes from no authority known here')}",
        "a certificate for the host in pacs.address, by an authority that this site trusts",
        "name the file of the hospital's own authority as `ca` in [pacs] of site.toml, or have the"
        " certificate renewed",
        PacsError.CERTIFICATE,
    )


def refused_by_status(status: int) -> PacsError:
    """Return an error for an HTTP status that is no success."""
    if status in (401, 407):
        return PacsError(
            f"the PACS does not accept this site's credentials ({status})",
            "a user that may read, with the right password or token",
            "correct the file that pacs.credentials names",
            PacsError.CREDENTIALS,
        )
    if status == 403:
        return PacsError(
            "the PACS refuses what was asked for (403)",
            "a user that may do it",
            "ask the PACS's operators for the right",
            PacsError.REFUSED,
        )
    if status in (429, 502, 503, 504):
        return PacsError(
            f"the PACS is overloaded or down ({status})",
            "an answer",
            "try again later, with a lower pacs.at-once: what has been fetched stays",
            PacsError.UNREACHABLE,
        )
    if 300 <= status < 400:
        return strange_answer(f"with a redirection ({status}), which is not followed")
    return strange_answer(f"with the status {status}")


def strange_answer(how: str) -> PacsError:
    """Return an error of an answer that is not DICOMweb's; ``how`` the PACS answers."""
    return PacsError(
        f"the PACS answers {how}",
        "the answer of a DICOMweb service",
        "correct pacs.address in site.toml (often it ends in /dicom-web or /rs); if it is right,"
        " ask the PACS's operators",
        PacsError.ANSWER,
    )
