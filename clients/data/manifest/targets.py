"""The target of each image: by a table of labels, by reference, or by folders and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clients.data.manifest.finding import Item
from clients.data.manifest.labels import LABELS, labels_in, pairs_by_table
from clients.data.manifest.pairing import ELSEWHERE, NO_TARGET, LeftOut, Pair, pairs_in
from clients.data.manifest.segmentations import SEGMENTATION, pairs_by_reference
from clients.tasks.settings import TaskSettings


def pairs_of(
    items: Mapping[str, Item], out: Sequence[LeftOut], folder: Path, task: TaskSettings
) -> tuple[list[Pair], list[LeftOut]]:
    """Return the pairs among the ``items`` of a folder, and all that is left out.

    ``out`` are the files that were left out already, among which targets may be.  Raises
    :class:`DataError` for a table of labels that is damaged or contradicts itself.
    """
    if task.target == "class" and (folder / LABELS).exists():
        rows = labels_in(folder / LABELS, task.classes)
        pairs, unpaired = pairs_by_table(items, rows)
        return pairs, [each for each in out if each.path != LABELS] + unpaired
    if task.target != "mask":
        pairs, unpaired = pairs_in(items, task.target, task.classes)
        return pairs, [*out, *unpaired]
    files = {each.path for each in out if each.reason == SEGMENTATION}
    pairs, unpaired = pairs_by_reference(items, files, folder)
    done = {pair.image for pair in pairs} | {each.path for each in unpaired}
    rest = [path for path in items if path not in done]
    others, besides = pairs_in(rest, task.target, task.classes)
    # The target of a DICOM image may lie anywhere, so that its own place says nothing.
    named = [
        replace(each, reason=NO_TARGET)
        if each.reason == ELSEWHERE and items[each.path].header is not None
        else each
        for each in besides
    ]
    kept = [each for each in out if each.path not in files]
    return pairs + others, kept + unpaired + named
