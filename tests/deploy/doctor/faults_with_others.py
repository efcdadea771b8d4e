"""Faults to plant in what a site has to do with others: ports, peers, clocks, data."""

from __future__ import annotations

import socket
from collections.abc import Callable

import numpy as np

from tests.deploy.doctor.examined_site import DATA, ExaminedSite
from tests.support.tiny import write_tiny_npz

Plant = Callable[[ExaminedSite], dict[str, object] | None]


def port_in_use(site: ExaminedSite) -> None:
    address = site.federation.member("a").address or ""
    held = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    site.open_until_then.enter_context(held)


def address_of_another_machine(site: ExaminedSite) -> None:
    site.edit("site.toml", 'listen = "127.0.0.1:', 'listen = "192.0.2.1:')


def local_port_in_use(site: ExaminedSite) -> None:
    held = site.open_until_then.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = held.getsockname()[1]
    site.add(f"ports = {port if port <= 65000 else port - 5}")


def no_dns(site: ExaminedSite) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    site.patch.setattr(socket, "getaddrinfo", fails)


def peer_down(site: ExaminedSite) -> None:
    site.stop("b")


def peer_without_tls(site: ExaminedSite) -> None:
    site.stop("b")
    address = site.federation.member("b").address or ""
    held = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    site.open_until_then.enter_context(held)
    site.patch.setattr("deploy.doctor.looks.contact.PATIENCE_SECONDS", 0.2)


def peer_with_another_key(site: ExaminedSite) -> None:
    site.start("b", shows="c")


def peer_that_refuses(site: ExaminedSite) -> None:
    site.peers["b"].status = 403


def own_clock_wrong(site: ExaminedSite) -> None:
    site.peers["b"].ahead = site.peers["c"].ahead = 400.0


def clock_of_one_peer_wrong(site: ExaminedSite) -> None:
    site.peers["b"].ahead = -100.0


def work_deadline(seconds: float) -> Plant:
    def plant(site: ExaminedSite) -> None:
        site.edit("federation.toml", "work-deadline = 3600.0", f"work-deadline = {seconds}")
        site.patch.setattr("deploy.doctor.looks.contact._measured", lambda *_: (0.01, 1e6))

    return plant


def wrong_data_path(site: ExaminedSite) -> None:
    site.edit("site.toml", f'data = "{DATA}"', 'data = "imges"')


def no_data_line(site: ExaminedSite) -> None:
    site.edit("site.toml", f'data = "{DATA}"\n', "")


def damaged_data(site: ExaminedSite) -> None:
    (site.folder / DATA).write_bytes(b"PK nothing")


def labels(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Plant other labels of the training images."""

    def plant(site: ExaminedSite) -> None:
        path = write_tiny_npz(site.folder / DATA)
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        arrays["train_labels"] = change(arrays["train_labels"])
        np.savez(path, **arrays)

    return plant


def look_that_breaks(site: ExaminedSite) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("secret text")

    site.patch.setattr("deploy.doctor.examination.address_facts", breaks)
