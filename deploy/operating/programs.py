"""The programs of a site and their configurations, written again at every start."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from clients.files.durable import write_durably
from deploy.edge.nginx import (
    Edge,
    Peer,
    check_configuration,
    find_nginx,
    nginx_command,
    write_configuration,
)
from deploy.edge.ports import LOOPBACK, Ports
from deploy.flower.bundle import RUN_SETTINGS
from deploy.flower.internals import bundle_of
from deploy.flower.programs import program
from deploy.flower.supernodes_config import (
    OWN_RUN,
    WORKER_BELL,
    Link,
    SupernodesConfig,
    Tls,
    message_bell,
)
from deploy.flower.worker import Source, WorkerConfig
from deploy.page.starting import page_program
from deploy.processes.supervisor import Program, python_module
from deploy.serving.launcher_config import LauncherConfig
from deploy.site.deployed_site import DeployedSite
from deploy.site.layout import Layout

PRELOAD = (
    "torch",
    "torch._dynamo",  # which torch imports at the first step of an optimiser
    "monai",
    "deploy.serving.apps",
)
HIDDEN = ("matplotlib", "pandas")
"""MONAI imports all of itself, and these with it, if they are installed: some 50 MiB."""
PREPARE = "deploy.site.deployed_site:preload"
FIRST_OPEN_SECONDS = 20.0
ROOM_BYTES = 32 * 2**20


@dataclass(frozen=True)
class SitePrograms:
    """Writes the configurations of one site's programs, and lists the programs."""

    site: DeployedSite
    layout: Layout
    ports: Ports

    @property
    def warm(self) -> bool:
        """Whether one warm process answers messages, instead of a new one each."""
        return self.site.settings.worker == "warm"

    def write(self) -> list[Program]:
        """Write all configurations; return the programs in the order in which they start."""
        self._clear()
        bundle, _ = bundle_of(self.layout.app)
        bundle_file = self.layout.run / "app.fab"
        write_durably(bundle_file, bundle)
        write_durably(self.layout.secret, secrets.token_urlsafe(48).encode(), private=True)
        programs = [self._superlink(), self._edge(), self._supernodes()]
        if self.warm:
            programs.append(self._worker())
        programs.append(self._launcher(bundle_file))
        page = page_program(self.site, self.layout)
        return [*programs, page] if page is not None else programs

    def _clear(self) -> None:
        """Remove the files of an earlier start: nothing in ``run`` must last."""
        for name in ("bells", "outcomes", "nodes", "peers", "configs"):
            path = self.layout.run / name
            if path.is_dir():
                shutil.rmtree(path)
        for folder in (self.layout.bells, self.layout.logs, self.layout.run / "outcomes"):
            folder.mkdir(parents=True, exist_ok=True)

    def _superlink(self) -> Program:
        identity = self.layout.identity
        options = {
            "--host": LOOPBACK,
            "--port": self.ports.superlink,
            "--ssl-ca-certfile": identity / "loopback-ca.crt",
            "--ssl-certfile": identity / "loopback.crt",
            "--ssl-keyfile": identity / "loopback.key",
        }
        if self.warm:
            options["--superexec-auth-secret-file"] = self.layout.secret
        command = [program("flower-superlink"), "--enable-supernode-auth"]
        command += ["--disable-runtime-dependency-installation"]
        command += ["--isolation", "process" if self.warm else "subprocess"]
        command += [str(each) for pair in options.items() for each in pair]
        return Program("superlink", command)

    def edge(self) -> Edge:
        """Return the site's edge, by the edition of the federation file with which it runs."""
        vendor, federation = self.site.vendor, self.site.federation
        peers = {
            member.name: Peer(
                member.address or "",
                self.ports.outbound[member.name],
                (member.node_keys or {})[vendor],
                member.site_key or "",
            )
            for member in federation.vendors
            if member.name != vendor
        }
        return Edge(
            vendor,
            self.layout.edge,
            self.layout.identity,
            self.site.settings.listen,
            self.ports.superlink,
            peers,
        )

    def _edge(self) -> Program:
        write_configuration(self.edge())
        nginx = find_nginx()
        check_configuration(nginx, self.layout.edge)
        command = nginx_command(nginx, self.layout.edge)
        return Program(
            "edge",
            python_module(
                "deploy.edge.process",
                *(str(self.layout.edge), str(self.layout.identity), self.site.vendor),
                *command,
            ),
        )

    def _supernodes(self) -> Program:
        identity, vendor = self.layout.identity, self.site.vendor
        links = tuple(
            Link(
                peer=peer,
                superlink=f"{LOOPBACK}:{self._way_to(peer)}",
                root_certificates=identity / "loopback-ca.crt",
                private_key=identity / f"node-{peer}.key",
                port=self.ports.supernode[peer],
                log=self.layout.logs / f"supernode-{peer}.log",
            )
            for peer in (vendor, *(p for p in self.site.federation.roster if p != vendor))
        )
        config = SupernodesConfig(
            links=links,
            agreed_bundles=self.site.federation.bundles,
            refusals=self.layout.logs / "refusals.jsonl",
            bells=self.layout.bells,
            notes=self.layout.run / "nodes",
            isolation="process" if self.warm else "subprocess",
            tls=self._tls(),
            secret=self.layout.secret,
            largest_message=self._largest_message(),
            settings=RUN_SETTINGS,
        )
        supernodes = self._module("deploy.flower.supernodes", config.model_dump_json())
        # It has Flower in memory, which an idle site gives back.
        return replace(supernodes, on_demand=self.site.federation.roster)

    def _largest_message(self) -> int:
        """Return the bytes of two models, with room for records and Flower's own framing."""
        return 2 * len(self.site.initial.data) + ROOM_BYTES

    def _way_to(self, peer: str) -> int:
        """Return the loopback port behind which ``peer``'s SuperLink answers."""
        return self.ports.superlink if peer == self.site.vendor else self.ports.outbound[peer]

    def _tls(self) -> Tls:
        identity = self.layout.identity
        return Tls(
            certificate=identity / "loopback.crt",
            key=identity / "loopback.key",
            root=identity / "loopback-ca.crt",
        )

    def _worker(self) -> Program:
        root = self.layout.identity / "loopback-ca.crt"
        tasks = [("server", self.ports.superlink, OWN_RUN)]
        tasks += [("client", port, message_bell(v)) for v, port in self.ports.supernode.items()]
        config = WorkerConfig(
            sources=tuple(
                Source(
                    kind=kind,  # type: ignore[arg-type]
                    address=f"{LOOPBACK}:{port}",
                    root_certificate=root,
                    bell=bell,
                )
                for kind, port, bell in tasks
            ),
            bells=self.layout.bells,
            log=self.layout.logs / "worker.jsonl",
            agreed_bundles=self.site.federation.bundles,
            app=self.layout.app,
            secret=self.layout.secret,
            preload=PRELOAD,
            hidden=HIDDEN,
            prepare=PREPARE,
            threads=self.site.settings.threads,
        )
        worker = self._module("deploy.flower.worker", config.model_dump_json())
        # It has torch in memory, which an idle site gives back.
        return replace(worker, on_demand=(WORKER_BELL,))

    def _launcher(self, bundle: Path) -> Program:
        site, vendor = self.site, self.site.vendor
        peers = self.layout.run / "peers"
        keys = {}
        for member in site.federation.vendors:
            keys[member.name] = peers / f"{member.name}.pub"
            line = (member.node_keys or {})[vendor]
            write_durably(keys[member.name], f"{line}\n".encode())
        run = site.federation.run
        config = LauncherConfig(
            vendor=vendor,
            first=site.federation.first_edition,
            own=site.federation.as_edition,
            federation=site.settings.federation,
            first_ranking=site.federation.first_ranking,
            ledger=self.layout.state / "ledger.sqlite",
            starts=site.starts,
            run=self.layout.run,
            bells=self.layout.bells,
            log=self.layout.logs / "launcher.jsonl",
            superlink=f"{LOOPBACK}:{self.ports.superlink}",
            notes=self.layout.up,
            root_certificate=self.layout.identity / "loopback-ca.crt",
            bundle=bundle,
            node_keys=keys,
            ways_out=self.ports.outbound,
            open_timeout=site.settings.timeouts.open,
            commit_timeout=site.settings.timeouts.commit,
            first_open=min(FIRST_OPEN_SECONDS, run.answer_deadline),
            first_commit=run.work_deadline,
        )
        return self._module("deploy.serving.launcher", config.model_dump_json())

    def _module(self, module: str, config: str) -> Program:
        name = module.rpartition(".")[2]
        path = self.layout.config(name)
        write_durably(path, config.encode())
        return Program(name, python_module(module, str(path)))
