"""A real site as deploy/compose/compose.yaml confines it, without a container engine.

The kernel's own means stand in for the engine: a mount namespace with a read-only root, the user,
volumes, and tmpfs of compose.yaml, no capability, and no new privileges.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomlkit
import yaml

from deploy.edge.ports import free_block
from deploy.operating.control import prepare, start_detached
from deploy.operating.local_consortium import make_local_sites, unseen
from deploy.operating.running import bring_down
from deploy.site.deployed_site import site_anew, site_at
from deploy.site.site_file import site_toml
from tests.support.attacks.rogue import head_of
from tests.support.sites import processes_about, run_rounds
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose" / "compose.yaml"
SITE, IMAGES, OWNER = "/srv/srflm/site", "/srv/srflm/images", "/srv/srflm/owner"


def service() -> dict[str, object]:
    """Return the one service of compose.yaml."""
    found: dict[str, object] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][
        "site"
    ]
    return found


def environment() -> dict[str, str]:
    """Return what the Dockerfile sets."""
    text = (COMPOSE.parent / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith("ENV "))
    return dict(word.split("=", 1) for word in line.split()[1:])


def python_for_all() -> list[str]:
    """Return the commands, of a mount namespace, after which any user can run this Python."""
    base = Path(sys.base_prefix).resolve()
    closed = [each for each in reversed(base.parents) if not each.stat().st_mode & 0o001]
    if not closed:
        return []
    return [
        "mount -t tmpfs tmpfs /mnt",
        "mkdir /mnt/python",
        f"mount --bind {shlex.quote(str(base))} /mnt/python",
        f"mount -t tmpfs -o mode=0755 tmpfs {shlex.quote(str(closed[0]))}",
        f"mkdir -p {shlex.quote(str(base))}",
        f"mount --bind /mnt/python {shlex.quote(str(base))}",
    ]


def in_namespace(lines: list[str]) -> list[str]:
    """Return the command that runs these in a mount namespace of their own."""
    own = ["set -e", "mount --make-rprivate /", *python_for_all(), *lines]
    return ["unshare", "-m", "/bin/sh", "-c", "\n".join(own)]


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Skip where no mount namespace can be made, or another user cannot run this installation."""
    if os.geteuid() != 0 or any(shutil.which(e) is None for e in ("unshare", "setpriv", "mount")):
        pytest.skip("only root can confine a program as a container engine does")
    user = "setpriv --reuid 10001 --regid 10001 --clear-groups"
    trial = in_namespace(
        ["mount -t tmpfs tmpfs /srv", f"{user} {shlex.quote(sys.executable)} -c 'import deploy'"]
    )
    done = subprocess.run(trial, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no mount namespace for another user: {done.stderr.strip()[-200:]}")


def confined(folders: dict[str, Path], program: str) -> list[str]:
    """Return the command that runs ``program`` as the service of compose.yaml is run."""
    own = service()
    user, group = str(own["user"]).split(":")
    volumes = {each["target"]: each for each in own["volumes"]}  # type: ignore[attr-defined]
    lines = ["mount -t tmpfs tmpfs /srv"]
    for target, source in folders.items():
        lines += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(source))} {target}"]
        if volumes[target].get("read_only"):
            lines.append(f"mount -o remount,bind,ro {target}")
    lines += ["mount -o remount,ro /srv", "mount -o remount,bind,ro /"]
    for each in own["tmpfs"]:  # type: ignore[attr-defined]
        target, options = each.split(":")
        lines.append(f"mount -t tmpfs -o {options},noexec,nosuid,nodev tmpfs {target}")
    told = environment() | {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
    lines.append(
        f"exec setpriv --reuid {user} --regid {group} --clear-groups --inh-caps=-all"
        f" --bounding-set=-all --no-new-privs env -i {settings} {program}"
    )
    return in_namespace(lines)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command; end it as a container engine does."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(600)


def test_confined_site_serves_and_trains(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b"), run__answer_deadline=600, run__work_deadline=3600
    )
    first = free_block(3)
    addresses = {"a": f"127.0.0.1:{first}", "b": f"127.0.0.1:{first + 1}"}
    folders = make_local_sites(tmp_path / "sites", federation, addresses, threads=1)
    images, owner = tmp_path / "images", tmp_path / "owner"
    images.mkdir()
    shutil.copy(tmp_path / "tiny.npz", images)
    owner.mkdir()
    inside = folders["a"]
    file, changes = (
        inside / "site.toml",
        {"data": f"{IMAGES}/tiny.npz", "page": {"port": first + 2}},
    )
    settings = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    changes |= {"privacy": {"ledger": f"{OWNER}/ledger.sqlite"}}
    file.write_text(site_toml(settings | changes), encoding="utf-8")
    (inside / "run").mkdir(exist_ok=True)
    for path in (inside, *inside.rglob("*"), owner):
        os.chown(path, 10001, 10001)
    for path in tmp_path.parents:  # pytest's folders are for their user alone
        if path.stat().st_uid == 0 and path.name.startswith("pytest"):
            path.chmod(0o755)

    srflm = f"{Path(sys.executable).parent}/srflm"
    mounted = {SITE: inside, IMAGES: images, OWNER: owner}
    log = tmp_path / "up.log"
    sites = {"a": site_at(inside), "b": site_at(folders["b"])}
    try:
        with running(confined(mounted, f"{srflm} up {SITE}"), log) as site:
            start_detached(prepare(folders["b"]), folders["b"])
            wait_until(
                lambda: site.poll() is not None or not unseen(sites["b"]), "b does not see a"
            )
            assert site.poll() is None, log.read_text()
            run_rounds(sites, 1, first="b")
            assert sorted(head_of(sites).ballots) == ["a", "b"]
            assert (head_of(sites).server, head_of(sites).attempt) == ("a", 0)
            assert healthy(first + 2)
            status = f"/proc/{site.pid}/status"
            facts = dict(line.split(":\t") for line in Path(status).read_text().splitlines())
            assert facts["Uid"].split() == ["10001"] * 4
            assert int(facts["CapBnd"], 16) == int(facts["CapEff"], 16) == 0
            assert facts["NoNewPrivs"] == "1"
        assert not healthy(first + 2)
        assert not list((inside / "run").iterdir()), "what a start writes stays in memory"
    finally:
        bring_down(folders["b"])
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")
    assert site_anew(inside).state.ledger.rounds() == 1


def healthy(port: int) -> bool:
    """Return whether the health check of compose.yaml succeeds, asked at another port."""
    test = service()["healthcheck"]["test"]  # type: ignore[index]
    assert test[:3] == ["CMD", "python", "-c"] and "127.0.0.1:8444" in test[3]
    command = [sys.executable, "-c", test[3].replace("127.0.0.1:8444", f"127.0.0.1:{port}")]
    return subprocess.run(command, capture_output=True).returncode == 0
