"""Attacks over the wire on real sites, by one who is no member and by one whose turn it is not.

Each is refused and logged, and leaves no trace in the ledgers; then an honest round commits.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from deploy.flower.bundle import write_bundle_folder
from deploy.flower.internals import bundle_of
from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.identity.identity import install_certificate, make_identity
from deploy.identity.keys import read_ec_key
from deploy.identity.pins import authority_for
from deploy.operating.status import tail
from deploy.serving.job import ServerJob
from deploy.serving.own_superlink import own_superlink
from deploy.site.deployed_site import DeployedSite
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.signatures import sign_proposal
from tests.support.attacks.rogue import (
    audited,
    head_of,
    next_record,
    rogue_at,
    training,
    unchanged,
    unharmed,
)
from tests.support.sites import Sites, layout_of, programs_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import PATIENCE_SECONDS, wait_until

pytestmark = [
    pytest.mark.slow,
    # The supervisors, which outlive whoever has started them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
P = MessageRefused
CALLS_OF_A_MEMBER = 4
TOO_LARGE = 16 * 1024 * 1024 + 1
"""A byte more than an edge takes."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Three sites that have committed a round."""
    folder = tmp_path_factory.mktemp("security")
    federation = tiny_federation(
        folder, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    with running_sites(folder / "sites", federation) as running:
        run_rounds(running, 1)
        yield running


# ---- 1: a server that is not elected -----------------------------------------------------------


def test_server_that_is_not_elected_is_obeyed_by_nobody(sites: Sites) -> None:
    """Its site's own, honest ServerApp is started where the launcher would not."""
    vendor = head_of(sites).ranking[1]
    superlink = own_superlink(layout_of(sites[vendor]))
    task = ServerJob(name="too-early", kind="serve", attempt=0)
    with unharmed(sites):
        superlink.start(task)
        wait_until(lambda: superlink.outcome(task.name) is not None, "no outcome")
        outcome = superlink.outcome(task.name)
        assert outcome is not None and outcome.result == "failed"
        assert P.SERVER in outcome.text
        for site in sites.values():
            assert audited(site)[-1] == (vendor, wire.OPEN, P.SERVER)


def test_forged_envelopes_of_a_member_that_is_not_elected(sites: Sites) -> None:
    """It writes the elected server's name, and then its own."""
    head = head_of(sites)
    with unharmed(sites), rogue_at(sites, head.ranking[1]) as rogue:
        for name in head.ranking[:2]:
            envelope = rogue.envelope(server=name)
            opening = wire.OpenAttempt(envelope=envelope, parent=head.hash, model=head.model)
            rogue.is_refused(P.SERVER, opening, wire.OPEN)
            rogue.is_refused(P.SERVER, training(envelope, head), wire.TRAIN)
            proposal = sign_proposal(next_record(head, name), rogue.site.keys)
            proposed = wire.Accept(envelope=envelope, proposal=proposal)
            rogue.is_refused(P.SERVER, proposed, wire.ACCEPT)


# ---- 2: another app ----------------------------------------------------------------------------


def test_altered_app_bundle_is_neither_unpacked_nor_run(sites: Sites, tmp_path: Path) -> None:
    """It has the name, the version, and the settings of the agreed one; only the code is evil."""
    marker = tmp_path / "marker"
    app = write_bundle_folder(tmp_path / "app")
    pyproject = (app / "pyproject.toml").read_text()
    for app_name in ("deploy.serving.apps:server", "deploy.serving.apps:client"):
        assert app_name in pyproject
        pyproject = pyproject.replace(app_name, "evil:app")
    (app / "pyproject.toml").write_text(pyproject)
    (app / "evil.py").write_text(f"open({str(marker)!r}, 'a').write('ran')\napp = None\n")
    bundle, hash_ = bundle_of(app)
    vendor = head_of(sites).ranking[0]
    before = {peer: unpacked(site) for peer, site in sites.items()}
    nodes = {peer: children(site) for peer, site in sites.items()}
    with unharmed(sites), rogue_at(sites, vendor, bundle) as rogue:
        head = head_of(sites)
        opening = wire.OpenAttempt(envelope=rogue.envelope(), parent=head.hash, model=head.model)
        rogue.send(opening, wire.OPEN)
        for peer in rogue.peers:
            log = layout_of(sites[peer]).logs / "refusals.jsonl"
            wait_until(lambda log=log: bool(tail(log)), "no refusal")
            (line,) = tail(log)
            found = (line["event"], line["peer"], line["run"], line["found"])
            assert found == ("bundle-refused", vendor, rogue.run, hash_)
    assert not marker.exists()
    assert {peer: unpacked(site) for peer, site in sites.items()} == before
    assert {peer: children(site) for peer, site in sites.items()} == nodes


def unpacked(site: DeployedSite) -> list[str]:
    apps = layout_of(site).flower_home / "apps"
    return sorted(str(path.relative_to(apps)) for path in apps.rglob("*") if path.is_file())


def children(site: DeployedSite) -> set[int]:
    """Return the processes of a site's SuperNodes."""
    return {child.pid for child in psutil.Process(programs_of(site)["supernodes"]).children()}


# ---- 3 and 4: the network port -----------------------------------------------------------------


Shown = tuple[Path, Path]


def shown_by(site: DeployedSite) -> Shown:
    """Return the certificate that a site shows its peers, and its key."""
    return layout_of(site).edge / "site.crt", site.settings.identity / "site.key"


def call(
    site: DeployedSite, path: str, headers: Mapping[str, str], *shown: Shown, size: int = 1
) -> int:
    """Call a site's network port with a certificate and its key, if any; return the status.

    Of a body that is said to be larger, one byte is sent: an edge must not wait for the rest.
    """
    with closing(connected(site, *shown)) as connection:
        connection.request("POST", path, b"x", {**headers, "Content-Length": str(size)})
        return connection.getresponse().status


def connected(site: DeployedSite, *shown: Shown) -> http.client.HTTPSConnection:
    """Return a connection to a site's network port."""
    host, port = site.settings.listen.rsplit(":", 1)
    key = read_ec_key(site.settings.identity / "site.key").public_key()
    tls = ssl.create_default_context(cadata=authority_for(site.vendor, key).decode())
    for certificate, private in shown:
        tls.load_cert_chain(certificate, private)
    return http.client.HTTPSConnection(host, int(port), timeout=PATIENCE_SECONDS, context=tls)


def signed(owner: DeployedSite, at: str) -> dict[str, str]:
    """Return the headers with which ``owner``'s SuperNode comes to the SuperLink of ``at``."""
    key = load_ssh_private_key((owner.settings.identity / f"node-{at}.key").read_bytes(), None)
    context: Any = SimpleNamespace(request=httpx.Request("POST", "https://x"))
    NodeAuthHttpInterceptor(key, key.public_key()).intercept(context, lambda _: None)  # type: ignore
    return {name: value for name, value in context.request.headers.items() if "flwr" in name}


@contextmanager
def logged(site: DeployedSite, *expected: tuple[str, int]) -> Iterator[None]:
    """Check that the edge notes these paths and statuses, in this order, beside all others."""
    log = layout_of(site).edge / "logs" / "in.jsonl"
    start = len(log.read_bytes())
    yield
    wanted = [*expected]

    def found() -> list[tuple[str, int]]:
        lines = map(json.loads, log.read_bytes()[start:].splitlines())
        each = [(line["uri"], line["st"]) for line in lines]
        return [entry for entry in each if entry in wanted]

    wait_until(lambda: found() == wanted, f"not in {log}: {wanted}")


def test_edge_is_the_only_listener_on_the_network(sites: Sites) -> None:
    for site in sites.values():
        processes = [psutil.Process(pid) for pid in programs_of(site).values()]
        family = {child for each in processes for child in (each, *each.children(recursive=True))}
        listening = []
        for each in family:
            with suppress(psutil.NoSuchProcess):  # one that does a single task
                listening += [
                    (each.name(), connection.laddr.ip, connection.laddr.port)
                    for connection in each.net_connections("all")
                    if connection.status == psutil.CONN_LISTEN
                ]
        host, port = site.settings.listen.rsplit(":", 1)
        assert len({port for _, _, port in listening}) > 5, "SuperLink, SuperNodes, ways out"
        others = [each for each in listening if each[1:] != (host, int(port))]
        assert {ip for _, ip, _ in others} == {"127.0.0.1"}
        assert {name for name, *at in listening if tuple(at) == (host, int(port))} == {"nginx"}


NOT_FOR_PEERS = (
    "/v1/control/start-run",
    "/v1/control/list-runs",
    "/v1/control/register-node",
    "/v1/runtime/acquire-task",
    "/v1/runtime/push-messages",
    "/v1/fleet/register-node",
    "/v1/fleet/../control/start-run",
    "/health",
)


def test_only_calls_of_a_supernode_pass_the_edge(sites: Sites) -> None:
    with unchanged(sites):
        for owner, at in each_pair(sites):
            with logged(at, *((path, 404) for path in NOT_FOR_PEERS)):
                for path in NOT_FOR_PEERS:
                    headers = signed(owner, at.vendor)
                    assert call(at, path, headers, shown_by(owner)) == 404, path


def each_pair(sites: Sites) -> list[tuple[DeployedSite, DeployedSite]]:
    return [(one, other) for one in sites.values() for other in sites.values() if one is not other]


RARE = "/v1/fleet/get-fab"


def test_nobody_comes_in_in_anothers_name(sites: Sites, tmp_path: Path) -> None:
    foreign = create_consortium(tmp_path / "ca", "tiny")
    consortium = next(iter(sites.values())).folder.parents[1] / "consortium"
    assert (consortium / "consortium-ca.crt").exists()
    assert list(consortium.rglob("*.key")) == [], "nobody can join"
    with unchanged(sites):
        for owner, at in each_pair(sites):
            (third,) = [s for s in sites.values() if s not in (owner, at)]
            headers, own = signed(owner, at.vendor), shown_by(owner)
            stranger = tmp_path / f"{owner.vendor}-{at.vendor}"
            make_identity(stranger, owner.vendor, tuple(sites))
            csr = (stranger / "site.csr").read_bytes()
            install_certificate(
                stranger, sign_site_certificate(foreign, csr, owner.vendor), foreign.pem
            )
            with logged(at, *[(RARE, 400)] * 4, *[(RARE, 403)] * 3):
                assert call(at, RARE, headers) == 400, "no certificate"
                for identity in (stranger, owner.settings.identity):
                    pair = identity / "site.crt", identity / "site.key"
                    assert call(at, RARE, headers, pair) == 400, "no consortium's word counts"
                assert call(at, RARE, headers, shown_by(at)) == 400, "captured by itself"
                assert call(at, RARE, headers, shown_by(third)) == 403, "captured"
                assert call(at, RARE, signed(owner, third.vendor), own) == 403, "captured elsewhere"
                assert call(at, RARE, {}, own) == 403, "no key at all"


def test_call_that_is_one_byte_too_large(sites: Sites) -> None:
    """As a reply of a member's SuperNode: an edge refuses it before it has come."""
    path = "/v1/fleet/push-object"
    with unharmed(sites):
        for owner, at in each_pair(sites):
            with logged(at, (path, 413)):
                headers, own = signed(owner, at.vendor), shown_by(owner)
                assert call(at, path, headers, own, size=TOO_LARGE) == 413


MOST_TRIES = 100


def test_member_that_takes_all_its_calls_leaves_the_others_theirs(sites: Sites) -> None:
    path = "/v1/fleet/push-object"
    with unharmed(sites):
        for owner, at in each_pair(sites):
            (third,) = [s for s in sites.values() if s not in (owner, at)]
            headers, own = signed(owner, at.vendor), shown_by(owner)
            with ExitStack() as held:
                for tried in range(MOST_TRIES):
                    # More than a member may have, for its own SuperNode has a place now and then.
                    if tried >= CALLS_OF_A_MEMBER and is_full(owner, at):
                        break
                    connection = held.enter_context(closing(connected(at, own)))
                    # It waits for its second byte.
                    connection.request("POST", path, b"x", {**headers, "Content-Length": "2"})
                else:
                    raise AssertionError("no limit")
                assert not is_full(third, at)
            wait_until(lambda o=owner, a=at: not is_full(o, a), "still full")  # type: ignore[misc]


def is_full(owner: DeployedSite, at: DeployedSite) -> bool:
    """Return whether the edge of ``at`` takes no more calls of a member."""
    return call(at, RARE, signed(owner, at.vendor), shown_by(owner)) == 503
