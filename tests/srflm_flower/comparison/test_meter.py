"""What a run costs: bytes that leave a site, and seconds until the run closes."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Message, MetricRecord, RecordDict

from srflm_flower.comparison.meter import Meter, not_to_itself
from srflm_flower.comparison.methods import run_srflm
from srflm_flower.comparison.scoring import sites_of
from srflm_flower.run.folder import RunFolder
from strategies.protocol.messages import SHARE, Envelope, ShareBest, payload_bytes
from strategies.term.conversation import request
from strategies.weights import encode_weights
from tests.support.tiny import tiny_federation


def message(size: int = 3) -> Message:
    content = RecordDict({"numbers": MetricRecord({"x": [0.0] * size})})
    return Message(content, dst_node_id=1, message_type="train")


def test_request_and_answer_count_until_the_end() -> None:
    times = iter([10.0, 12.5])
    meter = Meter(clock=lambda: next(times))
    asked = message()
    meter.deliver(asked, lambda each: Message(each.content, reply_to=each))
    meter.observe("committed")
    assert meter.bytes_sent == 2 * payload_bytes(asked.content)
    meter.observe("closing")
    meter.stop()
    meter.deliver(asked, lambda each: Message(each.content, reply_to=each))
    assert meter.bytes_sent == 2 * payload_bytes(asked.content)
    assert meter.seconds == 2.5


def test_messages_that_stay_at_home_do_not_count() -> None:
    meter = Meter(crosses=lambda each: False)
    meter.deliver(message(), lambda each: None)
    assert meter.bytes_sent == 0


def test_server_sends_nothing_to_itself(tmp_path: Path) -> None:
    """With two vendors, every term has one client: so many models go over the network."""
    federation = tiny_federation(tmp_path, ("a", "b"), run__rounds=1)
    result, _ = run_srflm(federation, tmp_path / "run")
    model = len(
        encode_weights(sites_of(RunFolder(tmp_path / "run"), federation)[0].initial.weights)
    )
    # The server sends the start, the averaged, and the fine-tuned model, and gets an update.
    assert 2 * model < result.bytes_sent < 5 * model


def test_message_of_a_server_to_its_own_node_is_recognised() -> None:
    def opened(server: str, node: int) -> Message:
        envelope = Envelope(federation="f", term=1, attempt=0, server=server)
        return request(ShareBest(envelope=envelope), SHARE, node)

    crosses = not_to_itself(("a", "b"))
    found = [crosses(opened(server, node)) for server in ("a", "b") for node in (1, 2)]
    assert found == [False, True, True, False]
