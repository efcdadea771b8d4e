"""Real processes: a SuperLink, guarded SuperNodes, and tasks in forked or in fresh processes."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.flower.internals import RuntimeApi, bundle_of
from deploy.flower.programs import program
from deploy.processes.family import process_family
from tests.support.waiting import wait_for
from tests.support.warm_site import WarmSite, children_of, write_app

pytestmark = pytest.mark.slow

NewSite = Callable[..., WarmSite]


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[NewSite]:
    """Give a function that starts a SuperLink with two registered nodes."""
    with process_family(os.environ, tmp_path / "family.log") as members:

        def make(isolation: str = "process", name: str = "site") -> WarmSite:
            (tmp_path / name).mkdir()
            site = WarmSite(tmp_path / name, members, isolation)
            site.start_superlink()
            site.register()
            return site

        yield make


def replies(result: dict) -> list[dict]:
    return [reply for each in result["rounds"] for reply in each["replies"]]


def median_round(result: dict) -> float:
    return statistics.median(each["seconds"] for each in result["rounds"])


def alter(folder: Path, marker: Path, server: str) -> bytes:
    """Return a bundle with code of its own, which leaves a mark when it is imported."""
    write_app(folder)
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(marker)!r}).write_text('imported')\n"
        "from tiny_app import client, server\n"
    )
    text = (folder / "pyproject.toml").read_text().replace("tiny_app:client", "evil:client")
    (folder / "pyproject.toml").write_text(text.replace("tiny_app:server", server))
    return bundle_of(folder)[0]


def test_warm_run_completes_and_every_message_has_a_process_of_its_own(new_site: NewSite) -> None:
    site = new_site()
    supernodes, worker = site.start_supernodes(), site.start_worker()
    assert wait_for(site.online), site.logs()
    result = site.result(site.run())
    found = replies(result)
    assert len(found) == 6
    assert {reply["parent"] for reply in found} == {worker.pid}
    assert len({reply["pid"] for reply in found}) == 6
    assert len(children_of(supernodes)) == 2
    assert not site.lines("refusals.jsonl")
    for port in (site.port, *site.runtime.values()):  # another user of this machine
        stranger = RuntimeApi(f"127.0.0.1:{port}", "client", Path(site.tls["root"]))
        assert stranger.acquire() is None and "401" in stranger.problem
        stranger.close()
    supernodes.terminate()
    worker.terminate()
    assert supernodes.wait() == 0 and worker.wait() == 0
    assert wait_for(lambda: set(site.control.nodes().values()) == {"offline"})


def test_stock_processes_do_the_same_behind_the_same_guard(new_site: NewSite) -> None:
    site = new_site("subprocess")
    site.start_supernodes()
    assert wait_for(site.online), site.logs()
    found = replies(site.result(site.run()))
    assert len(found) == 6 and len({reply["pid"] for reply in found}) == 6
    bundle = alter(site.path / "altered", site.path / "marker", "tiny_app:server")
    run = site.run(bundle)
    assert wait_for(lambda: len(site.lines("refusals.jsonl")) == 2), site.logs()
    assert site.control.stop_run(run)
    assert not (site.path / "marker").exists()


def test_warm_round_takes_a_fraction_of_one_with_fresh_processes(new_site: NewSite) -> None:
    medians = {}
    for isolation in ("subprocess", "process"):
        site = new_site(isolation, isolation)
        started = [site.start_supernodes()]
        if isolation == "process":
            started.append(site.start_worker())
        assert wait_for(site.online), site.logs()
        medians[isolation] = median_round(site.result(site.run()))
        for each in started:
            each.terminate()
            each.wait()
    assert medians["process"] < 0.5 * medians["subprocess"], medians


def test_altered_bundle_of_a_peer_is_refused_and_the_next_good_run_served(
    new_site: NewSite,
) -> None:
    site = new_site()
    site.start_supernodes()
    site.start_worker("client")
    site.start(  # the peer's ServerApps: it does not care what it agreed to
        program("flower-superexec"),
        *("--runtime-api-address", site.address, "--root-certificates", site.tls["root"]),
        *("--superexec-auth-secret-file", str(site.secret)),
        log="superexec.log",
    )
    assert wait_for(site.online), site.logs()
    marker = site.path / "marker"
    bad = site.run(alter(site.path / "altered", marker, "tiny_app:server"))
    assert wait_for(lambda: len(site.lines("refusals.jsonl")) == 2), site.logs()
    assert {line["peer"] for line in site.lines("refusals.jsonl")} == {"a", "b"}
    found = {line["found"] for line in site.lines("refusals.jsonl")}
    assert found == {bundle_of(site.path / "altered")[1]}
    assert site.control.stop_run(bad)
    assert site.control.runs(bad)[0].status == "finished:stopped"
    assert not site.control.stop_run(bad)
    assert len(replies(site.result(site.run()))) == 6
    assert not marker.exists() and len(site.lines("refusals.jsonl")) == 2
    apps = [each.name for each in (site.path / "home" / "apps").iterdir()]
    assert len(apps) == 2  # the superexec's ServerApp has unpacked it, in the same home


def test_both_bundles_of_an_upgrade_are_served_and_no_third(new_site: NewSite) -> None:
    site = new_site()
    newer, hash_ = bundle_of(write_app(site.path / "newer", "1.1.0"))
    site.newer = (hash_,)
    site.start_supernodes()
    site.start_worker()
    assert wait_for(site.online), site.logs()
    for bundle in (site.bundle, newer):
        assert len(replies(site.result(site.run(bundle)))) == 6, site.logs()
    assert not site.lines("refusals.jsonl")
    third = site.run(bundle_of(write_app(site.path / "third", "1.2.0"))[0])
    assert wait_for(lambda: site.control.runs(third)[0].finished)
    assert "SRFLM-B1" in site.control.runs(third)[0].details
    assert len(list((site.path / "home" / "apps").iterdir())) == 2


def test_altered_bundle_on_the_own_superlink_is_not_unpacked_either(new_site: NewSite) -> None:
    site = new_site()
    site.start_worker("server")
    marker = site.path / "marker"
    run = site.run(alter(site.path / "altered", marker, "evil:server"))
    assert wait_for(lambda: site.control.runs(run)[0].finished)
    assert "SRFLM-B1" in site.control.runs(run)[0].details
    assert not marker.exists()
    assert len(list((site.path / "home" / "apps").iterdir())) == 1


def test_whoever_is_killed_leaves_no_orphans_and_comes_back(new_site: NewSite) -> None:
    site = new_site()
    supernodes, worker = site.start_supernodes(), site.start_worker()
    assert wait_for(site.online), site.logs()

    def busy_children() -> list[psutil.Process]:
        run = site.run(seconds=60.0)
        assert wait_for(lambda: len(children_of(worker)) == 3), site.logs()
        assert site.control.runs(run)[0].status == "running"
        return children_of(worker)

    children = busy_children()  # one ServerApp and two ClientApps
    worker.kill()
    worker.wait()
    assert psutil.wait_procs(children, 15)[1] == []
    worker = site.start_worker()
    assert len(replies(site.result(site.run()))) == 6, site.logs()

    victim = children_of(supernodes)[0]
    victim.kill()
    assert wait_for(
        lambda: len(children_of(supernodes)) == 2 and victim not in children_of(supernodes)
    )
    # A run asks the nodes that are there when it begins; the new one may still be on its way.
    assert wait_for(lambda: len(replies(site.result(site.run()))) == 6), site.logs()

    children = children_of(supernodes)
    supernodes.kill()
    supernodes.wait()
    assert psutil.wait_procs(children, 15)[1] == []
    site.start_supernodes()
    assert wait_for(site.online), site.logs()
    assert len(replies(site.result(site.run()))) == 6, site.logs()


def test_supernodes_come_back_to_a_superlink_that_was_killed(new_site: NewSite) -> None:
    site = new_site()
    site.start_supernodes()
    assert wait_for(site.online), site.logs()
    pending = site.run()  # nobody takes it yet
    assert [run.status for run in site.control.runs()] == ["pending"]
    superlink = site.members.children[0]
    superlink.kill()
    superlink.wait()
    site.start_superlink()
    assert [run.run_id for run in site.control.runs()] == [pending]
    assert site.control.stop_run(pending)
    assert site.control.runs(pending)[0].status == "finished:stopped"
    site.start_worker()
    assert len(replies(site.result(site.run()))) == 6, site.logs()
    assert json.loads((site.path / "supernodes.json").read_text())["agreed_bundles"] == [
        site.agreed
    ]
