"""How the launcher looks after its peers: whom it waits for, whom it doubts, who is connected."""

from __future__ import annotations

from pathlib import Path

from deploy.door.sign import Sign
from deploy.processes.company import Company
from deploy.serving.lookout import Lookout
from deploy.site.unreached import read_unreached, unreached_file
from strategies.protocol.quorum import grant
from strategies.protocol.records import Absence
from tests.deploy.serving.launcher_bench import RANKING, Bench
from tests.support.records import make_committed, make_record


class Doors:
    """Peers' doors; the test says who is not there."""

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.signs: dict[str, Sign] = {}
        self.looked: list[str] = []

    def __call__(self, peer: str) -> Sign | None:
        self.looked.append(peer)
        return None if peer in self.away else self.signs.get(peer, Sign())


def looking(bench: Bench, folder: Path) -> Doors:
    doors = Doors()
    peers = [peer for peer in RANKING if peer != bench.launcher.vendor]
    bench.launcher.lookout = Lookout(doors, peers, unreached_file(folder), lambda: bench.now)
    return doors


def test_stand_in_does_not_wait_for_a_server_that_nobody_reaches(
    next_in_line: Bench, tmp_path: Path
) -> None:
    doors, lookout = looking(next_in_line, tmp_path), next_in_line.launcher.lookout
    assert lookout is not None
    next_in_line.order(3)
    with next_in_line.ledger.deciding() as db:  # a has opened the term: the time-out is 20 s
        next_in_line.ledger.keep_votes(db, grant(next_in_line.ledger.votes_in(db, 1), 0))
    next_in_line.at(0.0)
    doors.away.add("a")
    for now in (1.5, 3.0):
        lookout.step()
        assert next_in_line.at(now) == [], "two misses may be a restart"
    lookout.step()
    assert next_in_line.at(4.5) == [1]
    assert next_in_line.runs.started[-1].early == "a"
    assert next_in_line.runs.doubted[-1] == {"a"}
    assert read_unreached(unreached_file(tmp_path)) == ("a",)


def test_server_that_answers_again_is_waited_for(next_in_line: Bench, tmp_path: Path) -> None:
    doors, lookout = looking(next_in_line, tmp_path), next_in_line.launcher.lookout
    assert lookout is not None
    next_in_line.order(3)
    next_in_line.at(0.0)
    for away in ({"a"}, {"a"}, set[str](), {"a"}, {"a"}):
        doors.away = away
        lookout.step()
        assert next_in_line.at(4.0) == []
    assert next_in_line.at(5.1) == [1], "the usual time-out"
    assert next_in_line.runs.started[-1].early == ""


def test_vendor_missed_in_the_last_term_is_doubted_for_a_while(elected: Bench) -> None:
    elected.order(9)
    absent = Absence(vendor="c", phase="open", attempt=0, code="NO-REPLY")
    elected.ledger.append(make_committed(make_record(1, absences=(absent,), ranking=RANKING)))
    elected.at(1.0)
    assert elected.runs.doubted[-1] == {"c"}
    elected.runs.end("failed", code="X", text="x")
    elected.at(2.0)
    elected.at(100.0)
    assert elected.runs.started[-1].kind == "serve"
    assert elected.runs.doubted[-1] == frozenset(), "Flower knows by now"


def test_peers_are_connected_while_a_run_is_ordered(elected: Bench, tmp_path: Path) -> None:
    elected.launcher.company = company = Company(tmp_path)
    elected.at(0.0)
    assert not any(map(company.wants, RANKING))
    elected.order(1)
    elected.at(1.0)
    assert all(map(company.wants, RANKING))
    elected.ledger.append(make_committed(make_record(1)))
    elected.runs.end("committed")
    elected.at(2.0)
    assert not any(map(company.wants, RANKING))


def test_one_peer_after_another_is_looked_at_however_many_there_are(tmp_path: Path) -> None:
    doors, now, peers = Doors(), [0.0], [f"p{n}" for n in range(50)]
    lookout = Lookout(doors, peers, unreached_file(tmp_path), lambda: now[0])
    for _ in range(40):
        now[0] += 1.5
        lookout.step()
    assert len(doors.looked) <= 15 and len(set(doors.looked)) == len(doors.looked)


def test_news_are_a_peer_that_is_back_or_further(tmp_path: Path) -> None:
    doors, now = Doors(), [0.0]
    lookout = Lookout(doors, ["b"], unreached_file(tmp_path), lambda: now[0], own=Sign(3, 1))

    def news() -> bool:
        now[0] += 5.0
        lookout.step()
        return lookout.take_news()

    doors.signs["b"] = Sign(3, 1)
    assert not news()
    doors.signs["b"] = Sign(4, 1)
    assert news() and not news(), "the same sign once"
    doors.signs["b"] = Sign(3, 2)
    assert news()
    doors.away.add("b")
    assert not news()
    doors.away.clear()
    assert news()
