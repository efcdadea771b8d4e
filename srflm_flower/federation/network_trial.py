"""Try a federation's network on made-up images before anything starts."""

from __future__ import annotations

from clients.data.vendor_data import VendorData
from clients.networks.build import try_network
from clients.networks.facts import NetworkFacts
from clients.networks.shapes import Size
from clients.settings import STOCK_NETWORKS
from srflm_flower.federation.federation import Federation


def try_network_of(federation: Federation, size: Size | None = None) -> NetworkFacts:
    """Run the network once, without data and memory, and return what it is like.

    ``size`` is that of real images in pixels, by default the file's; where neither is known, a size
    that suits.  Raises :class:`strategies.errors.ConfigurationError` for a network, or arguments of
    it, that the task or images of this size cannot use.
    """
    return try_network(
        federation.network_settings,
        federation.task,
        size or federation.image_shape,
        federation.training.batch_size,
    )


def try_on(federation: Federation, data: VendorData) -> None:
    """Try the network on images of the size that the data has, unless the file told it before.

    Raises as :func:`try_network_of` does.
    """
    size = size_of(data)
    # The networks of old take images of any size.
    if federation.model.network not in STOCK_NETWORKS and size != federation.image_shape:
        try_network_of(federation, size)


def size_of(data: VendorData) -> Size:
    """Return the sides of a vendor's images in pixels."""
    return tuple(data.train.images.shape[2:])
