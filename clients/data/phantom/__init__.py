"""A made-up CT data set: the same kind of patients, imaged by a different scanner per vendor."""

from clients.data.phantom.anatomy import Slices, draw_slices
from clients.data.phantom.dataset import PhantomImages, make_vendor
from clients.data.phantom.lesions import LESION_CLASSES
from clients.data.phantom.organs import Organ
from clients.data.phantom.preview import write_preview
from clients.data.phantom.scanner import (
    SCANNERS,
    Scanner,
    acquire,
    acquire_pair,
    scanner_for,
    with_heterogeneity,
)

__all__ = [
    "LESION_CLASSES",
    "SCANNERS",
    "Organ",
    "PhantomImages",
    "Scanner",
    "Slices",
    "acquire",
    "acquire_pair",
    "draw_slices",
    "make_vendor",
    "scanner_for",
    "with_heterogeneity",
    "write_preview",
]
