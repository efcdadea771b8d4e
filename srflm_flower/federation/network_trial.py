"""Try a federation's network on made-up images before anything starts."""

from __future__ import annotations

from clients.data.vendor_data import VendorData
from clients.networks.build import initial_network, shapes_of, try_network
from clients.networks.facts import NetworkFacts
from clients.networks.shapes import Size
from clients.settings import STOCK_NETWORKS
from srflm_flower.federation.entries import check_entries
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


def check_network(federation: Federation, size: Size | None = None) -> None:
    """Try the network before a run, unless it is known to be right; arguments and errors as
    :func:`try_network_of` has them.  Agreed initial weights and code of others are tried too.
    """
    check_entries(federation)
    # The four of old classify images of any size, so that their runs start at once.
    known = federation.model.network in STOCK_NETWORKS
    if not known or shapes_of(federation.task).image_to_image:
        try_network_of(federation, size)
    check_initial_weights(federation)


def check_initial_weights(federation: Federation) -> None:
    """Load the agreed initial weights, if there are any, into the network.

    Raises :class:`strategies.errors.ConfigurationError` for a file that is missing, is not the
    agreed one, or does not fit the network.
    """
    model = federation.network_settings
    if model.initial_weights is not None:
        initial_network(model, federation.task, federation.seed, federation.image_shape)


def check_network_on(federation: Federation, data: VendorData) -> None:
    """Try the network on images of the size that the data has, unless the file told it before.

    Raises as :func:`try_network_of` does.
    """
    # Features are of images of any size.
    size = size_of(data)
    if size != federation.image_shape and federation.model.features is None:
        check_network(federation, size)


def size_of(data: VendorData) -> Size:
    """Return the sides of what a network sees of a vendor's images, in pixels."""
    return tuple(data.train.empty()[0].shape[2:])
