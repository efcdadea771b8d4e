"""Node keys that a site makes before it knows for whom: one is taken for each later member.

A site shows another key to each SuperLink, as Flower's signed headers name no receiver: a peer
could show to another one a header that it has got.  So every newcomer costs every member a key.
With spare keys nobody has to make one then: their public parts are in the site's request, the
consortium takes the next one for the newcomer, and the site finds its own key by the public part.
(To derive keys from one secret would need no slots, but the public parts could then be derived by
others only with arithmetic of our own on the curve.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clients.files.durable import write_durably
from deploy.identity.keys import new_key, public_line, read, write_private
from strategies.errors import IdentityError

SPARES: Final = 24
"""As many members can join before a site has to send another request."""


def make_spare_keys(folder: Path, count: int = SPARES) -> tuple[str, ...]:
    """Make spare keys in ``folder`` until ``count`` are free; return the free ones' public lines.

    The number of a key is never given to another one.
    """
    taken = _given_out(folder).values()
    free = [line for line in spare_keys(folder) if line not in taken]
    last = max((int(path.stem.removeprefix("spare-")) for path in _files(folder)), default=0)
    for number in range(last + 1, last + 1 + count - len(free)):
        path = folder / f"spare-{number:03}.key"
        key = new_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        write_private(path, key)
        free.append(public_line(path))
    return tuple(free)


def spare_keys(folder: Path) -> dict[str, Path]:
    """Return the files of all spare keys by their public lines."""
    return {public_line(path): path for path in _files(folder)}


def claim_spare_keys(
    folder: Path, vendor: str, node_keys: Mapping[str, str], in_use: Collection[str] = ()
) -> None:
    """Take the spare keys that ``node_keys`` (by peer) has for peers without a key yet.

    Keys for the peers ``in_use`` stay as they are.  A line that is of no spare key changes nothing:
    whoever checks the site's keys refuses it.  Raises :class:`IdentityError` for a key that is
    another peer's already.
    """
    spares, given = spare_keys(folder), _given_out(folder)
    for peer, line in node_keys.items():
        plain = " ".join(line.split()[:2])
        if given.get(peer) == plain or peer in in_use or plain not in spares:
            continue
        other = [name for name, known in given.items() if known == plain]
        if other:
            raise IdentityError(
                f"a node key for {peer} that is for {', '.join(other)} already",
                "a key of its own for each member",
                "ask the consortium why it has given out one key twice",
                IdentityError.KEY,
            )
        write_durably(folder / f"node-{peer}.key", read(spares[plain]), private=True)
        text = f"{plain} {vendor}-to-{peer}\n"
        write_durably(folder / f"node-{peer}.pub", text.encode("ascii"))
        given[peer] = plain


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("spare-[0-9][0-9][0-9].key"))


def _given_out(folder: Path) -> dict[str, str]:
    """Return the public lines of the node keys, by peer, without comments."""
    lines = {path: path.read_text(encoding="ascii", errors="replace") for path in _public(folder)}
    return {
        path.stem.removeprefix("node-"): " ".join(text.split()[:2]) for path, text in lines.items()
    }


def _public(folder: Path) -> list[Path]:
    # A key whose writing broke off between its two files is not given out yet.
    whole = (path for path in folder.glob("node-*.pub") if path.with_suffix(".key").exists())
    return [path for path in whole if _fits(path)]


def _fits(public: Path) -> bool:
    return (
        public.read_text("ascii", "replace").split()[:2]
        == public_line(public.with_suffix(".key")).split()
    )
