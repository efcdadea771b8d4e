"""A vendor's records as their features, which are computed once: nothing ever changes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from clients.data.records import Batch, Records
from clients.data.vendor_data import Split, VendorData
from clients.networks.features.network import FeatureNetwork
from clients.tasks.task import Cases

AT_ONCE = 64


def as_features(data: VendorData, network: FeatureNetwork, device: torch.device) -> VendorData:
    """Return the data with features in place of images; a split's are computed when first used."""
    splits = (data.train, data.validation, data.test)
    return VendorData(*(FeatureRecords(split, network, device) for split in splits))


@dataclass(frozen=True)
class FeatureRecords:
    """Records of which a batch has features (B, D) in place of images."""

    images: Records
    network: FeatureNetwork
    device: torch.device
    ready: Split | None = None
    patch: None = None

    @property
    def records(self) -> tuple[str, ...]:
        """The hash of each record, or nothing."""
        return self.images.records

    @property
    def patients(self) -> tuple[str, ...]:
        """The hash of each record's patient, or nothing."""
        return self.images.patients

    @property
    def older(self) -> frozenset[str]:
        """Hashes of these records in older versions."""
        return self.images.older

    @property
    def classes(self) -> torch.Tensor | None:
        """The class of each record, int64 (n,)."""
        return self.images.classes

    def __len__(self) -> int:
        return len(self.images)

    def empty(self) -> Batch:
        """Return a batch of no record: (0, …), with the shapes and types of all batches."""
        _, targets = self.images.empty()
        return torch.zeros(0, self.network.extractor.features), targets.cpu()

    def on(self, device: torch.device) -> FeatureRecords:
        """Return the same records, whose batches lie on ``device``."""
        return replace(self, ready=self._split.on(device))

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the records of ``rows``, int64 (B,); nothing depends on the seed."""
        return self._split.batch(rows, seed)

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed."""
        return self._split.batches(asked)

    def whole(self) -> Iterator[Cases]:
        """Yield all records in their order, some at a time."""
        return self._split.whole()

    def at(self, rows: torch.Tensor) -> FeatureRecords:
        """Return the records of ``rows``, int64 (k,), as records of their own."""
        return replace(self, images=self.images.at(rows), ready=self._split.at(rows))

    @cached_property
    def _split(self) -> Split:
        if self.ready is not None:
            return self.ready
        parts = [(self._features(cases.images), cases.targets) for cases in self.images.whole()]
        features, targets = (torch.cat(each) for each in zip(*parts, strict=True))
        return Split(features, targets, self.records, self.patients, self.older)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        network = self.network.to(self.device)
        found = [network.features_of(some.to(self.device)).cpu() for some in images.split(AT_ONCE)]
        return torch.cat(found)
