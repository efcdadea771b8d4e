"""Which of its spare keys each site uses towards which member: rules on plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from deploy.membership.joining import Membership
from deploy.membership.request import Request
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError


def membership_of(
    request: Request, roster: Sequence[str], held: Mapping[str, str], used: Collection[str]
) -> Membership:
    """Return the membership that follows from a request, with a node key for each of ``roster``.

    ``held`` are the vendor's node keys in force, by peer, and stay; a new peer gets the first spare
    key that is not ``used``, by this vendor in any edition.

    Raises :class:`ConfigurationError` when the request has too few spare keys.
    """
    # A key for a vendor that has left is never given to another: that vendor has seen its headers.
    free = [key for key in request.spare_node_keys if key not in used]
    own = {request.vendor: request.node_key}
    new = [peer for peer in roster if peer not in held and peer != request.vendor]
    if len(new) > len(free):
        raise ConfigurationError(
            f"{len(free)} spare node keys of {request.vendor} for {len(new)} new members",
            "one for each",
            f"have {request.vendor} run `srflm site init` again, and admit its new request",
        )
    return Membership(
        vendor=request.vendor,
        address=request.address,
        signing_key=request.signing_key,
        node_keys={**held, **dict(zip(new, free, strict=False)), **own},
        certificate_request=request.certificate_request,
    )


def memberships_for(
    requests: Mapping[str, Request],
    roster: Sequence[str],
    editions: Sequence[Federation],
    withdrawn: Sequence[Federation] = (),
) -> dict[str, Membership]:
    """Return the memberships of all vendors of ``roster`` that differ from the last edition.

    ``editions`` are all editions so far, the oldest first; with none, all memberships are new.
    ``withdrawn`` were published, so that sites may have taken the keys in them for a member.

    Raises :class:`ConfigurationError` when a request is missing, or has too few spare keys.
    """
    found = {}
    before = {each.name: each for each in editions[-1].vendors} if editions else {}
    for vendor in roster:
        request, member = requests.get(vendor), before.get(vendor)
        if request is None:
            if member is not None and set(roster) <= set(member.node_keys or {}):
                continue  # a member of older versions, for whom nothing changes
            raise ConfigurationError(
                f"no request of {vendor}",
                "an admitted request of each member",
                f"have {vendor} run `srflm site init`, then `srflm federation admit`",
            )
        same = member is not None and member.signing_key == request.signing_key
        # A site with new keys has none of the old ones.
        keys = (member.node_keys or {}) if same and member is not None else {}
        held = {peer: _plain(key) for peer, key in keys.items() if peer in roster}
        made = membership_of(request, roster, held, _used(vendor, (*editions, *withdrawn)))
        if member is None or _differs(member.address, keys, request, made, member.site_key):
            found[vendor] = made
    return found


def _differs(
    address: str | None,
    keys: Mapping[str, str],
    request: Request,
    made: Membership,
    site_key: str | None,
) -> bool:
    node_keys = {peer: _plain(key) for peer, key in keys.items() if peer in made.node_keys}
    certified = site_key is None or _plain(site_key) == request.site_key
    return (address, node_keys) != (request.address, made.node_keys) or not certified


def _used(vendor: str, editions: Sequence[Federation]) -> frozenset[str]:
    """Return every node key that the vendor has in any edition."""
    return frozenset(
        _plain(key)
        for edition in editions
        for member in edition.vendors
        if member.name == vendor
        for key in (member.node_keys or {}).values()
    )


def _plain(line: str) -> str:
    """Return an OpenSSH line without its comment."""
    return " ".join(line.split()[:2])
