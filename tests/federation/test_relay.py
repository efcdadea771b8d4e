"""A site that nobody can call: what becomes of it, and how a relay that sees no plaintext helps.

The relay and the tunnel stand in for a machine of the consortium with an SSH server, and for
``ssh -R`` at the site: the site's end calls the relay, and the relay hands the callers' bytes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomlkit

from deploy.edge.ports import free_block
from deploy.operating.local_consortium import bring_up_all, make_local_sites
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down
from deploy.site.deployed_site import site_at
from deploy.site.site_file import site_toml
from srflm_flower.federation.federation import Federation
from tests.support.attacks.rogue import head_of
from tests.support.sites import Sites, processes_about, rounds_of, run_rounds
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

IDLE = 4
"""Connections that the site's end keeps open to the relay, for callers that are to come."""
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Passes what callers of ``public`` send through the tunnel to ``edge``; keeps all it sees."""

    def __init__(self, public: int, tunnel: int, edge: int) -> None:
        self.seen = bytearray()
        self._public, self._tunnel, self._edge = public, tunnel, edge
        self._waiting: asyncio.Queue[Pair] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def run(self, ready: threading.Event, until: asyncio.Event) -> None:
        """Serve until the event is set."""
        public = await asyncio.start_server(self._called, "127.0.0.1", self._public)
        tunnel = await asyncio.start_server(self._joined, "127.0.0.1", self._tunnel)
        for _ in range(IDLE):
            self._begin(self._sites_end())
        ready.set()
        await until.wait()
        public.close()
        tunnel.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.5)  # until all are closed

    def _begin(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self._waiting.put((reader, writer))

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        inner = await self._waiting.get()
        await self._join((reader, writer), inner, watched=True)

    async def _sites_end(self) -> None:
        """Call the relay, and once somebody speaks there, the edge of this machine."""
        outer = await asyncio.open_connection("127.0.0.1", self._tunnel)
        self._writers.append(outer[1])
        first = await outer[0].read(2**16)
        self._begin(self._sites_end())
        inner = await asyncio.open_connection("127.0.0.1", self._edge)
        self._writers.append(inner[1])
        inner[1].write(first)
        await self._join(outer, inner)

    async def _join(self, one: Pair, other: Pair, watched: bool = False) -> None:
        await asyncio.gather(
            self._pass_on(one[0], other[1], watched), self._pass_on(other[0], one[1], watched)
        )

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watched: bool
    ) -> None:
        try:
            while data := await reader.read(2**16):
                if watched:
                    self.seen += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # an end has gone
        finally:
            writer.close()


@contextmanager
def relaying(public: int, tunnel: int, edge: int) -> Iterator[Relay]:
    """Relay in a thread of its own."""
    relay, ready, loop = Relay(public, tunnel, edge), threading.Event(), asyncio.new_event_loop()
    until = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(relay.run(ready, until)))
    thread.start()
    try:
        assert ready.wait(60)
        yield relay
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join()
        loop.close()


@contextmanager
def sites_with_one_behind(
    folder: Path, federation: Federation, hidden: str
) -> Iterator[tuple[Sites, tuple[int, int, int]]]:
    """Give sites of which ``hidden`` listens elsewhere than at its agreed address.

    The ports are those of its agreed address, of a tunnel, and at which it listens.
    """
    first = free_block(len(federation.roster) + 2)
    addresses = {v: f"127.0.0.1:{first + n}" for n, v in enumerate(federation.roster)}
    folders = make_local_sites(folder / "sites", federation, addresses, threads=1)
    agreed, (tunnel, edge) = int(addresses[hidden].split(":")[1]), (first + 3, first + 4)
    file = folders[hidden] / "site.toml"
    settings = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    file.write_text(site_toml(settings | {"listen": f"127.0.0.1:{edge}"}), encoding="utf-8")
    sites = {vendor: site_at(path) for vendor, path in folders.items()}
    try:
        yield sites, (agreed, tunnel, edge)
    finally:
        for each in folders.values():
            bring_down(each)
    wait_until(lambda: processes_about(folder) == [], "processes are left")


def three(folder: Path) -> Federation:
    return tiny_federation(
        folder, ("a", "b", "c"), run__answer_deadline=30, run__work_deadline=3600
    )


def test_site_that_nobody_can_call_takes_no_part_until_a_relay_is_there(tmp_path: Path) -> None:
    federation = three(tmp_path)
    *others, hidden = federation.first_ranking
    with sites_with_one_behind(tmp_path, federation, hidden) as (sites, ports):
        missing = bring_up_all(sites, within=20)
        assert missing == {vendor: [hidden] for vendor in others}, (
            "it calls the others, and not they it"
        )
        order_rounds(sites[others[0]], 2)
        wait_until(lambda: rounds_of(sites[others[0]]) == 2, "the others go on")
        record = head_of({vendor: sites[vendor] for vendor in others})
        assert sorted(record.ballots) == sorted(others) and record.attempt == 0
        assert rounds_of(sites[hidden]) == 0, "it does not even get the records"
        with relaying(*ports):
            wait_until(lambda: rounds_of(sites[hidden]) == 2, "it catches up through the relay")
            run_rounds(sites, 1, first=hidden)
            assert hidden in head_of(sites).ballots


def test_relayed_site_serves_and_the_relay_sees_no_plaintext(tmp_path: Path) -> None:
    federation = three(tmp_path)
    hidden, *others = federation.first_ranking
    with (
        sites_with_one_behind(tmp_path, federation, hidden) as (sites, ports),
        relaying(*ports) as relay,
    ):
        assert bring_up_all(sites) == {}
        run_rounds(sites, 1, first=others[0])
        record = head_of(sites)
        assert (record.server, record.attempt) == (hidden, 0)
        assert sorted(record.ballots) == ["a", "b", "c"]
        seen, agreed = bytes(relay.seen), sites[hidden].federation
        # Both models of a term at least: the relay has seen all that there was to see.
        assert len(seen) > 2 * len(sites[hidden].initial.data)
        for plain in (b"POST ", b"GET ", b"HTTP/1.1", b"flwr", b"/v1/fleet", b"CN=", b"tiny"):
            assert plain not in seen, plain
        for secret in (agreed.hash, agreed.bundle, agreed.member(hidden).signing_key):
            assert secret is not None
            assert secret.encode() not in seen and bytes.fromhex(secret) not in seen
        weights = sites[hidden].initial.data[-4096:]
        assert not any(weights[n : n + 16] in seen for n in range(0, 4080, 16))
        # The member that is called is named in TLS's greeting, as in any TLS.
        assert f"{hidden}.srflm.internal".encode() in seen
