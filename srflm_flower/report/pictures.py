"""Pictures of a few validation cases of each vendor, as a page shows them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clients.tasks.settings import TaskSettings
from clients.tasks.shared_settings import TargetKind

if TYPE_CHECKING:
    # With torch, which is not needed to draw a page without pictures.
    from clients.case_pictures import ShownCase

SHOWN: Final = ("global", "personalised")
"""The models whose results are shown, in the order of the columns; the last chooses the cases."""

MOST_VENDORS: Final = 12
"""More vendors than these have no pictures: nobody looks at them, and the page becomes large."""


@dataclass(frozen=True)
class Pictures:
    """The cases of each vendor, and the colours of a segmentation's classes (name → RGB).

    ``apart`` says that they are on a page of their own instead.
    """

    cases: Mapping[str, list[ShownCase]] = field(default_factory=dict)
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    target: TargetKind = "class"
    apart: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of the cells of a case."""
        return "Input", "Target", "Released global model", "Personalised model"

    @property
    def how_to_read(self) -> str:
        """The rule by which cases are chosen, and the meaning of their pictures."""
        text = (
            "For each vendor the worst, the median, and the best of its validation cases, by its"
            " personalised model and the record's own score. All pictures have one window, from"
            " the lowest to the highest value of the prepared images. Of a volume one slice is"
            " drawn:"
        )
        match self.target:
            case "mask":
                return f"{text} that with most of the target's mask. Masks lie over the input."
            case "image":
                return (
                    f"{text} the middle one. Below each image stands its difference from the"
                    " target: red where it is too bright, blue where it is too dark, in full colour"
                    " from a fifth of the window on."
                )
            case _:
                return f"{text} the middle one. In brackets stands the class's probability."


NO_PICTURES: Final = Pictures()


def pictures_of(cases: Mapping[str, list[ShownCase]], task: TaskSettings) -> Pictures:
    """Return pictures of a task's cases by vendor."""
    from clients.case_pictures import COLOURS

    named = task.classes[1:] if task.target == "mask" else ()
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(named)}
    return Pictures(cases, colours, task.target)


def side_for(vendors: int) -> int:
    """Return the most pixels a side, so that a page stays small: a few hundred kilobytes."""
    return 128 if vendors <= 4 else 96 if vendors <= 8 else 64


def as_url(png: bytes) -> str:
    """Return a PNG file as a ``data:`` URL, so that the page fetches nothing."""
    return f"data:image/png;base64,{b64encode(png).decode()}"
