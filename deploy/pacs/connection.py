"""The one door to the PACS: bounded answers, TLS verified, and errors that quote nothing of it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import httpx

from clients.imaging.quiet import quiet
from deploy.pacs.credentials import read_credentials
from deploy.pacs.dicom_json import Entry, entries_of
from deploy.pacs.refusals import (
    certificate_refused,
    no_answer,
    refused_by_status,
    strange_answer,
)
from deploy.processes.backoff import Backoff
from deploy.site.pacs_settings import PacsSettings
from strategies.errors import ConfigurationError, PacsError

CHUNK: Final = 256 * 1024
MOST_ANSWER: Final = 64 * 2**20
"""Bytes of an answer to a search or to a file that was sent."""
ATTEMPTS: Final = 4
CONNECT_SECONDS: Final = 10.0
MOST_WAIT: Final = 60.0
JSON: Final = "application/dicom+json, application/json"
LOGS: Final = ("httpx", "httpcore")
"""These log each address, in which UIDs and a query's names and numbers stand."""
_LATER: Final = frozenset({429, 502, 503, 504})

T = TypeVar("T")


class Connection:
    """Requests to one PACS, from several threads at once.

    As a context it closes them, and keeps the logs and warnings of all packages in use to itself:
    they quote addresses and files.  ``pause`` waits some seconds before a request is repeated.
    Raises :class:`ConfigurationError` for credentials or an authority that cannot be read.
    """

    def __init__(
        self, settings: PacsSettings, pause: Callable[[float], object] | None = None
    ) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        # Whoever stops the pull ends the waits too.
        self._pause = pause or self.stopping.wait
        self._answered = False
        self._silence = ExitStack()
        named = settings.credentials
        self._http = httpx.Client(
            base_url=f"{settings.address}/",
            auth=None if named is None else read_credentials(named).auth(),
            verify=_trust(settings),
            # No proxy, password, or authority from the environment: site.toml says all of it.  The
            # authorities that this machine trusts are those of OpenSSL's own folder.
            trust_env=False,
            # The credentials are for this address and for no other one.
            follow_redirects=False,
            # A small compressed answer can be a huge one.
            headers={"Accept-Encoding": "identity", "User-Agent": "srflm"},
            timeout=httpx.Timeout(settings.patience, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=settings.at_once),
        )

    def __enter__(self) -> Connection:
        # Here and not in each thread: what silences warnings belongs to the whole process.
        self._silence.enter_context(quiet(*LOGS))
        self._silence.callback(self._http.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._silence.close()

    def search(self, path: str, parameters: Mapping[str, str | int | list[str]]) -> list[Entry]:
        """Return the entries of one answer to a search.

        Raises :class:`PacsError` if there is no answer, or no list of entries.
        """
        content = self.get(path, _whole, accept=JSON, parameters=parameters)
        try:
            return entries_of(content)
        except ValueError:
            pass  # the exception quotes the answer
        raise strange_answer("to a search with something that is not DICOM's JSON")

    def get(
        self,
        path: str,
        take: Callable[[httpx.Response], T],
        *,
        accept: str,
        parameters: Mapping[str, str | int | list[str]] | None = None,
    ) -> T:
        """Return what ``take`` makes of the answer, which it reads while it comes.

        A request that is cut off is repeated, and ``take`` then begins again; but not the first
        one: a wrong address is told at once.  Raises :class:`PacsError`, whatever happens.
        """
        backoff, problem = Backoff(0.5, 8.0), no_answer("ConnectError")
        for attempt in range(ATTEMPTS):
            wait = backoff.after()
            try:
                with self._http.stream(
                    "GET", path, params=parameters, headers={"Accept": accept}
                ) as response:
                    self._answered = True
                    if response.status_code not in _LATER:
                        _check(response)
                        return take(response)
                    problem = refused_by_status(response.status_code)
                    wait = max(wait, _asked_wait(response))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = _problem_of(error)
            is_last = attempt == ATTEMPTS - 1 or not self._answered
            if is_last or problem.code == PacsError.CERTIFICATE or self.stopping.is_set():
                break
            self._pause(wait)
        # Raised here: a traceback would show the exception from which it comes, and its text.
        raise problem

    def post(self, path: str, content: httpx.SyncByteStream, headers: Mapping[str, str]) -> Stored:
        """Send a body once; return the status and the entries of the answer.

        Raises :class:`PacsError` if there is no answer, or one of another kind than a status of
        200, 202, or 409 (nothing stored).
        """
        try:
            request = self._http.build_request("POST", path, headers=headers, content=content)
            response = self._http.send(request, stream=True)
            try:
                if response.status_code == 409:
                    _check_plain(response)
                else:
                    _check(response)
                answer = _whole(response)
                kind = response.headers.get("content-type", "").lower()
                return Stored(response.status_code, answer, kind)
            finally:
                response.close()
        except httpx.HTTPError as error:
            problem = _problem_of(error)
        raise problem


class Stored:
    """The answer to what was sent: all of it is stored, or not; ``kind`` is its content type.

    Raises :class:`PacsError` if it says success in another form than DICOM's JSON or XML: a page
    that asks for a password does so too.
    """

    def __init__(self, status: int, content: bytes, kind: str) -> None:
        self.status = status
        is_json = "json" in kind
        is_known = is_json or ("xml" in kind and "html" not in kind)
        try:
            self.entries = entries_of(content)
        except ValueError:
            self.entries = []  # some servers answer in XML, whatever they are asked for
            is_known = is_known and not is_json
        if status == 200 and not is_known:
            raise strange_answer("to a file with something that is neither DICOM's JSON nor XML")


def _trust(settings: PacsSettings) -> ssl.SSLContext:
    # Not ssl.create_default_context: it follows SSL_CERT_FILE and writes keys to SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ca is None:
        places = ssl.get_default_verify_paths()
        file, folder = Path(places.openssl_cafile), Path(places.openssl_capath)
        if file.is_file():
            context.load_verify_locations(cafile=file)
        if folder.is_dir():
            context.load_verify_locations(capath=folder)
        return context
    try:
        context.load_verify_locations(cafile=settings.ca)
        return context
    except (OSError, ssl.SSLError):
        pass
    raise ConfigurationError(
        f"{settings.ca}, named by pacs.ca, has no certificate that can be read",
        "the certificate of the authority that signs the PACS's, in PEM",
        "ask the hospital's IT for it, or correct the path in site.toml",
    )


def _check(response: httpx.Response) -> None:
    if not 200 <= response.status_code < 300:
        raise refused_by_status(response.status_code)
    _check_plain(response)


def _check_plain(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise strange_answer("in a compressed form, for which it was not asked")


def _whole(response: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes(CHUNK):
        content += chunk
        if len(content) > MOST_ANSWER:
            raise strange_answer(f"with more than {MOST_ANSWER // 2**20} MiB")
    return bytes(content)


def _asked_wait(response: httpx.Response) -> float:
    """Return the seconds that an overloaded server asks for, as far as they are few."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), MOST_WAIT) if asked.isdecimal() else 0.0


def _problem_of(error: Exception) -> PacsError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_refused(cause.verify_code)
        cause = cause.__cause__ or cause.__context__
    return no_answer(type(error).__name__)
