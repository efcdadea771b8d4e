"""The consortium admits requests of members: for the next edition, one leaves or has new keys.

Nothing is kept before the edition that would follow is known to be valid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.membership.federation_folder import Candidate, FederationFolder, candidates
from deploy.membership.member_request import (
    MemberRequest,
    check_against,
    is_member_request,
    read_member_request,
    write_member_request,
)
from deploy.membership.publishing import plan
from deploy.membership.request import Request, write_request
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.member import Member
from srflm_flower.federation.successor import Difference, difference
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class MemberCandidate:
    """A member's request that waits for a person's decision."""

    request: MemberRequest

    @property
    def what(self) -> str:
        """What the member asks for, in a few words."""
        after = f"after edition {self.request.edition}"
        return f"leaves {after}" if self.request.asks == "leave" else f"new keys {after}"


def all_candidates(
    folder: FederationFolder, files: Sequence[Path]
) -> tuple[list[Candidate], list[MemberCandidate]]:
    """Read requests of new sites and of members, to be shown before they are admitted.

    Raises :class:`ConfigurationError` for a member's request that is not one for the next edition,
    that is there already, or whose keys are used; and the errors of
    :func:`deploy.membership.federation_folder.candidates`.
    """
    of_members = [path for path in files if is_member_request(path)]
    new = candidates(folder, [path for path in files if path not in of_members])
    members = [MemberCandidate(read_member_request(path)) for path in of_members]
    if members:
        _require_edition(folder, members[0].request)
        _require_one_each([*new, *members])
    for each in members:
        check_against(each.request, folder.editions())
        _require_new(folder, each.request)
    return new, members


def keep_member_request(folder: FederationFolder, request: MemberRequest) -> None:
    """Keep a member's request that a person has confirmed, for the next publication."""
    if request.keys is not None:
        write_request(folder.request(request.vendor), request.keys)
    else:
        write_member_request(folder.leave(request.vendor), request)


def preview(
    folder: FederationFolder, new: Sequence[Candidate], members: Sequence[MemberCandidate]
) -> tuple[Federation, Difference]:
    """Return the edition that would be published if all of these were admitted, and its changes.

    Raises the errors of :func:`deploy.membership.publishing.plan`.
    """
    requests = folder.requests() | {each.request.vendor: each.request for each in new}
    requests |= {
        each.request.vendor: each.request.keys for each in members if each.request.keys is not None
    }
    leaves = [each.request.vendor for each in members if each.request.asks == "leave"]
    planned, _ = plan(folder, leaves, requests)
    return planned, difference(folder.editions()[-1], planned)


def _require_edition(folder: FederationFolder, request: MemberRequest) -> None:
    if not folder.editions():
        raise ConfigurationError(
            f"a member's request of {request.vendor} for a federation without any edition",
            f"the folder of {request.federation}, with what was published",
            "name the right folder",
        )


def _require_one_each(waiting: Sequence[Candidate | MemberCandidate]) -> None:
    counted = Counter(each.request.vendor for each in waiting)
    twice = [vendor for vendor, count in counted.items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"two requests of {', '.join(twice)} at once",
            "one request of each vendor",
            "ask these vendors by telephone which request they want, and admit that one",
        )


def _require_new(folder: FederationFolder, request: MemberRequest) -> None:
    """Raise :class:`ConfigurationError` for a request that was admitted, or a key that is used."""
    vendor, new = request.vendor, request.keys
    if vendor in folder.leaving():
        raise ConfigurationError(
            f"a request of {vendor}, whose leave for the next edition is admitted already",
            "one request of each member for an edition",
            f"`srflm federation publish {folder.root}`; if {vendor} is to stay, delete"
            f" {folder.leave(vendor)} first",
        )
    if new is None:
        return
    known = folder.requests()
    if vendor in known and known[vendor].digest == new.digest:
        raise ConfigurationError(
            f"a request of {vendor} whose new keys are admitted already",
            "one request of each member for an edition",
            f"`srflm federation publish {folder.root}`",
        )
    if _used(folder, new) & {*_keys_of(new)}:
        raise ConfigurationError(
            f"new keys of {vendor}, of which one is used already",
            "keys that no site of this federation has had",
            f"have {vendor} delete the folder identity/next of its site and run `srflm site"
            " rotate-keys` again",
        )


def _used(folder: FederationFolder, new: Request) -> set[str]:
    """Return all keys that sites have had, but not those that come again with the same new keys."""
    # An edition that was withdrawn may have named them, and its request may still lie here.
    same = new.vendor, new.signing_key
    known = [each for each in folder.requests().values() if (each.vendor, each.signing_key) != same]
    members = [member for edition in folder.editions() for member in edition.vendors]
    members += [
        member
        for edition in folder.withdrawn()
        for member in edition.vendors
        if (member.name, member.signing_key) != same
    ]
    return {key for each in known for key in _keys_of(each)} | {
        key for member in members for key in _keys_in(member)
    }


def _keys_of(request: Request) -> Iterator[str]:
    yield from (request.signing_key, request.site_key, request.node_key, *request.spare_node_keys)


def _keys_in(member: Member) -> Iterator[str]:
    lines = (member.signing_key, member.site_key, *(member.node_keys or {}).values())
    yield from (" ".join(line.split()[:2]) for line in lines if line)  # without comments
