"""The commands of a transcript that concern sites: faults, ledgers, and changes of the roster."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from deploy.membership.roster import edition_file
from tests.support.scripted_servers import ScriptedFederation
from tests.support.transcript.words import Words, listed, word_of


class SiteCommands:
    """Lets something happen to sites; every command returns its events."""

    def __init__(self, sites: ScriptedFederation, words: Words) -> None:
        self._sites, self._words, self._newest = sites, words, sites.first

    def crash(self, vendor: str) -> list[str]:
        """Let a site's machine fail, with its server and all messages that have not arrived."""
        lost = self._sites.kill(vendor)
        self._sites.off.add(vendor)
        what = [f"{word_of(letter.message)} to {letter.site} is lost" for letter in lost]
        return [f"{vendor} is down", *what]

    def restart(self, vendor: str) -> list[str]:
        """Start a site that was down."""
        self._sites.off.discard(vendor)
        self._sites.restart(vendor)
        return self.ledgers(vendor)

    def lose_disk(self, vendor: str) -> list[str]:
        """Delete a site's state and start the site; its keys and its count of starts are kept."""
        self._sites.kill(vendor)
        self._sites.lose_disk(vendor)
        return self.ledgers(vendor)

    def ledgers(self, vendors: str | None = None) -> list[str]:
        """Tell which records sites have, and what they have promised in the term after them."""
        chosen = vendors.split() if vendors else self._sites.roster
        told = [(self._words.promised(self._sites.site(v).state.ledger), v) for v in chosen]
        return [
            f"{listed(vendor for _, vendor in group)}: {text}"
            for text, group in groupby(told, key=lambda pair: pair[0])
        ]

    def edition(self, roster: str) -> list[str]:
        """Write the next edition of the federation file, which nobody has approved yet."""
        self._newest = self._sites.edition(self._newest, *roster.split())
        return [f"{self._words.edition(self._newest.hash)} is written"]

    def approve(self, vendors: str) -> list[str]:
        """Let operators approve the newest edition, or bring its file where it is decided on."""
        self._sites.approve(self._newest, *vendors.split())
        return self._editions(vendors)

    def join(self, vendor: str) -> list[str]:
        """Start a newcomer's site with the newest edition."""
        self._sites.join(vendor, self._newest)
        return self.ledgers(vendor)

    def switch(self, vendors: str) -> list[str]:
        """Start sites again with the edition that holds, where they have its file."""
        self._sites.switch(*vendors.split())
        return self._editions(vendors)

    def _editions(self, vendors: str) -> list[str]:
        return [f"{vendor}: {self._edition(vendor)}" for vendor in vendors.split()]

    def _edition(self, vendor: str) -> str:
        site = self._sites.site(vendor)
        standing = site.standing()
        own, decides = standing.own.federation, standing.editions.last.federation
        text = f"runs with {self._words.edition(own)}"
        if own != decides:
            has = "has" if edition_file(site, decides).exists() else "lacks"
            text += f"; {self._words.edition(decides)} decides its next term, and it {has} the file"
        if standing.approved is not None:
            text += f"; has approved {self._words.edition(standing.approved.federation)}"
        return text


SITE_COMMANDS: dict[str, Callable[..., list[str]]] = {
    r"crash (?P<vendor>\w+)": SiteCommands.crash,
    r"restart (?P<vendor>\w+)": SiteCommands.restart,
    r"lose-disk (?P<vendor>\w+)": SiteCommands.lose_disk,
    r"ledgers(?: of (?P<vendors>.+))?": SiteCommands.ledgers,
    r"new edition: (?P<roster>.+)": SiteCommands.edition,
    r"approve at (?P<vendors>.+)": SiteCommands.approve,
    r"join (?P<vendor>\w+)": SiteCommands.join,
    r"switch (?P<vendors>.+)": SiteCommands.switch,
}
"""Pattern → command."""
