"""``srflm federation``: the consortium's side of a federation, from its first file on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from deploy.membership.admitting import MemberCandidate
    from deploy.membership.federation_folder import Candidate
    from deploy.membership.publishing import Publication

app = typer.Typer(
    no_args_is_help=True, help="Begin a federation, admit members, and publish its editions."
)
Folder = Annotated[Path, typer.Argument(help="the consortium's folder for this federation")]


@app.command()
def create(
    folder: Folder,
    name: Annotated[str, typer.Option(help="the federation's name")],
    classes: Annotated[
        str, typer.Option(help="names of the classes in the order of their labels, commas between")
    ] = "",
    task: Annotated[
        str, typer.Option(help="classification, segmentation, or restoration")
    ] = "classification",
    channels: Annotated[int, typer.Option(help="1 is grey, 3 is colour", min=1)] = 1,
    dimensions: Annotated[int, typer.Option(help="2 for slices, 3 for volumes")] = 2,
    image_size: Annotated[
        int | None, typer.Option(help="side in pixels to which images are resized")
    ] = None,
    phantom: Annotated[
        bool, typer.Option("--phantom", help="made-up images instead of the sites' own, to try it")
    ] = False,
    rounds: Annotated[int, typer.Option(help="rounds of a run, by default", min=1)] = 20,
) -> None:
    """Make the consortium's folder: a commented federation.toml without paths, and a CA.

    Example: srflm federation create nodules --name nodules --classes benign,malignant
    """
    from deploy.membership.new_federation import federation_toml
    from deploy.membership.publishing import create as make

    named = [each.strip() for each in classes.split(",") if each.strip()]
    what = {"kind": task, "channels": channels, "spatial_dims": dimensions}
    what |= {"classes": named} if named else {}
    data: dict[str, object] = {"source": "phantom" if phantom else "files"}
    if image_size is not None:
        data["image_size"] = image_size
    made = make(folder, federation_toml(name, what, data, rounds), name)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Agree with the members on {made.agreed}: every setting is explained there.")
    console.print(
        f"Keep {folder / 'consortium-ca.key'} secret: it signs the members' certificates."
    )
    console.print("Every member runs `srflm site init` and sends its request. Then:")
    console.print(f"  srflm federation admit {folder} REQUEST …")


@app.command()
def admit(
    folder: Folder,
    requests: Annotated[
        list[Path],
        typer.Argument(
            help="what sites have sent: VENDOR.request.toml, .leave.toml, or .new-keys.toml"
        ),
    ],
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(help='"twelve words" as a vendor has read them out; one for each request'),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="the fingerprints were compared: ask nothing")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="a known vendor has made new keys")
    ] = False,
) -> None:
    """Admit new sites, or members that leave or have new keys, once their words were compared.

    The words are those that the site's operator reads out over the telephone. Nothing changes
    before `srflm federation publish`. Example: srflm federation admit nodules aster.request.toml
    """
    from deploy.cli.parts.admitting import confirmed, show_candidate, show_preview
    from deploy.membership.admitting import all_candidates, keep_member_request
    from deploy.membership.federation_folder import FederationFolder, require_heard
    from deploy.membership.federation_folder import admit as keep

    place, console = FederationFolder(folder), Console(highlight=False, soft_wrap=True)
    new, members = all_candidates(place, requests)
    waiting: list[Candidate | MemberCandidate] = [*new, *members]
    for candidate in waiting:
        show_candidate(candidate, console)
    if members:  # before anybody is asked: the edition that would follow may not be valid
        show_preview(place, new, members, console)
    if fingerprint:
        require_heard([each.request for each in waiting], fingerprint)
    elif not yes:
        new = [each for each in new if confirmed(each)]
        members = [each for each in members if confirmed(each)]
    for each in new:
        keep(place, each, replace)
        console.print(f"Admitted: {each.request.vendor}")
    for one in members:
        keep_member_request(place, one.request)
        console.print(f"Admitted: {one.request.vendor} ({one.what})")
    if not new and not members:
        console.print("Nobody was admitted.")
        raise typer.Exit(1)
    console.print(f"When all are admitted:  srflm federation publish {folder}")


@app.command()
def publish(
    folder: Folder,
    leaves: Annotated[str, typer.Option(help="members that leave, commas between")] = "",
    instead: Annotated[
        bool,
        typer.Option("--instead", help="in place of the last edition, which is not approved"),
    ] = False,
    accept: Annotated[
        str,
        typer.Option(
            help="bundle of newer code with which sites may run, too, as `srflm --version` prints"
            " it; or: installed",
            metavar="HASH",
        ),
    ] = "",
    require: Annotated[
        str,
        typer.Option(help="accepted bundle with which alone sites may run", metavar="HASH"),
    ] = "",
) -> None:
    """Make the next edition, renew certificates that end soon, and write one answer for all.

    What has not changed is not issued again. With --accept the members upgrade one by one, and
    with --require that ends. Example: srflm federation publish nodules
    """
    from deploy.cli.parts.admitting import code_change
    from deploy.membership.federation_folder import FederationFolder
    from deploy.membership.publishing import publish as make

    names = [name.strip() for name in leaves.split(",") if name.strip()]
    place, console = FederationFolder(folder), Console(highlight=False, soft_wrap=True)
    if instead:
        console.print(f"Edition {place.withdraw()} is withdrawn.")
    show_publication(make(place, names, code=code_change(accept, require)), console)


@app.command()
def collect(
    folder: Folder,
    files: Annotated[list[Path], typer.Argument(help="what members have sent: signatures.*.toml")],
) -> None:
    """Put members' signatures into the last answer, and say who is missing.

    Example: srflm federation collect nodules signatures/*.toml
    """
    from deploy.membership.federation_folder import FederationFolder
    from deploy.membership.publishing import collect as put

    place = FederationFolder(folder)
    missing = put(place, files)
    console = Console(highlight=False, soft_wrap=True)
    if missing:
        console.print(f"Not signed yet: {', '.join(missing)}.")
    else:
        console.print("All members have signed.")
    answer = place.answer(len(place.editions()))
    console.print(f"Send {answer} again; new members run `srflm site join` once more.")


def show_publication(made: Publication, console: Console) -> None:
    """Print what was published, what has changed, and what comes next."""
    from deploy.cli.parts.admitting import show_changes
    from deploy.identity.words import in_lines, words_of

    federation, changes = made.federation, made.changes
    console.print(f"Federation {federation.name}, edition {federation.edition}")
    if made.new:
        show_changes(changes, console, "  ")
        if _unchanged(made):
            console.print(f"  As before: {', '.join(_unchanged(made))}")
    else:
        console.print("  Roster and code are the same as before: no new edition.")
    renewed = "  Certificates issued: " if made.issued else "  No certificate was issued."
    console.print(renewed + ", ".join(made.issued))
    if not made.changed:
        console.print(f"Nothing has changed: {made.answer} is as it was.")
        return
    console.print("Members compare these twelve words of the federation file by telephone:")
    console.print(in_lines(words_of(federation.hash)))
    console.print(f"Send {made.answer} to every member: it has public parts only.")
    beside = [path.name for path in made.answer.parent.glob("*.safetensors")]
    if beside:
        console.print(f"Send {', '.join(sorted(beside))} with it, which lie beside it.")
    if not made.new:
        console.print(f"At {', '.join(made.issued)}:  srflm site join SITE {made.answer.name}")
        return
    if changes.joins:
        console.print(f"  At {', '.join(changes.joins)}:  srflm site join SITE {made.answer.name}")
    if federation.edition > 1:
        old = ", ".join((*_unchanged(made), *changes.changed, *changes.leaves))
        console.print(f"  At {old}:  srflm roster approve SITE {made.answer.name}")


def _unchanged(made: Publication) -> tuple[str, ...]:
    other = {*made.changes.joins, *made.changes.changed}
    return tuple(vendor for vendor in made.federation.roster if vendor not in other)
