"""Judge ports, addresses, and what the peers have answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from deploy.doctor.facts import AddressFacts, PeerFacts, PortFacts
from deploy.doctor.lines import error, ok, warning
from deploy.doctor.rules.machine import size
from deploy.edge.clock_check import TOLERATED_SECONDS
from deploy.edge.machines import ANY_IPV6, host_of, is_ip, is_ipv6, split_address
from deploy.site.diagnosis import Line
from strategies.errors import ConfigurationError

FLOWER_SECONDS: Final = 300.0
"""Beyond which Flower refuses a SuperNode."""
MUCH: Final = 0.1
"""Of the work's deadline, for sending models."""


def port_lines(facts: PortFacts) -> Iterator[Line]:
    """Yield the lines about the site's own ports."""
    if facts.up:
        if facts.answers:
            yield ok("port.in", f"this site's edge answers on {facts.listen}, with the agreed key")
        else:
            yield error(
                "port.in",
                f"the site is up, and its edge does not answer on {facts.listen}",
                mend="`srflm status`; read run/edge/logs/error.log; then `srflm down`, `srflm up`",
            )
    elif facts.refusal is not None:
        found = f"nothing can listen on {facts.listen} ({facts.refusal})"
        yield error("port.in", found)
    else:
        found = f"{facts.listen} is free; whether a firewall lets the others in, they can tell"
        yield ok("port.in", found)
    if facts.local_taken:
        yield error("port.local", "one of the fixed loopback ports is in use")


def address_line(facts: AddressFacts) -> Line:
    """Return the line about this site's agreed address."""
    address = facts.agreed.get(facts.vendor, "")
    try:
        host, _ = split_address(address)
        listening, _ = split_address(facts.listen)
    except ConfigurationError as caught:
        return error("address.own", f"{caught.found}; expected {caught.expected}")
    if not facts.resolved:
        return warning("address.own", f"{host} does not resolve at this site")
    local = all(ip_address(each).is_loopback for each in facts.resolved)
    others = [each for vendor, each in facts.agreed.items() if vendor != facts.vendor]
    if local and not all(_is_loopback(each) for each in others):
        found = f"{address} leads back to this machine alone; the others are on other machines"
        return warning("address.own", found)
    # On [::] a site listens by both.
    if is_ip(listening) and listening != ANY_IPV6:
        kinds = {is_ipv6(each) for each in facts.resolved}
        if kinds == {not is_ipv6(listening)}:
            had, used = ("IPv4", "IPv6") if is_ipv6(listening) else ("IPv6", "IPv4")
            mend = f'set listen = "[::]:PORT" in site.toml, or give the name an {used} address too'
            found = f"{host} has {had} addresses only, and the site listens on {facts.listen}"
            return warning("address.own", f"{found}, {used}", mend=mend)
    return ok("address.own", f"{address} ({', '.join(facts.resolved)})")


def _is_loopback(address: str) -> bool:
    host = host_of(address)
    return host == "localhost" or (is_ip(host) and ip_address(host).is_loopback)


def peer_lines(peers: Sequence[PeerFacts]) -> Iterator[Line]:
    """Yield the lines about the contacts with all peers."""
    for each in peers:
        yield from _contact(each)
    yield from _clocks(peers)


def _contact(each: PeerFacts) -> Iterator[Line]:
    where = f"{each.address}: {each.why}" if each.why else each.address
    if each.stage == "name":
        yield warning("peer.name", where, each.peer)
        return
    if each.stage == "reach":
        yield warning("peer.reached", where, each.peer)
        return
    yield ok("peer.reached", where if each.stage == "done" else each.address, each.peer)
    if each.stage == "identity":
        yield error("peer.identity", where, each.peer)
        return
    yield ok("peer.identity", "it shows the agreed key", each.peer)
    if each.stage == "accept":
        yield error("peer.accepts", where, each.peer)
    else:
        yield ok("peer.accepts", "it takes this site for the agreed one", each.peer)


def _clocks(peers: Sequence[PeerFacts]) -> Iterator[Line]:
    heard = {each.peer: each.ahead for each in peers if each.ahead is not None}
    off = {peer: ahead for peer, ahead in heard.items() if abs(ahead) > TOLERATED_SECONDS}
    # One clock against one tells nothing of which is wrong; several on one side do.
    same = [peer for peer in off if off[peer] > 0], [peer for peer in off if off[peer] < 0]
    agreeing = max(same, key=len)
    if len(agreeing) > 1 and len(agreeing) > len(heard) / 2:
        most = min((off[peer] for peer in agreeing), key=abs)
        side = "behind" if most > 0 else "ahead of"
        found = f"this machine's clock is about {abs(most):.0f} s {side} those of the others"
        severe = abs(most) > FLOWER_SECONDS
        yield (error if severe else warning)("clock.peers", f"{found} ({', '.join(agreeing)})")
        return
    for peer, ahead in off.items():
        side = "ahead of" if ahead > 0 else "behind"
        found = f"its clock is {abs(ahead):.0f} s {side} this machine's"
        yield warning("clock.peers", found, peer)
    if heard and not off:
        worst = max(map(abs, heard.values()))
        yield ok("clock.peers", f"{len(heard)} peers, at most {worst:.0f} s off")


def round_line(
    peers: Sequence[PeerFacts], model: int, deadline: float, members: int
) -> Iterator[Line]:
    """Yield the line about the seconds that a round's models take, if a speed was measured.

    A client gets a model and sends one; a server sends one to each of the others, and gets one from
    each, through the same line.
    """
    slowest = min((e for e in peers if e.speed), key=lambda e: e.speed or 0.0, default=None)
    if slowest is None or not slowest.speed:
        return
    client = 2 * model / slowest.speed
    server = client * (members - 1)
    trip = f", round trip {1000 * slowest.round_trip:.0f} ms" if slowest.round_trip else ""
    found = (
        f"models of {size(model)} take about {_seconds(client)} a round, {_seconds(server)} as the"
        f" server ({size(slowest.speed)}/s to {slowest.peer}, the slowest{trip})"
    )
    if server > deadline:
        yield error("network.round", f"{found}; run.work-deadline is {deadline:.0f} s")
    elif server > MUCH * deadline:
        yield warning("network.round", f"{found}; run.work-deadline is {deadline:.0f} s")
    else:
        yield ok("network.round", found)


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
