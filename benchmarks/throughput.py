"""Training throughput of our loop against a plain PyTorch loop over the same tensors.

Both train the same network from the same weights on the same 64×64 images in the same order, with
batches of 16 and SGD with momentum. Our loop adds its bookkeeping: mean loss, check for finite
numbers, random state kept apart. On the CPU the final weights must be equal, as a proof of equal
work. Both use one CPU thread, as a vendor in a simulation does, and are measured in turn (A B A B);
ratios are of neighbours. With CUDA the same is measured in single and in mixed precision.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measuring.markdown import table
from benchmarks.measuring.round_times import UnequalWork
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Spread, alternate, ratios, spread
from benchmarks.plain_training import plain_train
from clients.data.vendor_data import Split
from clients.networks.build import initial_network
from clients.networks.weights import get_weights, set_weights
from clients.settings import ModelSettings, Network, TrainingSettings
from clients.tasks.settings import ClassificationSettings, TaskSettings
from clients.training import Work, train
from strategies.weights import Weights

TARGET = 0.95
BATCH, SIZE, SEED = 16, 64, 65
# Batches in an epoch, which takes two to four seconds on one CPU.
BATCHES: dict[Network, int] = {"resnet18": 4, "densenet121": 6, "small-cnn": 100}


@dataclass(frozen=True)
class Throughput:
    """Images a second of one network on one device."""

    network: Network
    device: str
    precision: str
    ours: Spread
    plain: Spread
    ratio: Spread


@dataclass(frozen=True)
class Throughputs:
    """All networks and devices."""

    measured: tuple[Throughput, ...]

    def as_markdown(self) -> str:
        """Return the table."""
        columns = ("network", "device", "precision", "ours images/s", "plain images/s")
        rows = [
            (
                each.network,
                each.device,
                each.precision,
                f"{each.ours.median:.0f}",
                f"{each.plain.median:.0f}",
                each.ratio,
                "met" if each.ratio.median >= TARGET else "missed",
            )
            for each in self.measured
        ]
        return table((*columns, "ratio, median (range)", f"≥ {TARGET}"), rows)


def run(quick: bool, folder: Path) -> Throughputs:
    """Measure every network on the CPU, and on CUDA where it is."""
    pairs, shrink = (2, 2) if quick else (7, 1)
    devices = [(torch.device("cpu"), False)]
    if torch.cuda.is_available():
        devices += [(torch.device("cuda"), False), (torch.device("cuda"), True)]
    measured = []
    for device, half in devices:
        more = 1 if device.type == "cpu" else 20  # for epochs of seconds on a fast GPU, too
        for network, batches in BATCHES.items():
            images = BATCH * max(1, more * batches // shrink)
            measured.append(measure(network, images, pairs, device, half))
    return Throughputs(tuple(measured))


def measure(
    name: Network, images: int, pairs: int, device: torch.device, half_precision: bool
) -> Throughput:
    """Measure one network: a warm-up of both, then ``pairs`` pairs."""
    task = ClassificationSettings(classes=tuple("abcdefgh"), channels=3)
    network = initial_network(ModelSettings(network=name), task, SEED)
    start = get_weights(network)
    data = _noise(images, task)
    settings = TrainingSettings(batch_size=BATCH)
    lr = settings.learning_rate

    def ours() -> None:
        train(network, data, Work(lr, 1), settings, SEED, device, half_precision)

    def plain() -> None:
        tensors, momentum = (data.images, data.targets), settings.momentum
        plain_train(network, *tensors, 1, BATCH, lr, momentum, SEED, device, half_precision)

    def rate(work: Callable[[], None]) -> float:
        set_weights(network, start)
        return images / _seconds(work, device)

    with _one_thread():
        # The first runs are a warm-up, and show that both loops do the same work.
        rate(ours)
        after_ours = get_weights(network)
        rate(plain)
        if device.type == "cpu":  # CUDA adds in varying order
            _check_same(name, after_ours, get_weights(network))
        mine, theirs = alternate(lambda _: rate(ours), lambda _: rate(plain), pairs)
    return Throughput(
        name,
        torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread",
        "mixed" if half_precision else "single",
        spread(mine),
        spread(theirs),
        ratios(mine, theirs),
    )


def _noise(images: int, task: TaskSettings) -> Split:
    """Return images of noise, because the speed does not depend on the content of images."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (images, task.channels, SIZE, SIZE)
    labels = torch.randint(0, len(task.classes), (images,), generator=generator)
    return Split(torch.rand(shape, generator=generator).mul_(2).sub_(1), labels)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":  # CUDA works asynchronously
            torch.cuda.synchronize(device)

    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


def _check_same(name: str, ours: Weights, plain: Weights) -> None:
    """Raise :class:`UnequalWork` unless both loops led to the same weights."""
    for key, array in plain.items():
        difference = abs(ours[key] - array).max()
        if not difference < 1e-4:
            raise UnequalWork(f"{name}: the loops' weights {key} differ by {difference}")


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    sys.exit(main("throughput", run, (__doc__ or "").splitlines()[0]))
