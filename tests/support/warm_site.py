"""A site on the loopback interface for tests: a real SuperLink, two SuperNodes, tiny apps."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.flower.control import Control
from deploy.flower.environment import flower_environment
from deploy.flower.internals import bundle_of
from deploy.flower.programs import program
from deploy.flower.supernodes_config import OWN_RUN, message_bell
from deploy.processes.bell import Bell
from deploy.processes.company import Company
from deploy.processes.family import ProcessFamily
from deploy.simulation.private_superlink import free_port
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]

APP = """
import json, os, sys, time
from pathlib import Path
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

server, client = ServerApp(), ClientApp()
OUT = Path(os.environ["TINY_OUT"])

@client.query("work")
def answer(message, context):
    facts = {"pid": os.getpid(), "parent": os.getppid(), "torch": "torch" in sys.modules}
    seconds = float(message.content["order"]["seconds"])
    (OUT / f"client-{os.getpid()}").write_text(str(message.metadata.run_id))
    time.sleep(seconds)
    return Message(RecordDict({"reply": ConfigRecord(facts)}), reply_to=message)

@server.main()
def main(grid, context):
    nodes = list(grid.get_node_ids())
    rounds, begin = [], time.time()
    for _ in range(context.run_config["rounds"]):
        start = time.time()
        order = ConfigRecord({"seconds": float(context.run_config["seconds"])})
        waiting = set(grid.push_messages([
            Message(RecordDict({"order": order}), dst_node_id=node, message_type="query.work")
            for node in nodes]))
        replies = []
        while waiting:
            for reply in grid.pull_messages(list(waiting)):
                waiting.discard(reply.metadata.reply_to_message_id)
                good = reply.has_content()
                replies.append(dict(reply.content["reply"]) if good else str(reply.error))
            time.sleep(0.05)
        rounds.append({"seconds": time.time() - start, "replies": replies})
    done = {"begin": begin, "nodes": len(nodes), "rounds": rounds}
    (OUT / f"run-{context.run_id}.json").write_text(json.dumps(done))
"""


def write_loopback_tls(folder: Path) -> dict[str, str]:
    """Write an authority and a server certificate for 127.0.0.1; return their paths."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    root = _certificate(name, name, root_key.public_key(), root_key, authority=True)
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    own = _certificate(server, name, key.public_key(), root_key, authority=False)
    paths = {each: str(folder / f"loopback.{each}") for each in ("root", "certificate", "key")}
    Path(paths["root"]).write_bytes(root.public_bytes(serialization.Encoding.PEM))
    Path(paths["certificate"]).write_bytes(own.public_bytes(serialization.Encoding.PEM))
    Path(paths["key"]).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def _certificate(subject, issuer, public_key, signer, authority: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )


def write_node_key(path: Path) -> Path:
    """Write a node key as ssh-keygen does; return the path of the public one."""
    key = ec.generate_private_key(ec.SECP384R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    public = path.with_suffix(".pub")
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    )
    return public


def write_app(folder: Path, version: str = "1.0.0", module: str = "tiny_app") -> Path:
    """Write an app that only names a module which is installed elsewhere."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "tiny"\nversion = "{version}"\nlicense = "Apache-2.0"\n'
        '[tool.flwr.app]\npublisher = "us"\n'
        f'[tool.flwr.app.components]\nserverapp = "{module}:server"\n'
        f'clientapp = "{module}:client"\n'
        "[tool.flwr.app.config]\nrounds = 3\nseconds = 0.0\n"
    )
    return folder


@dataclass
class WarmSite:
    """One SuperLink and two SuperNodes of its own, as a site would have to peers."""

    path: Path
    members: ProcessFamily
    isolation: str = "process"
    preload: tuple[str, ...] = ("tiny_app",)
    peers: tuple[str, ...] = ("a", "b")
    environment: dict[str, str] = field(default_factory=dict)
    newer: tuple[str, ...] = ()
    """Hashes of bundles that are accepted besides."""

    def __post_init__(self) -> None:
        for name in ("modules", "out", "bells", "notes"):
            (self.path / name).mkdir()
        Company(self.path / "bells").want(self.peers)
        (self.path / "modules" / "tiny_app.py").write_text(APP)
        self.tls = write_loopback_tls(self.path)
        self.app = write_app(self.path / "tiny")
        self.bundle, self.agreed = bundle_of(self.app)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.control = Control(self.address, Path(self.tls["root"]))
        self.secret = self.path / "secret"
        self.secret.write_bytes(os.urandom(32))
        self.secret.chmod(0o600)
        self.runtime = {peer: free_port() for peer in self.peers}
        self.environment = {
            **flower_environment(self.path / "home"),
            "PYTHONPATH": f"{self.path / 'modules'}{os.pathsep}{ROOT}",
            "TINY_OUT": str(self.path / "out"),
            **self.environment,
        }

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program of the family in the site's folder."""
        return self.members.start(command, self.environment, self.path / log, self.path)

    def start_superlink(self) -> subprocess.Popen[bytes]:
        """Start the SuperLink and wait until it answers."""
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--ssl-ca-certfile": self.tls["root"],
            "--ssl-certfile": self.tls["certificate"],
            "--ssl-keyfile": self.tls["key"],
            "--database": str(self.path / "link.db"),
            "--isolation": self.isolation,
        }
        if self.isolation == "process":
            options["--superexec-auth-secret-file"] = str(self.secret)
        flat = [each for pair in options.items() for each in pair]
        process = self.start(
            program("flower-superlink"),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
            *flat,
            log="superlink.log",
        )
        assert wait_for(self.answers), (self.path / "superlink.log").read_text()
        return process

    def answers(self) -> bool:
        """Return whether the SuperLink answers."""
        try:
            self.control.runs()
        except Exception:
            return False
        return True

    def register(self) -> None:
        """Make the nodes' keys and register them."""
        for peer in self.peers:
            self.control.register_node(write_node_key(self.path / f"node-{peer}"), f"to-{peer}")

    def start_supernodes(self) -> subprocess.Popen[bytes]:
        """Start the zygote of the SuperNodes."""
        links = [
            {
                "peer": peer,
                "superlink": self.address,
                "root_certificates": self.tls["root"],
                "private_key": str(self.path / f"node-{peer}"),
                "port": self.runtime[peer],
                "log": str(self.path / f"supernode-{peer}.log"),
            }
            for peer in self.peers
        ]
        config = {
            "links": links,
            "agreed_bundles": [self.agreed, *self.newer],
            "refusals": str(self.path / "refusals.jsonl"),
            "bells": str(self.path / "bells"),
            "notes": str(self.path / "notes"),
            "isolation": self.isolation,
            "tls": self.tls,
            "secret": str(self.secret),
            "settings": ["rounds", "seconds"],
        }
        path = self.path / "supernodes.json"
        path.write_text(json.dumps(config))
        return self.start(
            sys.executable, "-P", "-m", "deploy.flower.supernodes", str(path), log="supernodes.log"
        )

    def start_worker(self, *kinds: str) -> subprocess.Popen[bytes]:
        """Start the warm worker for tasks of the kinds, and wait until it is ready."""
        root = self.tls["root"]
        tasks = [("server", self.port, OWN_RUN)] + [
            ("client", port, message_bell(peer)) for peer, port in self.runtime.items()
        ]
        sources = [
            {
                "kind": kind,
                "address": f"127.0.0.1:{port}",
                "root_certificate": root,
                "bell": bell,
            }
            for kind, port, bell in tasks
        ]
        sources = [each for each in sources if not kinds or each["kind"] in kinds]
        config = {
            "sources": sources,
            "bells": str(self.path / "bells"),
            "log": str(self.path / "worker.jsonl"),
            "agreed_bundles": [self.agreed, *self.newer],
            "app": str(self.app),
            "secret": str(self.secret),
            "preload": list(self.preload),
        }
        path = self.path / "worker.json"
        path.write_text(json.dumps(config))
        ready = len(self.ready())
        process = self.start(
            sys.executable, "-P", "-m", "deploy.flower.worker", str(path), log="worker.log"
        )
        assert wait_for(lambda: len(self.ready()) > ready), self.logs()
        return process

    def ready(self) -> list[dict]:
        """Return the worker's notes that it is ready, one each time it was started."""
        return [line for line in self.lines("worker.jsonl") if line["event"] == "worker-ready"]

    def run(self, bundle: bytes | None = None, **settings: float) -> int:
        """Start a run as a site would: with all bells."""
        run = self.control.start_run(bundle or self.bundle, settings)
        for name in (OWN_RUN, "worker", *self.peers):
            Bell(self.path / "bells" / name).ring()
        return run

    def online(self) -> bool:
        """Return whether all SuperNodes are."""
        return set(self.control.nodes().values()) == {"online"}

    def result(self, run: int) -> dict:
        """Wait for a run's own artefact and return it."""
        path = self.path / "out" / f"run-{run}.json"
        assert wait_for(path.exists), self.logs()
        assert wait_for(lambda: self.control.runs(run)[0].finished)
        return json.loads(path.read_text())

    def logs(self) -> str:
        """Return everything that was logged."""
        files = sorted(self.path.glob("*.log"))
        return "\n".join(f"=== {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def lines(self, name: str) -> list[dict]:
        """Return the records of a JSON-lines file; none when there is no file."""
        path = self.path / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the living children of a process."""
    try:
        found = psutil.Process(process.pid).children()
        return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []
