"""Rules of asking sites, with a grid and a clock made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Error, Message
from flwr.serverapp import Grid

from strategies.flower_private import become_a_task, message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.messages import payload_bytes
from strategies.term.exchange import SLOWEST_POLL_SECONDS, CostMeter, Exchange
from strategies.weights import Model

NEVER = float("inf")


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.naps = 100.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


class FakeGrid:
    """Answers the message to node n after ``delays[n]`` seconds; ``lost`` nodes get none."""

    def __init__(
        self, clock: FakeClock, delays: dict[int, float], lost: Iterable[int] = ()
    ) -> None:
        self.clock, self.delays, self.lost = clock, delays, set(lost)
        self.due: dict[str, tuple[float, Message]] = {}
        self.pulled: list[list[str]] = []
        self.failing: set[int] = set()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node in self.lost:
                ids.append("")
                continue
            name = f"m{len(self.due)}"
            sent = message_without_superlink(
                message.content, message.metadata.message_type, node, name
            )
            if node in self.failing:
                reply = Message(Error(code=2, reason="x"), reply_to=sent)
            else:
                content = wire.pack(wire.Reply(vendor=f"v{node}", status="done"))
                reply = Message(content, reply_to=sent)
            self.due[name] = (self.clock.now + self.delays[node], reply)
            ids.append(name)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        names = list(message_ids)
        self.pulled.append(names)
        ready = [name for name in names if self.due[name][0] <= self.clock.now]
        return [self.due[name][1] for name in ready]


def request(node: int) -> Message:
    noun = wire.Reply(vendor="server", status="done")
    model = Model.of({"w": np.zeros(100, np.float32)})
    return message_without_superlink(wire.pack(noun, [model]), wire.TRAIN, node)


def ask(
    delays: dict[str, float], deadline: float, lost: Iterable[int] = (), **fields: Any
) -> tuple[dict[str, wire.Answer | None], FakeClock, FakeGrid, CostMeter]:
    become_a_task()
    clock, meter = FakeClock(), CostMeter()
    nodes = {vendor: node for node, vendor in enumerate(delays, start=1)}
    grid = FakeGrid(clock, {nodes[v]: delay for v, delay in delays.items()}, lost)
    grid.failing = set(fields.pop("failing", ()))
    exchange = Exchange(cast(Grid, grid), meter, clock, clock.sleep)
    requests = {vendor: request(node) for vendor, node in nodes.items()}
    return exchange.ask(requests, deadline, "train", **fields), clock, grid, meter


def test_replies_come_back_by_the_key_of_their_request() -> None:
    replies, *_ = ask({"a": 0.3, "b": 0.0, "c": 0.1}, deadline=5)
    assert set(replies) == {"a", "b", "c"}
    vendors = {key: answer.reply.vendor for key, answer in replies.items() if answer}
    assert vendors == {"a": "v1", "b": "v2", "c": "v3"}


def test_asking_ends_with_the_last_reply() -> None:
    _, clock, *_ = ask({"a": 1.0, "b": 0.0}, deadline=60)
    assert 1.0 <= clock.now - 100 < 1.0 + SLOWEST_POLL_SECONDS + 1e-9


def test_deadline_is_respected() -> None:
    replies, clock, *_ = ask({"a": 0.1, "b": NEVER}, deadline=2)
    assert set(replies) == {"a"}
    assert 2 <= clock.now - 100 < 2 + SLOWEST_POLL_SECONDS + 1e-9


def test_reply_after_the_deadline_is_ignored() -> None:
    replies, clock, grid, _ = ask({"a": 0.1, "b": 10.0}, deadline=1)
    assert set(replies) == {"a"}
    polls = len(grid.pulled)
    clock.now += 60
    assert len(grid.pulled) == polls


def test_answered_message_is_not_asked_for_again() -> None:
    _, _, grid, _ = ask({"a": 0.0, "b": 0.5}, deadline=5)
    assert grid.pulled[0] == ["m0", "m1"]
    assert all(names == ["m1"] for names in grid.pulled[1:])


def test_message_that_the_grid_did_not_take_is_not_waited_for() -> None:
    replies, clock, *_ = ask({"a": 0.0, "b": 0.0}, deadline=60, lost=[2])
    assert set(replies) == {"a"}
    assert clock.now == 100


def test_nobody_to_ask_takes_no_time() -> None:
    replies, clock, _, meter = ask({}, deadline=60)
    assert replies == {}
    assert clock.now == 100
    assert meter.phases["train"].seconds == 0


def test_pauses_grow_while_nothing_comes_and_stay_bounded() -> None:
    _, clock, *_ = ask({"a": 30.0}, deadline=60)
    assert clock.naps == sorted(clock.naps)
    assert clock.naps[0] <= 0.02
    assert max(clock.naps) == SLOWEST_POLL_SECONDS


def test_every_reply_is_told_as_it_comes() -> None:
    told: list[str] = []
    ask(
        {"a": 0.5, "b": 0.0, "c": 9.0},
        deadline=1,
        on_answer=lambda answer: told.append(answer.reply.vendor),
    )
    assert told == ["v2", "v1"]


def test_costs_are_what_was_sent_and_what_came_back() -> None:
    replies, _, _, meter = ask({"a": 0.0, "b": 0.5, "c": NEVER}, deadline=1)
    cost = meter.phases["train"]
    assert cost.bytes_sent == 3 * payload_bytes(request(1).content)
    bodies = [wire.pack(answer.reply) for answer in replies.values() if answer is not None]
    assert cost.bytes_received == sum(map(payload_bytes, bodies))
    assert 1 <= cost.seconds < 1.3


def test_error_of_a_node_is_no_answer() -> None:
    replies, _, _, meter = ask({"a": 0.0, "b": 0.0}, deadline=1, failing=[1])
    answer = replies["b"]
    assert replies["a"] is None and answer is not None
    assert meter.phases["train"].bytes_received == payload_bytes(wire.pack(answer.reply))


def test_meter_adds_up_by_phase() -> None:
    meter = CostMeter()
    meter.add("train", 1.5, 10, 20)
    meter.add("train", 0.25, 1, 2)
    meter.add("commit", 1, 0, 0)
    train = meter.phases["train"]
    assert (train.seconds, train.bytes_sent, train.bytes_received) == (1.75, 11, 22)
    assert list(meter.phases) == ["train", "commit"]


@pytest.mark.parametrize("deadline", [0.0, -1.0])
def test_without_time_only_what_is_there_already_is_taken(deadline: float) -> None:
    replies, clock, *_ = ask({"a": 0.0, "b": 1.0}, deadline)
    assert set(replies) == {"a"}
    assert clock.now == 100
