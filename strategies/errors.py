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
    ├── SimulationError            SRFLM-S1   Flower's simulation did not start or broke off
    └── IdentityError              SRFLM-I…   a site's keys or certificates are missing or wrong

Only :attr:`SrflmError.code` ever leaves a site; the texts stay in the site's own log.
"""

from __future__ import annotations

from typing import Final


class SrflmError(Exception):
    """An error with a code, and one line each on what was found, expected, and how to mend it.

    A kind's ``codes`` are its constants, in their order; the first is the one it has if none is
    named.
    """

    default_code: Final = "SRFLM-0"
    codes: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        named = (value for name, value in vars(cls).items() if name.isupper())
        cls.codes = tuple(named) or cls.codes

    def __init__(self, found: str, expected: str, mend: str, code: str | None = None) -> None:
        self.found, self.expected, self.mend = found, expected, mend
        self.code = code or (self.codes[0] if self.codes else self.default_code)
        super().__init__(f"[{self.code}] found: {found}; expected: {expected}; to mend it: {mend}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.found, self.expected, self.mend, self.code)


class ConfigurationError(SrflmError):
    """A federation file or an option is wrong; ``found`` may list several problems."""

    codes = ("SRFLM-C1",)


class DataError(SrflmError):
    """A vendor's data cannot be used."""

    MISSING: Final = "SRFLM-D1"
    UNREADABLE: Final = "SRFLM-D2"
    LABELS_OUTSIDE_CLASSES: Final = "SRFLM-D3"
    NO_EXAMPLES: Final = "SRFLM-D4"
    ONE_CLASS: Final = "SRFLM-D5"
    BATCH_TOO_LARGE: Final = "SRFLM-D6"
    SHAPE: Final = "SRFLM-D7"


class TrainingDiverged(SrflmError):
    """The loss or a weight became infinite or NaN; the update is not sent."""

    codes = ("SRFLM-T1",)


class UpdateRejected(SrflmError):
    """A reply is not a usable model update: wrong names, shapes, or values that are not finite.

    In secure aggregation a site refuses itself what is out of range: the server cannot see it.
    """

    UNUSABLE: Final = "SRFLM-U1"
    OUT_OF_RANGE: Final = "SRFLM-U2"


class MessageRefused(SrflmError):
    """A message does not fit this site's own view of federation, term, attempt, or server."""

    FEDERATION: Final = "SRFLM-P1"
    TERM: Final = "SRFLM-P2"
    ATTEMPT: Final = "SRFLM-P3"
    SERVER: Final = "SRFLM-P4"
    PARENT: Final = "SRFLM-P5"
    MALFORMED: Final = "SRFLM-P6"
    MODEL: Final = "SRFLM-P7"
    NOT_SHARED: Final = "SRFLM-P8"
    SIGNATURE: Final = "SRFLM-P9"
    NO_VOTE: Final = "SRFLM-P10"
    NO_ORDER: Final = "SRFLM-P11"
    INCONSISTENT: Final = "SRFLM-P12"
    SECOND_SUM: Final = "SRFLM-P13"


MENDED_BY_OPENING: Final = frozenset(
    {
        MessageRefused.TERM,
        MessageRefused.ATTEMPT,
        MessageRefused.SERVER,
        MessageRefused.PARENT,
        MessageRefused.NO_ORDER,
    }
)
"""Codes of refusals that may pass once a server has asked how far everybody is."""


class BundleRefused(SrflmError):
    """A run or an app bundle is not the agreed one; raised before anything of it was parsed."""

    codes = ("SRFLM-B1",)


class PrivacyError(SrflmError):
    """Privacy cannot be guaranteed or accounted for, or is used up; nothing is trained then."""

    SETTINGS: Final = "SRFLM-V1"
    LEDGER_MISSING: Final = "SRFLM-V2"
    LEDGER_DAMAGED: Final = "SRFLM-V3"
    LEDGER_ROLLED_BACK: Final = "SRFLM-V4"
    LEDGER_VERSION: Final = "SRFLM-V5"
    BUDGET_SPENT: Final = "SRFLM-V6"
    POLICY: Final = "SRFLM-V7"
    NETWORK: Final = "SRFLM-V8"
    LOSS: Final = "SRFLM-V9"
    GRADIENTS: Final = "SRFLM-V10"
    MECHANISM: Final = "SRFLM-V11"
    UNDECLARED: Final = "SRFLM-V12"


class LedgerError(SrflmError):
    """A ledger is damaged, of an unknown version, or of another federation."""

    codes = ("SRFLM-L1",)


class FederationStopped(SrflmError):
    """The federation cannot go on; every committed term is kept and the run can be resumed."""

    NO_MAJORITY: Final = "SRFLM-F1"
    NO_SERVER: Final = "SRFLM-F2"
    WRONG_SIZE: Final = "SRFLM-F3"
    TOO_FEW_CLIENTS: Final = "SRFLM-F4"


class RunFolderError(SrflmError):
    """The run's folder is in use by another run, missing, or cannot be written."""

    BUSY: Final = "SRFLM-R1"
    NOT_WRITABLE: Final = "SRFLM-R2"
    NOT_A_RUN: Final = "SRFLM-R3"


class DeploymentError(SrflmError):
    """A site cannot be brought up, down, or reached."""

    UP: Final = "SRFLM-E1"
    NOT_UP: Final = "SRFLM-E2"
    NOT_DOWN: Final = "SRFLM-E3"
    NO_OUTCOME: Final = "SRFLM-E4"
    LEFT: Final = "SRFLM-E5"


class SimulationError(SrflmError):
    """Flower's simulation did not start, or broke off without a summary of the run."""

    codes = ("SRFLM-S1",)


class IdentityError(SrflmError):
    """A site's keys or certificates are missing, wrong, or out of date."""

    MISSING: Final = "SRFLM-I1"
    CERTIFICATE: Final = "SRFLM-I2"
    KEY: Final = "SRFLM-I3"


INTERNAL_ERROR: Final = "SRFLM-X1"
"""Code a site reports for an exception that is not in this tree (the text stays in its log)."""

NO_REPLY: Final = "SRFLM-X2"
"""Code a server notes for a vendor that did not answer within the deadline."""
