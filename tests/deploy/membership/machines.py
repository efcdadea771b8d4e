"""A consortium and its members, each with a folder as on a machine of its own, by commands only."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from deploy.membership.confirming import confirmations_beside
from deploy.membership.federation_folder import FederationFolder
from deploy.membership.member_request import read_member_request
from deploy.membership.request import read_request
from deploy.site.site_on_disk import SiteOnDisk, site_on_disk
from strategies.errors import SrflmError


class Consortium:
    """Machines are folders; what travels between them is copied as an e-mail would."""

    def __init__(self, folder: Path, first_port: int = 9443) -> None:
        self.folder, self.first_port = folder, first_port
        self.office = FederationFolder(folder / "consortium" / "nodules")
        self.commands: list[str] = []

    def srflm(self, *words: str | Path) -> Result:
        """Run a command; raises the error that it ends with."""
        self.commands.append(" ".join(map(str, words)))
        result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code:
            raise AssertionError(result.output)
        return result

    def refused(self, *words: str | Path) -> SrflmError:
        """Return the error with which a command ends."""
        try:
            self.srflm(*words)
        except SrflmError as error:
            return error
        raise AssertionError(f"not refused: {self.commands[-1]}")

    def address(self, vendor: str) -> str:
        """Return the address of a vendor, by its first letter."""
        return f"127.0.0.1:{self.first_port + 'abcdefgh'.index(vendor[0])}"

    def site_folder(self, vendor: str) -> Path:
        """Return the folder of a vendor's site on its machine."""
        return self.folder / vendor / "site"

    def site(self, vendor: str) -> SiteOnDisk:
        """Return a vendor's site as its files are now."""
        return site_on_disk(self.site_folder(vendor))

    def create(self, *options: str) -> None:
        """Make the consortium's folder, for made-up images."""
        named = ("--name", "nodules", "--phantom", *options)
        self.srflm("federation", "create", self.office.root, *named)

    def init(self, vendor: str) -> str:
        """Make a site; its request reaches the consortium. Return the fingerprint."""
        site, address = self.site_folder(vendor), self.address(vendor)
        options = ("--vendor", vendor, "--address", address, "--listen", address, "--data", "")
        printed = self.srflm("site", "init", site, *options).output
        request = site / f"{vendor}.request.toml"
        shutil.copy(request, self.inbox(vendor))
        words = read_request(request).fingerprint
        assert words in re.sub(r"\s+", " ", printed)
        return words

    def inbox(self, vendor: str) -> Path:
        """Return where the consortium has got a vendor's request."""
        path = self.folder / "consortium" / "inbox" / f"{vendor}.request.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def admit(self, *vendors: str) -> None:
        """Admit vendors whose words the consortium has heard."""
        files = [self.inbox(vendor) for vendor in vendors]
        heard = [("--fingerprint", read_request(file).fingerprint) for file in files]
        options = [word for pair in heard for word in pair]
        self.srflm("federation", "admit", self.office.root, *files, *options)

    def ask(self, vendor: str, command: str) -> Path:
        """Let a member ask to leave or for new keys; return the consortium's copy of the file."""
        told = self.srflm("site", command, self.site_folder(vendor)).output
        ending = ".leave.toml" if command == "leave" else ".new-keys.toml"
        file = self.site_folder(vendor) / f"{vendor}{ending}"
        assert f"Send {file} to the consortium" in told
        words = read_member_request(file).fingerprint
        assert words in re.sub(r"\s+", " ", told)
        return Path(shutil.copy(file, self.inbox(vendor).with_name(file.name)))

    def admit_member(self, file: Path) -> str:
        """Admit a member's request whose words the consortium has heard; return what is printed."""
        heard = ("--fingerprint", read_member_request(file).fingerprint)
        return self.srflm("federation", "admit", self.office.root, file, *heard).output

    def publish(self, *options: str) -> str:
        """Publish; return what was printed."""
        return self.srflm("federation", "publish", self.office.root, *options).output

    def answer(self, vendor: str) -> Path:
        """Return the copy of the last answer that a vendor has got."""
        sent = self.office.answer(len(self.office.editions()))
        return Path(shutil.copy(sent, self.folder / vendor / "answer.toml"))

    def signatures(self, vendor: str) -> Path:
        """Return a member's file of signatures under the last edition."""
        hash_ = self.office.editions()[-1].hash
        return confirmations_beside(self.site(vendor).settings.federation, hash_)

    def begin(self, *vendors: str) -> None:
        """Let all of these become the first members, and sign."""
        if not self.office.agreed.exists():
            self.create()
        for vendor in vendors:
            self.init(vendor)
        self.admit(*vendors)
        self.publish()
        words = self.office.editions()[-1].hash
        for vendor in vendors:
            self.srflm(
                *("site", "join", self.site_folder(vendor), self.answer(vendor), "--heard", words)
            )
        signed = [self.signatures(vendor) for vendor in vendors]
        for vendor in vendors:
            folder, answer = self.site_folder(vendor), self.answer(vendor)
            self.srflm("site", "join", folder, answer, *signed)
