"""A federation in memory in which a script decides which messages arrive, and when.

Every server runs the deployed code in a thread of its own and pauses when it waits for answers.
Only one thread runs at a time, so that the same script always leads to the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any, ClassVar

from flwr.app import Message

from deploy.serving.job import JobOutcome
from srflm_flower.run.memory_grid import Deliver
from tests.support.changing import ChangingFederation
from tests.support.faults import Crash
from tests.support.quick_sites import InstantLearner, quick_federation

FOUNDERS = ("aster", "borealis", "cygnus")
NEWCOMER = "draco"
SCORED = {"election__by_turn_rounds": 0, "aggregation__fine_tuned": "replaces"}
"""The score elects from the first term on; by the paper's rule the server's last update counts."""


@dataclass(eq=False)
class Letter:
    """A server's message to a site; ``is_decided`` once it has arrived or is lost."""

    site: str
    message: Message
    deliver: Deliver
    is_decided: bool = False
    reply: Message | None = None

    @property
    def name(self) -> str:
        """The message's id."""
        return str(self.message.metadata.message_id)

    def arrive(self) -> Message:
        """Let the site answer, and the answer come back; return it."""
        reply = self.deliver(self.message)
        assert reply is not None
        self.is_decided, self.reply = True, reply
        return reply

    def lose(self) -> None:
        """Let the message, or its answer, never come."""
        self.is_decided, self.reply = True, None


class Serving:
    """A server's process, as a thread that runs only between :meth:`go_on` and its next pause."""

    def __init__(self, sites: ScriptedFederation, vendor: str, task: dict[str, Any]) -> None:
        self.vendor, self.is_over = vendor, False
        self.letters: list[Letter] = []
        self.outcome: JobOutcome | None = None
        self._sites, self._task, self._is_killed = sites, task, False
        self._error: BaseException | None = None
        self._go, self._paused = Semaphore(0), Semaphore(0)
        Thread(target=self._run, daemon=True).start()

    def go_on(self) -> None:
        """Let the server work until it waits for answers, or has ended; raise what it raised."""
        self._go.release()
        self._paused.acquire()
        if self._error is not None:
            raise self._error

    def kill(self) -> list[Letter]:
        """End the process where it is; return its messages that had not arrived."""
        self._is_killed = True
        if not self.is_over:
            self.go_on()
        return self.waiting()

    def waiting(self) -> list[Letter]:
        """Return the messages on their way."""
        return [letter for letter in self.letters if not letter.is_decided]

    def replies_to(self, names: Iterable[str]) -> list[Message]:
        """Return the replies to these messages, each once; pause while any is on its way."""
        if self.waiting():
            self._paused.release()
            self._go.acquire()
        if self._is_killed:
            raise Crash
        found = [each for each in self.letters if each.name in set(names)]
        self.letters = [each for each in self.letters if each not in found]
        return [each.reply for each in found if each.reply is not None]

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._is_killed:
                self.outcome = self._sites.perform(self.vendor, **self._task)
        except Crash:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self.is_over = True
            self._paused.release()


class PausingGrid:
    """What a server sees of Flower's Grid."""

    def __init__(self, grid: Any, serving: Serving) -> None:
        self.get_node_ids, self.push_messages = grid.get_node_ids, grid.push_messages
        self.pull_messages = serving.replies_to


class ScriptedFederation(ChangingFederation):
    """The founders' sites; ``serving`` are the servers at work, ``off`` the sites that are down."""

    everyone = (*FOUNDERS, NEWCOMER)
    learner_numbers: ClassVar = {"aster": 0, "borealis": 2, "cygnus": 1, "draco": 3}
    """The higher the number, the more examples, the lower the loss."""

    def clear(self) -> None:
        """Begin with the same keys and nothing else."""
        self.serving: dict[str, Serving] = {}
        super().clear()
        self.off: set[str] = set()
        self.fault = self._hold

    def learner(
        self, federation: object, vendor: str, network: object, account: object
    ) -> InstantLearner:
        """Return a learner with a number of its own, so that elections do not follow the roster."""
        return InstantLearner(vendor, self.trained, self.learner_numbers[vendor])

    def begin(self, vendor: str, **task: Any) -> Serving:
        """Start a server; it does nothing before it is told to go on."""
        self.serving[vendor] = Serving(self, vendor, task)
        return self.serving[vendor]

    def kill(self, vendor: str) -> list[Letter]:
        """Kill the vendor's server if it has one; return its messages that had not arrived."""
        serving = self.serving.pop(vendor, None)
        return serving.kill() if serving is not None else []

    def grid(self, server: str) -> Any:
        """Return the grid at which ``server`` pauses, if it is one that was told to begin."""
        grid, serving = super().grid(server), self.serving.get(server)
        return PausingGrid(grid, serving) if serving is not None else grid

    def last_log_line(self, vendor: str) -> str:
        """Return the newest line of a site's own log: the reason of a refusal stays there."""
        return (self.folders[vendor] / "state" / "site.log").read_text().splitlines()[-1]

    def _hold(self, server: str, site: str, message: Message, deliver: Deliver) -> None:
        """Keep a message until the script decides."""
        self.serving[server].letters.append(Letter(site, message, deliver))


@contextmanager
def scripted_federation(folder: Path) -> Iterator[ScriptedFederation]:
    """Give the founders' federation, which the newcomer can join."""
    with quick_federation(folder, FOUNDERS, ScriptedFederation, **SCORED) as sites:
        assert isinstance(sites, ScriptedFederation)
        sites.prepare(folder)
        yield sites
