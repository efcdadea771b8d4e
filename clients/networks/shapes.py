"""What a task asks of its network: the shapes of what goes in and of what comes out."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, ...]
"""The sides of an image, or of the patch that a network sees, in pixels: one a dimension."""


@dataclass(frozen=True)
class Shapes:
    """From images (B, in_channels, *space) to (B, outputs), or to images (B, outputs, *space)."""

    spatial_dims: int
    in_channels: int
    outputs: int
    image_to_image: bool = False

    def images(self, records: int, size: Size) -> tuple[int, ...]:
        """Return the shape of a batch of ``records`` images."""
        return (records, self.in_channels, *size)

    def answers(self, records: int, size: Size) -> tuple[int, ...]:
        """Return the shape of the network's output for such a batch."""
        return (records, self.outputs, *(size if self.image_to_image else ()))

    @property
    def words(self) -> str:
        """What such a network does, in words."""
        return "maps images to images" if self.image_to_image else "maps images to classes"

    @property
    def examples(self) -> str:
        """Some of MONAI's networks of this kind."""
        return "UNet, SegResNet, DynUNet" if self.image_to_image else "DenseNet121, ResNet, SENet"


def by(size: Size) -> str:
    """Return a size in words: ``64 × 64``."""
    return " × ".join(map(str, size))
