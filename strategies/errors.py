"""Every error that this project raises on purpose, as one tree.

::

    SrflmError                     what was found, what was expected, how to mend it
    ├── ConfigurationError         SRFLM-C…   a federation file or an option is wrong
    ├── DataError                  SRFLM-D…   a vendor's data cannot be used
    ├── TrainingDiverged           SRFLM-T1   the loss or a weight is not finite
    ├── UpdateRejected             SRFLM-U…   a vendor's reply is not a usable model update
    ├── MessageRefused             SRFLM-P…   a message does not fit this site's view of the term
    ├── BundleRefused              SRFLM-B1   an app bundle is not the one that all agreed on
    ├── PrivacyError               SRFLM-V…   privacy cannot be guaranteed, or is used up
    ├── LedgerError                SRFLM-L…   a ledger is damaged or belongs to another federation
    ├── FederationStopped          SRFLM-F…   the run cannot go on; all committed terms are kept
    ├── RunFolderError             SRFLM-R…   the run's folder is in use, missing, or not writable
    ├── DeploymentError            SRFLM-E…   a site cannot be brought up, down, or reached
    ├── PacsError                  SRFLM-W…   a site's own PACS does not answer as it should
    ├── PackageError               SRFLM-K…   a model package is not what its site has signed
    ├── SimulationError            SRFLM-S1   Flower's simulation did not start or broke off
    └── IdentityError              SRFLM-I…   a site's keys or certificates are missing or wrong

Only :attr:`SrflmError.code` ever leaves a site; the texts stay in the site's own log.  The string
below each code says what the code means, then how to resolve it; docs/generate.py makes
docs/reference/error-codes.md from these strings.
"""

from __future__ import annotations

from typing import Final

from strategies.coded_error import SrflmError as SrflmError  # the root of the tree


class ConfigurationError(SrflmError):
    """A federation file or an option is wrong; ``found`` may list several problems."""

    codes = ("SRFLM-C1",)
    """A federation file, a site file or an option is wrong.  Change the lines that the message
    names."""


class DataError(SrflmError):
    """A vendor's data cannot be used."""

    MISSING: Final = "SRFLM-D1"
    """The file or folder with the data does not exist.  Correct the path: `data` in site.toml at a
    site, else `path` in federation.toml."""
    UNREADABLE: Final = "SRFLM-D2"
    """A data file is damaged or is not of a known form.  Copy it again, or write it in the form
    that the message names."""
    LABELS_OUTSIDE_CLASSES: Final = "SRFLM-D3"
    """A label lies outside the classes of the task.  Correct the labels, or list every class in
    task.classes."""
    NO_EXAMPLES: Final = "SRFLM-D4"
    """A vendor has no examples in one of its splits.  Give it more data, or take it out of the
    roster."""
    ONE_CLASS: Final = "SRFLM-D5"
    """A vendor has training examples of one class only.  Give it more data, or set
    splits.allow-one-class."""
    BATCH_TOO_LARGE: Final = "SRFLM-D6"
    """A batch is larger than the vendor's training data.  Lower training.batch-size."""
    SHAPE: Final = "SRFLM-D7"
    """Images have a shape that the task does not expect, or a patient is in two splits.  Convert or
    divide the images, or set task.channels and task.spatial-dims."""
    WINDOW: Final = "SRFLM-D8"
    """A CT image has no agreed window, or an image without a unit has one.  Agree on
    data.prepare.window, or take out the images that the message names."""
    GEOMETRY: Final = "SRFLM-D9"
    """A mask or a target does not lie where its image lies, or an image has no geometry to prepare.
    Write the target again from its image, or change data.prepare."""


class TrainingDiverged(SrflmError):
    """The loss or a weight became infinite or NaN; the update is not sent."""

    codes = ("SRFLM-T1",)
    """The loss or a weight became infinite or NaN, so the update is not sent.  Lower
    training.learning-rate, or look for damaged images."""


class UpdateRejected(SrflmError):
    """A reply is not a usable model update: wrong names, shapes, or values that are not finite.

    In secure aggregation the site itself refuses an update out of range: the server cannot see it.
    """

    UNUSABLE: Final = "SRFLM-U1"
    """A reply holds no usable update: names, shapes or values are wrong.  Install the same version
    at every site."""
    OUT_OF_RANGE: Final = "SRFLM-U2"
    """A weight changed by more than secure aggregation can carry.  Raise aggregation.secure-range,
    or lower the learning rate."""


class MessageRefused(SrflmError):
    """A message does not fit this site's own view of federation, term, attempt, or server."""

    FEDERATION: Final = "SRFLM-P1"
    """The message is of another federation file than this site's.  Give every site the same file;
    `srflm status` shows each site's identity."""
    TERM: Final = "SRFLM-P2"
    """The message is of another term than the site's next one.  Nothing needs to be done: the
    server asks how far the site is and sends what it lacks."""
    ATTEMPT: Final = "SRFLM-P3"
    """The site has promised to obey a higher attempt, or the attempt is much too high for one step.
    Nothing needs to be done: the owner of the higher attempt serves."""
    SERVER: Final = "SRFLM-P4"
    """The message names a server to whom the attempt does not belong.  Nothing needs to be done if
    it passes with the next term; else compare the sites' federation files."""
    PARENT: Final = "SRFLM-P5"
    """The term is opened on top of another record or model than the site's last.  Compare the
    ledgers with `srflm verify`; all must start from the same seed."""
    MALFORMED: Final = "SRFLM-P6"
    """The message cannot be read.  Install the same version at every site."""
    MODEL: Final = "SRFLM-P7"
    """A model that came with the message is damaged or has another hash.  Look for a fault between
    the sites; the server sends it again in the next attempt."""
    NOT_SHARED: Final = "SRFLM-P8"
    """The site does not share its personalised model.  Nothing needs to be done; to share it, set
    policy.shares-personalised in its site.toml."""
    SIGNATURE: Final = "SRFLM-P9"
    """A signature is missing or wrong.  Give every site the same federation file; if they have it,
    find out who sent the message."""
    NO_VOTE: Final = "SRFLM-P10"
    """The site may have forgotten a promise, or was asked to accept a second record under one
    attempt, and does not vote.  Nothing needs to be done in the first case: it votes again once the
    open term is over."""
    NO_ORDER: Final = "SRFLM-P11"
    """No run order that the site follows asks for this term.  Order a run with `srflm run`, or let
    the site follow the vendor (policy.runs-from)."""
    INCONSISTENT: Final = "SRFLM-P12"
    """A server's question in secure aggregation contradicts an earlier one.  Look into the server
    that sent it."""
    SECOND_SUM: Final = "SRFLM-P13"
    """The server asked for the sum of a second set of clients.  Nothing needs to be done: the next
    vendor in the ranking serves."""
    PLAN: Final = "SRFLM-P14"
    """A server asked for work that the agreed plan does not have.  Compare the sites' federation
    files; if they are equal, look into the server that sent it."""
    RECORD: Final = "SRFLM-P15"
    """A proposed term record says something else than this site computes from its own ledger, or
    than it has answered.  Nothing was signed.  Look into the server that proposed it."""
    NAMES: Final = "SRFLM-P16"
    """The server asked to evaluate models under names that the protocol does not use.  Look into
    the server that sent it."""
    SUPERSEDED: Final = "SRFLM-P17"
    """Two sites have one vendor's identity, or a site was restored from a copy; the one that was
    started last counts.  Switch the other one off for good.  If it is gone, and the restored one is
    to take its place: `srflm up --restored`; after `srflm restore` that is implied."""
    RECOVERED: Final = "SRFLM-P18"
    """The others have gone on without this vendor, by `srflm roster recover`, or a recovery of the
    federation is not signed by all that it names.  To come back, join by a new edition."""
    LIAR: Final = "SRFLM-P19"
    """The vendor has signed two votes that contradict each other, so its servers are not obeyed
    until the roster changes.  Nothing needs to be done for the terms: the others serve.  At that
    vendor, look for a second or a restored copy of its site."""
    HARMFUL: Final = "SRFLM-P20"
    """The proposed model is worse on this site's validation data than aggregation.guard allows.
    Nothing needs to be done: the next vendor serves.  If all fail, see docs/how-to/guard.md."""


class BundleRefused(SrflmError):
    """A run or an app bundle is not the agreed one; raised before anything of it was parsed."""

    codes = ("SRFLM-B1",)
    """A peer's SuperLink runs another app bundle than the agreed one.  Install the agreed version
    at that site."""


class PrivacyError(SrflmError):
    """Privacy cannot be guaranteed or accounted for, or is used up; nothing is trained then."""

    SETTINGS: Final = "SRFLM-V1"
    """Privacy settings contradict each other or the data.  Change the setting that the message
    names."""
    LEDGER_MISSING: Final = "SRFLM-V2"
    """The privacy ledger is missing although it was spent from, or is not its owner's yet.  Do what
    the message says; put a ledger back if it was only moved, never an older copy; otherwise give
    the data up with `srflm privacy retire`."""
    LEDGER_DAMAGED: Final = "SRFLM-V3"
    """The privacy ledger or its anchor is damaged.  Give the data up with `srflm privacy
    retire`; never put back an older copy."""
    LEDGER_ROLLED_BACK: Final = "SRFLM-V4"
    """The privacy ledger is older than its anchor or the term records say.  Put the newest
    file back if it was only moved; otherwise give the data up with `srflm privacy retire`."""
    LEDGER_VERSION: Final = "SRFLM-V5"
    """The privacy ledger is of another version of the program.  Use the version that wrote it."""
    BUDGET_SPENT: Final = "SRFLM-V6"
    """The privacy budget does not suffice for this use.  Nothing needs to be done: the federation
    goes on with the others, and the site still evaluates."""
    POLICY: Final = "SRFLM-V7"
    """The site's own privacy policy does not allow this use.  Plan the federation accordingly, or
    change [privacy] in site.toml."""
    NETWORK: Final = "SRFLM-V8"
    """The network is not fit for private training.  Take another network; the message names the
    layer."""
    LOSS: Final = "SRFLM-V9"
    """The loss lets records of a batch depend on each other.  Use a loss that is computed for each
    record by itself."""
    GRADIENTS: Final = "SRFLM-V10"
    """Per-record gradients computed in this way are wrong or not available.  Set privacy.gradients
    = "auto"."""
    MECHANISM: Final = "SRFLM-V11"
    """A mechanism has no noise, no steps, or a sample rate out of range; or an audit had nothing to
    audit.  Correct [privacy], or the codes that the message names."""
    UNDECLARED: Final = "SRFLM-V12"
    """An answer held something that is not declared, and was not sent.  Report it: it is a fault of
    the program."""
    WITHOUT_NOISE: Final = "SRFLM-V13"
    """A model that no ε covers was to be handed on.  Hand on the released one."""


class LedgerError(SrflmError):
    """A ledger is damaged, of an unknown version, or of another federation."""

    codes = ("SRFLM-L1",)
    """A ledger or a model that it names is damaged, of another version or federation, or
    contradicts another.  Do as the message says.  Never put back an old copy of a site's state;
    keep contradicting ledgers as they are."""


class FederationStopped(SrflmError):
    """The federation cannot go on; every committed term is kept and the run can be resumed."""

    NO_QUORUM: Final = "SRFLM-F1"
    """Less than a quorum of the vendors answered, voted, or followed the order.  Bring more
    sites up; the message lists the codes of the others."""
    NO_SERVER: Final = "SRFLM-F2"
    """Every vendor failed as server of the term.  Mend the cause that the sites' own logs name, and
    resume."""
    WRONG_SIZE: Final = "SRFLM-F3"
    """There are fewer SuperNodes than vendors.  Add `num-supernodes`, or use `srflm simulate`."""
    TOO_FEW_CLIENTS: Final = "SRFLM-F4"
    """Fewer usable updates arrived than aggregation.min-clients or secure aggregation needs.  Mend
    the cause that the sites' own logs name, and resume."""
    NOT_HANDED_ON: Final = "SRFLM-F5"
    """A site that holds a model or committed terms did not hand them on to one that lacks them.
    Bring more sites up; the next server tries again, and nothing committed is lost."""
    OUTNUMBERED: Final = "SRFLM-F6"
    """Other vendors have given orders with higher numbers meanwhile.  Look at `srflm status`, agree
    on who orders, then order again."""


class RunFolderError(SrflmError):
    """The run's folder is in use by another run, missing, or cannot be written."""

    BUSY: Final = "SRFLM-R1"
    """The folder holds a run already, or another process writes to it.  Wait, resume the run, or
    choose another folder."""
    NOT_WRITABLE: Final = "SRFLM-R2"
    """A file cannot be written.  Free space or correct the permissions, then go on."""
    NOT_A_RUN: Final = "SRFLM-R3"
    """The folder or file is not what the command expects.  Correct the path."""


class DeploymentError(SrflmError):
    """A site cannot be brought up, down, or reached."""

    UP: Final = "SRFLM-E1"
    """The site is up already.  Use it, or bring it down with `srflm down`."""
    NOT_UP: Final = "SRFLM-E2"
    """The site is not up, or did not start.  Run `srflm up`, or read logs/supervisor.log."""
    NOT_DOWN: Final = "SRFLM-E3"
    """The site does not stop.  Read logs/supervisor.log, or kill the process that the message
    names."""
    NO_OUTCOME: Final = "SRFLM-E4"
    """The site's own SuperLink has not carried out the order.  Read logs/superlink.log and
    logs/worker.log."""
    LEFT: Final = "SRFLM-E5"
    """The vendor is no longer a member.  Nothing needs to be done: ledger and models stay; join
    again by a new edition."""
    NOT_LOST: Final = "SRFLM-E6"
    """A quorum of the roster can vote, so nothing is to be recovered.  Let members join and leave
    with `srflm roster approve`."""
    ARCHIVE: Final = "SRFLM-E7"
    """The file is not a whole archive of `srflm backup` that this version reads.  Give another
    copy of it; or use the version of srflm-flower that wrote it."""
    NOT_EMPTY: Final = "SRFLM-E8"
    """The folder has a ledger, or another site's keys, and `srflm restore` replaces neither.  Use
    the site that is there; or name another folder."""


class PacsError(SrflmError):
    """A site's own PACS cannot be reached, refuses, or does not answer as DICOMweb does."""

    UNREACHABLE: Final = "SRFLM-W1"
    """The PACS does not answer, or says that it cannot now.  Correct `address` in [pacs] of
    site.toml, or try again later: what has been fetched stays."""
    CERTIFICATE: Final = "SRFLM-W2"
    """The certificate of the PACS is not trusted.  Name the file of the hospital's own authority as
    `ca` in [pacs] of site.toml; TLS cannot be left unverified."""
    CREDENTIALS: Final = "SRFLM-W3"
    """The PACS does not accept the site's credentials.  Correct the file that `credentials` in
    [pacs] of site.toml names."""
    REFUSED: Final = "SRFLM-W4"
    """The PACS refuses what was asked for.  Ask its operators for the right to read, or to store
    results."""
    ANSWER: Final = "SRFLM-W5"
    """An answer of the PACS is not DICOMweb, is broken, or is too large.  Correct `address` in
    [pacs] of site.toml; if it is right, ask the PACS's operators."""
    NOTHING: Final = "SRFLM-W6"
    """No series at the PACS fits the query, or too many do.  Change the query file."""
    NOT_STORED: Final = "SRFLM-W7"
    """The PACS did not take a result.  Ask its operators, with the number that the message has."""


class PackageError(SrflmError):
    """A model package is not what its site has signed; ``found`` names all that does not fit."""

    NO_PACKAGE: Final = "SRFLM-K1"
    """The file or folder is no model package.  Name one that `srflm export` has made."""
    CHANGED: Final = "SRFLM-K2"
    """Files of the package are missing, changed, or not listed.  Get it again from its site."""
    NOT_SIGNED: Final = "SRFLM-K3"
    """The package is not signed by its vendor, or is of another federation.  Ask its site."""
    CONTRADICTS: Final = "SRFLM-K4"
    """The package's card or model is not what its ledger says.  Ask the site that has signed it."""


class SimulationError(SrflmError):
    """Flower's simulation did not start, or broke off without a summary of the run."""

    codes = ("SRFLM-S1",)
    """Flower's simulation did not start or broke off.  Read flower.log in the run's folder, and
    resume."""


class IdentityError(SrflmError):
    """A site's keys or certificates are missing, wrong, or out of date."""

    MISSING: Final = "SRFLM-I1"
    """A key or certificate is missing.  Put that one file back from the archive of `srflm backup`,
    or make the identity and join again."""
    CERTIFICATE: Final = "SRFLM-I2"
    """A certificate is expired, is not for this site, or comes from another authority.  Have the
    consortium sign the request again, and run `srflm site join`."""
    KEY: Final = "SRFLM-I3"
    """A key does not fit its certificate or public part, or would be overwritten.  Put
    that one file back as the message says."""


INTERNAL_ERROR: Final = "SRFLM-X1"
"""The site met an exception that is not in this tree.  Read its state/site.log, which stays."""

NO_REPLY: Final = "SRFLM-X2"
"""The vendor did not answer within the deadline.  See whether its site is up and reachable; raise
run.work-deadline if it is only slow."""

CODE: Final = r"SRFLM-[A-Z]?[0-9]{1,3}"
"""The form of every code.  Sites show a vendor's code to their operators, so it can be no text."""
