"""``srflm site``: make a new site with its own keys, and let it join a consortium."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deploy.cli.parts.site_options import HERE, SiteFolder

if TYPE_CHECKING:
    from srflm_flower.federation.federation import Federation

LISTEN = "ip:port to listen on; left out, all addresses of this machine, port 8443"

app = typer.Typer(no_args_is_help=True, help="Make a site, and let it join a consortium.")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    vendor: Annotated[str | None, typer.Option(help="this vendor's name")] = None,
    address: Annotated[
        str | None, typer.Option(help="host:port at which the others reach this site")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help='folder or file of images; "" where they are made up')
    ] = None,
    listen: Annotated[str | None, typer.Option(help=LISTEN)] = None,
) -> None:
    """Make a site's keys, its site.toml, and the request to send to the consortium.

    Asks for what is left out. Called again it keeps keys and site.toml, and makes a new request.
    Example: srflm site init site --vendor aster --address aster.example.org:8443 --data images
    """
    from deploy.identity.words import in_lines
    from deploy.membership.request import check_name_and_address, init_site, read_request

    vendor = _asked(vendor, "--vendor", "Name of this vendor, as the others will see it")
    check_name_and_address(vendor, "localhost:8443")  # before the next question
    address = _asked(address, "--address", "host:port at which the others reach this site")
    check_name_and_address(vendor, address)
    data = _asked(data, "--data", "Folder or file of this vendor's images (empty: made up)", "")
    path = init_site(folder, vendor, address, listen, Path(data).expanduser() if data else None)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Private keys are in {folder / 'identity'} and stay there.")
    console.print(f"Settings are in {folder / 'site.toml'}, each with a comment.")
    console.print(f"Send the request {path} to the consortium: it has public parts only.")
    console.print("Then read its fingerprint, twelve words (132 bits), over the telephone:")
    console.print(in_lines(read_request(path).fingerprint))
    console.print(f"Next, with the file that comes back:  srflm site join {folder} answer.toml")


def _asked(given: str | None, option: str, question: str, default: str | None = None) -> str:
    """Return an option's value, or the answer of the person at the terminal."""
    from strategies.errors import ConfigurationError

    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"no {option}, and no terminal to ask at", question, f"give it: {option} …"
        )
    return str(typer.prompt(question, default=default, show_default=False)).strip()


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    vendor: Annotated[str, typer.Option(help="this vendor's name")],
    roster: Annotated[str, typer.Option(help="all members' names, with commas between")],
    address: Annotated[str, typer.Option(help="host:port at which the others reach this site")],
    listen: Annotated[str | None, typer.Option(help=LISTEN)] = None,
) -> None:
    """Make keys and a site.toml; name the file for the consortium, which has public parts only.

    Example: srflm site new site --vendor a --roster a,b --address a.example.org:8443
    """
    from deploy.edge.addresses import check_own_address
    from deploy.membership.joining import new_site

    check_own_address(address)
    names = [name.strip() for name in roster.split(",") if name.strip()]
    path = new_site(folder, vendor, names, listen, address)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Send {path} to the consortium. Private keys stay in {folder / 'identity'}.")
    console.print(f"Then:  srflm site join {folder} FOLDER-FROM-THE-CONSORTIUM")


@app.command()
def join(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    answer: Annotated[
        Path, typer.Argument(help="the consortium's answer.toml, or the folder that it sent back")
    ],
    signed: Annotated[
        list[Path] | None, typer.Argument(help="signatures.*.toml that members have sent")
    ] = None,
    heard: Annotated[
        str | None,
        typer.Option(help='"twelve words" as another member has read them to you: sign the file'),
    ] = None,
) -> None:
    """Install the certificate and the federation file that the consortium sent back.

    Called again it adds signatures and a renewed certificate. Example: srflm site join site
    answer.toml --heard "twelve words"
    """
    from deploy.membership.answer import is_answer
    from deploy.membership.confirming import take_over_files
    from deploy.membership.entering import join_by_answer
    from deploy.membership.joining import join as install
    from deploy.site.settings import load_site

    if is_answer(answer):
        federation = join_by_answer(folder, answer, signed or ())
    else:
        federation = install(folder, answer)
        take_over_files(load_site(folder).federation, federation, signed or ())
    _show_joined(folder, federation)
    if heard is not None:
        confirm(folder, heard)
    _show_next(folder, federation, answer)


def _show_joined(folder: Path, federation: Federation) -> None:
    from deploy.identity.words import in_lines, words_of
    from deploy.site.privacy_files import ledger_if_private
    from deploy.site.settings import load_site

    console = Console(highlight=False, soft_wrap=True)
    edition = f", edition {federation.edition}" if federation.edition > 1 else ""
    console.print(f"Member of {federation.name}{edition}. The federation file has the hash")
    console.print(f"  {federation.hash}")
    console.print("Compare this by telephone with the other members: it covers all their keys.")
    console.print("In twelve words (its first 132 bits):")
    console.print(in_lines(words_of(federation.hash)))
    settings = load_site(folder)
    ledger = ledger_if_private(settings, settings.load_federation())
    if ledger is not None:
        console.print(f"Uses of the data count in {ledger}, for all federations of its owner.")


def _show_next(folder: Path, federation: Federation, answer: Path) -> None:
    """Print what is still to be done before the site can come up."""
    from deploy.membership.confirming import confirmations_beside, may_come_up, unsigned
    from deploy.site.settings import load_site

    console = Console(highlight=False, soft_wrap=True)
    settings = load_site(folder)
    missing = unsigned(settings.federation, federation)
    if not missing:
        console.print(f"All members have signed it. Next:  srflm up {folder}")
    elif settings.vendor in missing:
        console.print(
            f"Not signed yet: {', '.join(missing)}. Next, with the words as you hear them:"
        )
        console.print(f'  srflm site confirm {folder} "TWELVE WORDS"')
    elif may_come_up(settings.vendor, settings.federation, federation):
        console.print(f"As many members as decide have signed it. Next:  srflm up {folder}")
        console.print("It takes part once a term that a quorum has approved it in is committed:")
        console.print("any member orders a run (`srflm run`) if none is under way.")
    else:
        own = confirmations_beside(settings.federation, federation.hash)
        console.print(
            f"Not signed yet: {', '.join(missing)}. Each sends you its file of signatures"
        )
        console.print(f"({own.name} in its site's folder), and you send yours ({own}). Next:")
        console.print(f"  srflm site join {folder} {answer} SIGNATURES …")


@app.command()
def confirm(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    heard: Annotated[
        str,
        typer.Argument(
            metavar="HASH",
            help="the twelve words, or the hash, that another member has read to you",
        ),
    ],
) -> None:
    """Sign the federation file, after its hash was compared with the other members by telephone.

    Example: srflm site confirm site 3f2a90c1…
    """
    from deploy.membership.confirming import confirm as sign
    from deploy.site.site_on_disk import site_on_disk

    path = sign(site_on_disk(folder.resolve()), heard)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Signed. Send {path} to the consortium, or to the members that come up.")


@app.command()
def leave(folder: SiteFolder = HERE) -> None:
    """Write this site's signed request to leave the federation; the site keeps running for now.

    Its programs end by themselves once an edition without it holds. Example: srflm site leave site
    """
    from deploy.membership.member_request import ask
    from deploy.site.privacy_files import ledger_if_private
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(folder.resolve())
    console = Console(highlight=False, soft_wrap=True)
    _show_request(ask(site, "leave"), console)
    ledger = ledger_if_private(site.settings, site.federation)
    console.print(
        "Next: the consortium admits and publishes it, and a quorum of all members, this one too,"
        " approves (`srflm roster approve`); this site runs until that edition holds, then its"
        " programs end, and ledger, models, and keys stay on its disk."
        + (f" Keep the privacy ledger {ledger} for ever: it counts wherever these data go next.")
        * (ledger is not None)
    )


@app.command()
def rotate_keys(folder: SiteFolder = HERE) -> None:
    """Make new keys, and a request for them that the old key signs; the old ones serve for now.

    The site switches by itself once the edition with the new keys holds. Not for keys that were
    stolen. Example: srflm site rotate-keys site
    """
    from deploy.identity.staged_keys import staged_keys
    from deploy.membership.rotating import ask_for_new_keys
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(folder.resolve())
    console = Console(highlight=False, soft_wrap=True)
    path = ask_for_new_keys(site)
    console.print(f"New private keys are in {staged_keys(site.settings.identity)} and stay there.")
    _show_request(path, console)
    console.print(
        "Next: the consortium admits and publishes it, and a quorum of all members, this one too,"
        " approves (`srflm roster approve`); this site works with its old keys until that edition"
        " holds, then it starts again with the new ones, by itself, and deletes the old ones."
    )


def _show_request(path: Path, console: Console) -> None:
    from deploy.identity.words import in_lines
    from deploy.membership.member_request import read_member_request

    console.print(f"Send {path} to the consortium: it has public parts only.")
    console.print("Then read its fingerprint, twelve words (132 bits), over the telephone:")
    console.print(in_lines(read_member_request(path).fingerprint))
