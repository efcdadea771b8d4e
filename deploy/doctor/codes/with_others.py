"""The lines about what a site has to do with others: network, data, privacy."""

from __future__ import annotations

from typing import Final

from deploy.doctor.codes.check import Check

WITH_OTHERS: Final = (
    # ---- the network ---------------------------------------------------------------------------
    Check(
        "port.in",
        "the address `listen`",
        "",
        "another program holds the port, the machine has no such address, or the site is up and"
        " its edge does not answer",
        "end the program that uses it, or change `listen` in site.toml and, with the others, the"
        " address in federation.toml",
        stops="start",
    ),
    Check(
        "port.local",
        "the fixed loopback `ports`, while the site is down",
        "",
        "one is in use",
        "end what uses them, or leave `ports` in site.toml out",
        stops="start",
    ),
    Check(
        "address.own",
        "the address at which the others reach this site",
        "it does not resolve here, is a loopback address while others are not, or has"
        " addresses of IPv6 only where `listen` is of IPv4, or the other way round",
        "it is no host:port",
        "correct the name in the DNS; or agree on another address: docs/how-to/joins-and-leaves.md",
        stops="start",
    ),
    Check(
        "peer.name",
        "whether each peer's name resolves",
        "it does not",
        "",
        "ask your DNS; until then write the name into /etc/hosts",
        stops="nothing",
    ),
    Check(
        "peer.reached",
        "the way out to each peer",
        "nothing answers, or what answers is no TLS: the peer is down, or a firewall is between",
        "",
        "ask the peer whether its site is up; open the way: docs/how-to/firewall.md",
        stops="nothing",
    ),
    Check(
        "peer.identity",
        "whether each peer has the agreed key",
        "",
        "it shows another one, or one that is out of date",
        "call the peer: it must join with the current files; if it has, something else answers at"
        " its address",
        stops="nothing",
    ),
    Check(
        "peer.accepts",
        "whether each peer takes this site for the agreed one",
        "",
        "it refuses this site's certificate",
        "compare the federation file's hash by telephone, and let both join with the newest one",
        stops="nothing",
    ),
    Check(
        "clock.peers",
        "this machine's clock by those of the peers that answer",
        "one is more than 60 s off: a peer's, or this one by most peers, at least two",
        "this one is more than 300 s off by most peers, at least two",
        "set the clock by NTP (timedatectl set-ntp true); Flower refuses beyond 300 s",
    ),
    Check(
        "network.round",
        "seconds that models of a round take, by the measured speed to the slowest peer",
        "more than a tenth of run.work-deadline",
        "more than run.work-deadline",
        "ask your network team for more bandwidth, or agree on a smaller network or a longer"
        " work-deadline",
        stops="nothing",
    ),
    # ---- data and network ----------------------------------------------------------------------
    Check(
        "data.path",
        "this site's own data",
        "",
        "it is named nowhere, does not exist, or cannot be read by this user",
        "correct `data` in site.toml; a relative path starts at the site's folder",
    ),
    Check(
        "data.read",
        "whether the data reads as training reads it",
        "",
        "it does not",
        "correct the images, or `data` in this site's site.toml; `srflm data check` names them",
    ),
    Check(
        "data.cases",
        "an indexed folder's cases, one by one",
        "a case is unusual, or cannot be used",
        "a finding that stops training",
        "`srflm data check` lists the findings",
    ),
    Check(
        "data.labels",
        "the classes of the training images",
        "no training image has a class",
        "",
        "look whether images of this class were lost; if the site has none, tell the others",
    ),
    Check(
        "model.network",
        "the agreed network on images of this size, and its initial weights",
        "",
        "it does not run on them, is not ready for the agreed privacy, or the weights' file is"
        " missing or another",
        "ask the consortium; docs/how-to/own-task.md has what fits",
    ),
    # ---- privacy -------------------------------------------------------------------------------
    Check(
        "privacy.policy",
        "this site's own [privacy] limits against the agreed plan",
        "they refuse one of the two roles",
        "they refuse both, so the site would never train",
        "change [privacy] in site.toml, or agree on another plan",
        stops="nothing",
    ),
    Check(
        "privacy.ledger",
        "the data owner's privacy ledger",
        "",
        "it is missing, damaged, an older copy, or cannot be read",
        "docs/how-to/privacy-budget.md#if-the-ledger-is-lost",
        stops="nothing",
    ),
    Check(
        "privacy.budget",
        "the budget that is left, against the planned rounds",
        "it ends before they do",
        "not even one round is left",
        "`srflm privacy show`; plan fewer rounds, or more noise (`srflm privacy plan`)",
        stops="nothing",
    ),
    # ---- the doctor ----------------------------------------------------------------------------
    Check(
        "doctor.check",
        "the checks themselves",
        "one broke off; the others went on",
        "",
        "look at the matter by hand, and report the fault of the doctor",
    ),
)
