"""The lines about what is at the site: files, keys, certificates, programs, the machine."""

from __future__ import annotations

from typing import Final

from deploy.doctor.codes.check import Check

AT_HOME: Final = (
    # ---- the site's files ----------------------------------------------------------------------
    Check(
        "site.file",
        "site.toml",
        "",
        "it is missing, is no TOML, has a setting that is unknown or wrong, or does not fit the"
        " federation file",
        "correct the lines that are named; docs/reference/site-toml.md has every setting",
        stops="start",
    ),
    Check(
        "site.federation",
        "the agreed federation file, as this site sees it",
        "",
        "it is missing or invalid, or it is not for a deployment",
        "copy federation.toml from the consortium or any member; see `federation` in site.toml",
        stops="start",
    ),
    Check(
        "site.signatures",
        "the members' signatures under the federation file",
        "",
        "a new site's file is not signed by those who must, or a signature is false",
        "`srflm site confirm`, then `srflm site join` with what the consortium sends back",
        stops="start",
    ),
    Check(
        "site.ledger",
        "this site's ledger",
        "",
        "it is damaged, or of another federation",
        "put the folder `state` of this federation back; docs/how-to/site.md#backups",
        stops="start",
    ),
    Check(
        "site.owner",
        "who owns the site's files, and who runs this command",
        "root runs it on files of another user",
        "another user owns them",
        "run srflm as the user who owns the site's folder, or `chown -R` the folder",
    ),
    Check(
        "site.permissions",
        "rights of other users on keys and folders",
        "others can read a folder of the site; `srflm up` closes it",
        "others can read a private key",
        "chmod 600 the key, chmod 700 the folder; if others use this machine, make new keys",
    ),
    Check(
        "site.folders",
        "the folders state, run and logs",
        "",
        "one cannot be written",
        "correct the folder's owner and rights, or name another one in site.toml",
    ),
    Check(
        "site.running",
        "whether the site is up",
        "a program of it does not run",
        "",
        "`srflm status`; logs/supervisor.log says why a program ends",
    ),
    Check(
        "site.leftovers",
        "what an earlier start or a broken restore has left",
        "programs without a supervisor, a file run/up.json of a site that is down, or folders"
        " .restore-…, which hold private keys",
        "",
        "`srflm up` ends the programs; delete the folders .restore-…",
    ),
    # ---- keys and certificates -----------------------------------------------------------------
    Check(
        "keys.complete",
        "the private keys that the site needs",
        "",
        "one is missing, damaged, or does not fit its public part",
        "put that one file back (`srflm restore`), or make keys and join again",
        stops="start",
    ),
    Check(
        "keys.agreed",
        "whether the federation file has this site's keys",
        "",
        "it has other ones",
        "ask the consortium by telephone who changed them",
        stops="start",
    ),
    Check(
        "certificate.fits",
        "each certificate: its key, its issuer, whose it is",
        "",
        "it is for another key or vendor, or another authority has signed it",
        "have the consortium sign membership.toml again, and run `srflm site join`",
        stops="start",
    ),
    Check(
        "certificate.dates",
        "whether each certificate is valid now",
        "",
        "it has expired, or is not valid yet",
        "renew it (docs/how-to/site.md#certificates); if it is not valid yet, set the clock right",
        stops="start",
    ),
    Check(
        "certificate.expires",
        "days until each certificate expires",
        "60 days or less",
        "14 days or less",
        "renew it now: docs/how-to/site.md#certificates",
        stops="nothing",
    ),
    Check(
        "certificate.names",
        "whether site.crt names the host of the agreed address",
        "it names other ones",
        "",
        "send membership.toml with the right address to the consortium, and join again",
    ),
    # ---- programs and versions -----------------------------------------------------------------
    Check(
        "version.bundle",
        "the installed code, by the hash that all members have agreed on",
        "",
        "it is another",
        "install the version of srflm-flower that the others use, unchanged",
        stops="start",
    ),
    Check(
        "version.packages",
        "Python and the installed packages, by what srflm-flower asks for",
        "",
        "a version does not fit",
        "pip install -c constraints.txt . with the project's own constraints.txt",
    ),
    Check(
        "version.nginx",
        "nginx",
        "",
        "it is missing, older than 1.20, or has no TLS",
        "sudo apt-get install nginx-light",
        stops="start",
    ),
    # ---- the machine ---------------------------------------------------------------------------
    Check(
        "disk.space",
        "free space for models, ledger and logs",
        "less than three times of what a run writes",
        "less than what a run writes",
        "free space, or move `state` and `logs` in site.toml to another disk",
    ),
    Check(
        "memory.free",
        "memory for the programs and a training step of the agreed network",
        "less is free than is probably needed",
        "the machine has less than is needed at the least",
        "end other programs, give the machine more memory, or agree on a smaller batch or patch",
    ),
    Check(
        "gpu.present",
        "the device that site.toml names",
        "",
        "this machine does not have it",
        'install its driver and a fitting PyTorch, or set device = "auto" in site.toml',
    ),
    Check(
        "gpu.memory",
        "GPU memory for a training step of the agreed network",
        "less is free than is probably needed",
        "the GPU has less than is needed at the least",
        'end what uses the GPU, set device = "cpu" in site.toml, or agree on a smaller batch or'
        " patch",
    ),
    Check(
        "cpu.threads",
        "`threads` in site.toml",
        "more than the machine has cores",
        "",
        "lower `threads` in site.toml, or leave it out",
    ),
)
