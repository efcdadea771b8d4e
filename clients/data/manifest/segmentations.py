"""Which DICOM segmentation belongs to which image: that which it references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from clients.data.manifest.finding import Item
from clients.data.manifest.pairing import NO_IMAGE, LeftOut, Pair
from clients.imaging.index import Series
from clients.imaging.segmentation import Links, links_of
from strategies.errors import DataError

SEGMENTATION = "segmentation"
SEVERAL = "one of several segmentations of an image"
SEVERAL_HERE = "image with several segmentations"
OWN = "result of srflm predict"
DAMAGED = "unreadable"


def pairs_by_reference(
    items: Mapping[str, Item], files: Iterable[str], folder: Path
) -> tuple[list[Pair], list[LeftOut]]:
    """Return the pairs of ``items`` with the segmentations among ``files``, and what is left out.

    ``files`` are paths from ``folder``; each is in a pair or left out, while an image without a
    segmentation is in neither.  A result of this program is no target: a network would learn what
    it says already.
    """
    left_out: list[LeftOut] = []
    links: dict[str, Links] = {}
    for path in sorted(files):
        try:
            found = links_of(folder / path)
        except DataError as error:
            left_out.append(LeftOut(path, DAMAGED, error.found))
            continue
        if found.own:
            left_out.append(LeftOut(path, OWN))
        else:
            links[path] = found
    pairs, crowded = _pairs(items, links)
    paired = {pair.target for pair in pairs}
    for path in links.keys() - paired:
        left_out.append(LeftOut(path, SEVERAL if path in crowded else NO_IMAGE))
    left_out += [LeftOut(path, SEVERAL_HERE) for path in crowded if path in items]
    return pairs, left_out


def _pairs(items: Mapping[str, Item], links: Mapping[str, Links]) -> tuple[list[Pair], set[str]]:
    """Return the pairs, and the paths of images with several segmentations, and of these."""
    by_series: defaultdict[str, list[str]] = defaultdict(list)
    for path, each in links.items():
        for series in each.series:
            by_series[series].append(path)
    pairs: list[Pair] = []
    crowded: set[str] = set()
    for item in items.values():
        if item.header is None:
            continue
        near: Sequence[str] = by_series.get(item.header.series, ())
        # A single image may be one of a series of which the segmentation has others only.
        instance = "" if isinstance(item.source, Series) else item.header.instance
        mine = [path for path in near if links[path].belongs_to(item.header.series, instance)]
        if len(mine) == 1:
            pairs.append(Pair(item.path, mine[0], ""))
        elif mine:
            crowded |= {item.path, *mine}
    return pairs, crowded
