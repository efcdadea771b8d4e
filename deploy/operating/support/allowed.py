"""What may stay in the logs that a site hands out: names, codes, and phrases of programs.

Lists of what is allowed, and none of what is not: nobody can list all names of patients.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Final, get_args

from deploy.edge.nginx import FLEET_CALLS
from deploy.serving.job import JobOutcome
from strategies.errors import INTERNAL_ERROR, NO_REPLY, SrflmError
from strategies.phases import PHASES
from strategies.protocol import messages as wire
from strategies.secure_aggregation import messages as secure

PROGRAMS: Final = frozenset({"superlink", "edge", "supernodes", "worker", "launcher", "page"})
FILES: Final = frozenset(
    {f"{name}.log" for name in (*PROGRAMS, "supervisor", "doctor")}
    | {f"{name}.jsonl" for name in ("supervisor", "launcher", "worker", "refusals", "events")}
    | {"edge/in.jsonl", "edge/out.jsonl", "edge/error.log", "state/audit.jsonl", "state/site.log"}
)
"""The logs of a site, but for those of its SuperNodes, which have a vendor's name in theirs."""

NUMBERS: Final = frozenset(
    {"term", "attempt", "round", "process", "code", "again_in", "seconds", "exit", "threads"}
    | {"st", "in", "out", "rt", "bytes", "sent"}
)
"""Fields whose numbers stay: no loss and no metric is among them, which tell of images."""

VENDORS: Final = frozenset({"vendor", "peer", "server", "key_owner", "to", "says"})
CODES: Final = frozenset({"code", "outcome"})
TEXTS: Final = frozenset({"problem", "text", "reason"})
"""Fields with free text: codes, known phrases and kinds of exceptions of it stay."""

EVENTS: Final = frozenset(
    {
        "site-up",
        "site-down",
        "program-ended",
        "file-replaced",
        "problem",
        "roster-changed",
    }  # supervisor
    | {"launcher-ready", "serving", "sync", "order", "ask", "served", "failed", "stopped-run"}
    | {"clock", "superlink-restarted"}
    | {"worker-ready", "task", "source", "bundle-refused", "message-too-large"}
    | {"term-opened", "reply", "update-dropped", "server-lost", "term-committed", "ended"}
    | {"false-name", "older-site", "closing", "not-shared", "finished"}
)
WORDS: Final = {
    "event": EVENTS,
    "phase": frozenset(PHASES),
    "status": frozenset({"done", "needs-models", "failed", "spare"}),
    "result": frozenset(get_args(JobOutcome.model_fields["result"].annotation)),
    "type": frozenset({*wire.KINDS, *secure.KINDS, "client", "server"}),
    "program": PROGRAMS,
    "uri": frozenset(f"/v1/fleet/{call}" for call in FLEET_CALLS),
}
"""Fields of which only these values stay."""


def _kinds(kind: type[SrflmError]) -> Iterator[type[SrflmError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


KNOWN_CODES: Final = frozenset(
    {
        INTERNAL_ERROR,
        NO_REPLY,
        "done",
        *(code for kind in _kinds(SrflmError) for code in kind.codes),
    }
)
EXCEPTIONS: Final = frozenset(
    {
        name
        for name, each in vars(builtins).items()
        if isinstance(each, type) and issubclass(each, BaseException)
    }
    | {kind.__name__ for kind in _kinds(SrflmError)}
    | {"ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "RemoteProtocolError"}
    | {"OutOfMemoryError", "OperationalError", "DatabaseError", "ValidationError"}
    | {"JSONDecodeError", "TOMLDecodeError", "SafetensorError", "TimeoutExpired"}
    | {"CalledProcessError", "InvalidSignature", "RayTaskError", "LinAlgError", "UndefinedError"}
)
PACKAGES: Final = frozenset(
    {"strategies", "clients", "srflm_flower", "deploy"}
    | {"flwr", "torch", "monai", "opacus", "numpy", "scipy", "pydantic", "starlette", "uvicorn"}
    | {"httpx", "cryptography", "safetensors", "psutil", "ray", "nibabel", "pydicom", "highdicom"}
)
"""Packages whose lines of code stay in a stack trace; those of the standard library do, too."""

PHRASES: Final = (
    *("Starting Flower SuperLink", "Starting Flower SuperNode", "SuperExec authentication"),
    *("Application startup complete", "Application shutdown complete", "Started server process"),
    *("Finished server process", "Connection attempt failed", "Pull task input"),
    *("Start FAB installation", "Runtime dependency installation is disabled"),
    *("Successfully installed", "another app bundle", "address already in use"),
    *("connect() failed", "Connection refused", "Connection reset by peer", "No route to host"),
    *("Connection timed out", "upstream timed out", "upstream prematurely closed connection"),
    *("SSL_do_handshake() failed", "certificate verify failed", "certificate has expired"),
    *("client sent no required SSL certificate", "client SSL certificate verify error"),
    *("could not be resolved", "no live upstreams", "limiting requests", "limiting connections"),
    *("client intended to send too large body", "bind() to", "reopening logs", "signal process"),
    *("start worker process", "exiting", "No space left on device", "Permission denied"),
    *("Too many open files", "Cannot allocate memory", "out of memory", "Killed"),
    *("Traceback (most recent call last)", "process 0 terminated", "Read-only file system"),
)
"""Texts of programs that say something and name nobody."""
