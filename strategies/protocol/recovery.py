"""A recovery: the members that are left go on after the roster's quorum was lost for good.

All of them sign it.  While one of them has not, it holds nowhere.  From its signature on a site
votes no more in the term that follows the named head: the old roster decides it without that site
or not at all.
"""

from __future__ import annotations

from strategies.errors import MessageRefused
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import Edition, Recovery, TermRecord, canonical_json
from strategies.protocol.signatures import Keys


def recovery_statement(recovery: Recovery) -> bytes:
    """Return the statement that every remaining member signs."""
    plain = recovery.model_dump(mode="json", exclude={"signatures"})
    return canonical_json({"says": "recovery"} | plain)


def sign_recovery(recovery: Recovery, vendor: str, keys: Keys) -> Recovery:
    """Return a copy with this vendor's signature too."""
    signature = keys.sign(recovery_statement(recovery))
    return recovery.model_copy(update={"signatures": {**recovery.signatures, vendor: signature}})


def unsigned(recovery: Recovery) -> tuple[str, ...]:
    """Return the remaining members that have not signed."""
    return tuple(v for v in recovery.edition.roster if v not in recovery.signatures)


def check_recovery(recovery: Recovery, edition: Edition, keys: Keys, complete: bool = True) -> None:
    """Check that members of ``edition``, which was in force, recover it with their present keys.

    Unless ``complete``, signatures may be missing.  Raises :class:`MessageRefused`.
    """
    new, known = recovery.edition, dict(zip(edition.roster, edition.keys, strict=False))
    strangers = [
        vendor
        for vendor, key in zip(new.roster, new.keys, strict=False)
        if known.get(vendor) != key
    ]
    strangers += [vendor for vendor in recovery.signatures if vendor not in new.roster]
    if recovery.previous != edition.federation or strangers or not new.keys:
        raise _refused(f"a recovery of another edition, or by strangers: {', '.join(strangers)}")
    statement, verifying = recovery_statement(recovery), keys.at(edition)
    false = [
        vendor
        for vendor, signature in recovery.signatures.items()
        if not verifying.verify(vendor, statement, signature)
    ]
    if false:
        raise _refused(f"a recovery with false signatures of {', '.join(false)}")
    missing = unsigned(recovery)
    if complete and missing:
        raise _refused(f"a recovery that {', '.join(missing)} did not sign")


def can_both_hold(earlier: Recovery, later: Recovery) -> bool:
    """Return whether sites that do not sign ``later`` could go on by ``earlier`` alone."""
    rest = [vendor for vendor in earlier.edition.roster if vendor not in later.edition.roster]
    return has_quorum(rest, earlier.edition.roster, earlier.edition.quorum)


def without(vendor: str) -> MessageRefused:
    """Return the error for a message of a vendor without which the others have gone on."""
    return MessageRefused(
        f"a message of {vendor!r}, without whom the others have gone on (`srflm roster recover`)",
        "a member",
        "to come back, join by a new edition",
        MessageRefused.RECOVERED,
    )


def not_recovered(record: TermRecord, where: str) -> MessageRefused:
    """Return the error for a record whose recovery is not the one of this site."""
    return MessageRefused(
        f"a record of term {record.term} with another recovery than this site's",
        f"the recovery {where}, or none",
        "ask the other operators whether they have recovered the federation, and for the file",
        MessageRefused.RECOVERED,
    )


def _refused(found: str) -> MessageRefused:
    return MessageRefused(
        found,
        "valid signatures of all members that remain, and of nobody else",
        "have each of them sign the file: `srflm roster recover`",
        MessageRefused.RECOVERED,
    )
