"""``[pacs]`` in ``site.toml``: where the site's PACS is, and how it is spoken to."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, Strict, field_validator

from strategies.settings import Settings

SitePath = Annotated[Path, Strict(False)]


class PacsSettings(Settings):
    """This site's own PACS, which ``srflm data pull`` and ``srflm data store`` speak to."""

    address: str = Field(
        description="Base address of its DICOMweb service, such as"
        ' "https://pacs.example.org/dicom-web"; http is allowed to this machine only.'
    )
    credentials: SitePath | None = Field(
        default=None,
        description="TOML file with `user` and `password`, or with `token`, which only its owner"
        " can read (0600); left out, nothing is sent.",
    )
    ca: SitePath | None = Field(
        default=None,
        description="PEM file of the authority that signs the PACS's certificate; left out, the"
        " authorities that this machine trusts.",
    )
    at_once: int = Field(
        default=3, ge=1, le=16, description="Series that are fetched at the same time."
    )
    patience: float = Field(
        default=60, gt=0, description="Seconds that the PACS may be silent within an answer."
    )
    largest_image: int = Field(
        default=4096, ge=1, description="MiB that one image, or one file of many frames, may have."
    )
    store_results: bool = Field(
        default=False, description="Whether `srflm data store` may send DICOM SEG to this PACS."
    )

    @field_validator("address")
    @classmethod
    def _is_safe(cls, address: str) -> str:
        import httpx  # only sites with a PACS need it

        # The address itself is not quoted: somebody may have written a password into it.
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
            # As it will be read: what is checked here must be the host that is spoken to.
            read = httpx.URL(address)
            hosts = read.host, read.raw_host.decode("ascii")
        except (ValueError, httpx.InvalidURL):  # UnicodeError is a ValueError
            raise ValueError("expected an address such as https://host/dicom-web") from None
        if parts.scheme not in ("http", "https") or not host or host not in hosts:
            raise ValueError("expected an address such as https://host/dicom-web")
        if parts.username is not None or parts.password is not None:
            raise ValueError("expected an address without a name or password; use credentials")
        if parts.query or parts.fragment:
            raise ValueError("expected an address without ? and #; give its base only")
        if parts.scheme == "http" and not _is_this_machine(parts):
            raise ValueError(
                "expected https://, as http carries patients' data and the password in the clear"
                " and is for this machine only"
            )
        return address.rstrip("/")


def _is_this_machine(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
