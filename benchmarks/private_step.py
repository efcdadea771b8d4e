"""Time and memory of a private training step against a non-private one, per network and mode.

Both do one step on the same 64 images of 64×64 by SGD with momentum, on one CPU thread, or on CUDA
if there is any. The non-private step trains the network as it is (with batch normalisation), the
private one the network after ``make_dp_ready``, with per-record gradients, clipping, and noise.
Steps alternate (A B A B …), and ratios are of neighbours. Peak memory is the memory that a step
adds to a fresh process.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import psutil
import torch
from torch import nn
from torch.nn import functional

from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Spread, alternate, ratios, spread
from clients.data.vendor_data import Split
from clients.networks.build import initial_network
from clients.privacy.gradients.gradients import MODES
from clients.privacy.gradients.mode import choose_mode, records_at_once
from clients.privacy.gradients.networks import make_dp_ready, make_probe
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.noise import private_randomness
from clients.privacy.settings import GradientMode, PrivacySettings
from clients.privacy.training.training import private_step
from clients.privacy.training.units import make_units
from clients.settings import ModelSettings, Network, TrainingSettings
from clients.tasks.losses import cross_entropy
from clients.tasks.settings import ClassificationSettings
from clients.training import make_optimizer

TIME_TARGET = MEMORY_TARGET = 2.0
BATCH, SIZE, SEED, CLASSES, CHANNELS = 64, 64, 65, 8, 3
NETWORKS: tuple[Network, ...] = ("small-cnn", "resnet18", "densenet121", "efficientnet-b0")
QUICK: tuple[Network, ...] = ("small-cnn",)
WAYS: tuple[GradientMode, ...] = ("auto", "vmap", "loop", "ghost")
MIB = 2**20
Result = TypeVar("Result")
Way = GradientMode | Literal["plain"]


@dataclass(frozen=True)
class PrivateStep:
    """One network and mode; times in seconds a step, memory in MiB."""

    network: str
    mode: str
    private: Spread
    plain: Spread
    ratio: Spread
    private_memory: float
    plain_memory: float

    @property
    def memory_ratio(self) -> float:
        """Return the ratio of the peak memories, private to plain."""
        return self.private_memory / self.plain_memory


@dataclass(frozen=True)
class PrivateSteps:
    """All networks and modes."""

    measured: tuple[PrivateStep, ...]

    def as_markdown(self) -> str:
        """Return the table."""
        columns = ("network", "mode", "private s", "plain s", "time ratio, median (range)")
        rows = [
            (
                each.network,
                each.mode,
                f"{each.private.median:.2f}",
                f"{each.plain.median:.2f}",
                each.ratio,
                f"{each.private_memory:.0f}",
                f"{each.plain_memory:.0f}",
                f"{each.memory_ratio:.2f}",
                _verdict(each),
            )
            for each in self.measured
        ]
        memory = ("private MiB", "plain MiB", "memory ratio")
        goal = f"time ≤ {TIME_TARGET:g}, memory ≤ {MEMORY_TARGET:g}"
        return table((*columns, *memory, goal), rows)


def _verdict(step: PrivateStep) -> str:
    fast, small = step.ratio.median <= TIME_TARGET, step.memory_ratio <= MEMORY_TARGET
    return "met" if fast and small else f"missed ({'memory' if fast else 'time'})"


def run(quick: bool, folder: Path) -> PrivateSteps:
    """Measure every network and mode, each in a process of its own."""
    pairs = 2 if quick else 5
    measured = []
    for network in QUICK if quick else NETWORKS:
        plain_memory = _in_fresh_process(memory_of, network, "plain")
        for way in WAYS:
            mode, ours, theirs = _in_fresh_process(times_of, network, way, pairs)
            measured.append(
                PrivateStep(
                    network,
                    mode,
                    spread(ours),
                    spread(theirs),
                    ratios(ours, theirs),
                    _in_fresh_process(memory_of, network, way),
                    plain_memory,
                )
            )
    return PrivateSteps(tuple(measured))


def times_of(
    network: Network, way: GradientMode, pairs: int
) -> tuple[str, list[float], list[float]]:
    """Return the mode's name and the seconds of private and plain steps, in pairs."""
    private, plain = Step(network, way), Step(network, "plain")
    private.do(), plain.do()  # warm-up: the first step allocates, and chooses algorithms
    ours, theirs = alternate(lambda _: private.seconds(), lambda _: plain.seconds(), pairs)
    return private.name, ours, theirs


def memory_of(network: Network, way: Way) -> float:
    """Return the MiB that a first step adds at its peak to this process, or to the CUDA device."""
    step = Step(network, way)
    if step.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step.do()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    _give_back_freed_memory()
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the kernel's peak of memory
    step.do()
    return (_peak() - before) / MIB


class Step:
    """A repeatable training step of one network, plain or private."""

    def __init__(self, network: Network, way: Way) -> None:
        torch.set_num_threads(1)  # as a vendor has in a simulation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.name: str = way
        self.do: Callable[[], None]
        task = ClassificationSettings(classes=tuple("abcdefgh"[:CLASSES]), channels=CHANNELS)
        module = initial_network(ModelSettings(network=network), task, SEED).to(self.device).train()
        images = torch.rand(BATCH, CHANNELS, SIZE, SIZE).to(self.device)
        targets = torch.randint(0, CLASSES, (BATCH,)).to(self.device)
        if way == "plain":
            self._plain(module, images, targets)
        else:
            self._private(module, images, targets, way)

    def _plain(self, network: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer = make_optimizer(network, TrainingSettings(), 0.01)

        def do() -> None:
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(network(images), targets).backward()
            optimizer.step()

        self.do = do

    def _private(
        self, network: nn.Module, images: torch.Tensor, targets: torch.Tensor, way: GradientMode
    ) -> None:
        probe = make_probe((CHANNELS, SIZE, SIZE), self.device)
        make_dp_ready(network, probe).train()
        mode = choose_mode(way, network, probe, targets[: len(probe)], cross_entropy)
        self.name = f"auto: {mode}" if way == "auto" else mode
        settings = PrivacySettings(unit="record", batch_size=BATCH)
        most = (
            1 if mode == "loop" else records_at_once(network, settings.physical_batch, self.device)
        )
        optimizer = PrivateOptimizer(
            make_optimizer(network, TrainingSettings(), 0.01),
            noise_multiplier=1.0,
            clip=settings.clip,
            expected_batch_size=BATCH,
            loss_bound=settings.loss_bound,
            loss_share=settings.loss_share,
            randomness=private_randomness(),
        )
        gradients, units = MODES[mode](network, cross_entropy), make_units(BATCH)
        self.do = lambda: private_step(
            gradients, optimizer, Split(images, targets), units, range(BATCH), most
        )

    def seconds(self) -> float:
        """Do the step; return its seconds."""
        started = time.perf_counter()
        self.do()
        if self.device.type == "cuda":  # CUDA works asynchronously
            torch.cuda.synchronize()
        return time.perf_counter() - started


def _in_fresh_process(work: Callable[..., Result], *arguments: object) -> Result:
    # "spawn", because a fork would inherit this process' memory, and its CUDA state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(work, *arguments).result()


def _give_back_freed_memory() -> None:
    # Memory that glibc has kept could be used again without adding to the peak.
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _peak() -> int:
    """Return this process' peak memory in bytes since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


if __name__ == "__main__":
    sys.exit(main("private_step", run, (__doc__ or "").splitlines()[0]))
