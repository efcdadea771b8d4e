"""Look at the machine: disk, memory, GPU, processors, and the site's own ports."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from clients.device import choose_device
from clients.networks.facts import NetworkFacts
from deploy.doctor.facts import AddressFacts, MachineFacts, Need, PortFacts
from deploy.doctor.looks.contact import Caller, call
from deploy.edge.machines import ANY_IPV6, bracketed, split_address
from deploy.edge.ports import all_free, why_not_free
from deploy.site.settings import SiteSettings
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError

ANYWHERE = {"0.0.0.0": "127.0.0.1", ANY_IPV6: "::1"}


def machine_facts(
    settings: SiteSettings, network: NetworkFacts | None, needs: Need | None, up: bool
) -> MachineFacts:
    """Return the facts about the machine; ``network`` is what was found out about the network."""
    place = next(path for path in (settings.state, *settings.state.parents) if path.exists())
    disk, memory = os.statvfs(place), psutil.virtual_memory()
    found = MachineFacts(
        free_disk=disk.f_bavail * disk.f_frsize,
        free_files=disk.f_favail if disk.f_files else None,  # some file systems have no number
        model=network.sent if network is not None else 0,
        memory=_limit(memory.total) + psutil.swap_memory().total,
        free_memory=min(memory.available, _limit(memory.total)),
        needs=needs,
        named=settings.device,
        device=None,
        up=up,
        threads=settings.threads,
        cores=os.cpu_count() or 1,
    )
    try:
        device = choose_device(settings.device)
    except ConfigurationError:
        return found
    gpu = torch.cuda.mem_get_info(device) if device.type == "cuda" else None
    return replace(found, device=device.type, gpu=gpu)


def _limit(whole: int) -> int:
    """Return the memory that this process's group may have, as containers limit it."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        return min(whole, int(text))
    except (OSError, ValueError):  # no such limit, or "max"
        return whole


def port_facts(
    settings: SiteSettings, roster: tuple[str, ...], up: bool, calling: Caller | None
) -> PortFacts:
    """Return the facts about the site's own ports; ``calling`` is None without usable keys."""
    if up:
        answers = calling is not None and _answers(settings.listen, calling)
        return PortFacts(settings.listen, up, answers=answers)
    taken = False
    if settings.ports is not None:
        count = 2 * len(roster)  # the SuperLink, a SuperNode for each, a way out to each other one
        taken = not all_free(range(settings.ports, settings.ports + count))
    return PortFacts(settings.listen, up, why_not_free(settings.listen), local_taken=taken)


def _answers(listen: str, calling: Caller) -> bool:
    host, port = split_address(listen)
    here = f"{bracketed(ANYWHERE.get(host, host))}:{port}"
    # The edge refuses its own site as a peer, after it has shown its certificate.
    return call(calling, calling.vendor, address=here).stage in ("accept", "done")


def address_facts(vendor: str, settings: SiteSettings, federation: Federation) -> AddressFacts:
    """Return the agreed addresses, and to what the own one resolves here."""
    agreed = {member.name: member.address or "" for member in federation.vendors}
    resolved: tuple[str, ...] = ()
    try:
        host, port = split_address(agreed[vendor])
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # Without an IPv6 address's zone, which is of this machine alone.
        resolved = tuple(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))
    except (ConfigurationError, OSError, UnicodeError):
        pass
    return AddressFacts(vendor, settings.listen, agreed, resolved)
