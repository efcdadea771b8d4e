"""Change a network so that it can be trained with differential privacy.

Batch normalisation mixes records, so group normalisation replaces it. In-place operations and
modules registered twice break per-record gradients. Parameters without influence on the output
have no gradient to clip, and are frozen.
"""

from __future__ import annotations

import math

import torch
from monai.networks.nets import DynUNet
from torch import nn

from clients.privacy.gradients.out_of_place import add_out_of_place
from clients.privacy.gradients.standardised_convolution import standardise_weights

GROUPS = 8  # of a group norm; fewer where 8 does not divide the channels
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def make_dp_ready(
    network: nn.Module, probe: torch.Tensor, weight_standardisation: bool = False
) -> nn.Module:
    """Change ``network`` in place so that DP-SGD can train it; return it.

    ``probe`` is a batch (2 or more, channels, *space) of made-up images. Layers that stay keep
    their weights.
    """
    # No step may draw random numbers: equal networks must stay equal at all sites.
    network.to(probe.device)
    # By type, not by MONAI's norm= argument: many networks pass that to some of their layers only.
    replace_batch_norms(network)
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    add_out_of_place(network)
    remove_second_registrations(network)
    if weight_standardisation:
        standardise_weights(network)
    freeze_unused(network, probe)
    return network


def replace_batch_norms(network: nn.Module) -> None:
    """Replace batch norm by group norm, and instance norm by one without running statistics."""
    # One replacement for each old layer: a layer with two names must stay one layer.
    replaced: dict[nn.Module, nn.Module] = {}
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BATCH_NORMS):
                replaced.setdefault(child, _group_norm(child))
            elif isinstance(child, INSTANCE_NORMS) and child.track_running_stats:
                replaced.setdefault(child, _instance_norm(child))
            if child in replaced:
                setattr(parent, name, replaced[child])


def _group_norm(batch_norm: nn.Module) -> nn.Module:
    channels = int(batch_norm.num_features)  # type: ignore[arg-type]
    norm = nn.GroupNorm(
        math.gcd(GROUPS, channels),
        channels,
        eps=float(batch_norm.eps),  # type: ignore[arg-type]
        affine=bool(batch_norm.affine),
    )
    return _with_scale_of(batch_norm, norm)


def _instance_norm(tracking: nn.Module) -> nn.Module:
    norm: nn.Module = type(tracking)(
        tracking.num_features,
        eps=tracking.eps,
        affine=tracking.affine,
    )
    return _with_scale_of(tracking, norm)


def _with_scale_of(old: nn.Module, new: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            theirs = old.get_parameter(name)
            new.to(theirs.device, theirs.dtype)
            new.get_parameter(name).copy_(theirs)
            parameter.requires_grad_(theirs.requires_grad)
    return new.train(old.training)


def remove_second_registrations(network: nn.Module) -> None:
    """Keep one of the two names under which DynUNet registers each block."""
    # Its forward runs through skip_layers, which holds the same blocks. Hooks on both names would
    # make their per-record gradients twice too large, silently.
    for module in network.modules():
        if isinstance(module, DynUNet):
            for name in ("input_block", "downsamples", "bottleneck", "upsamples"):
                if name in module._modules:
                    delattr(module, name)


def freeze_unused(network: nn.Module, probe: torch.Tensor) -> list[str]:
    """Freeze the parameters without influence on the output; return their names."""
    gradients = _gradients(network, probe)
    unused = [name for name, gradient in gradients.items() if gradient is None]
    for name in unused:
        network.get_parameter(name).requires_grad_(False)
    return unused


def _gradients(network: nn.Module, probe: torch.Tensor) -> dict[str, torch.Tensor | None]:
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    training = network.training
    with torch.random.fork_rng(devices=[probe.device] if probe.device.type == "cuda" else []):
        network.train()
        output = output_of(network(probe))
        gradients = torch.autograd.grad(
            output.float().square().mean(), list(named.values()), allow_unused=True
        )
    network.train(training)
    return dict(zip(named, gradients, strict=True))


def output_of(output: object) -> torch.Tensor:
    """Return the first tensor of a network's output (deep supervision gives several)."""
    while isinstance(output, list | tuple):
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"expected a tensor from the network, got {type(output).__name__}")
    return output


def last_layers(network: nn.Module, probe: torch.Tensor, count: int) -> list[nn.Parameter]:
    """Return the trainable parameters of the ``count`` layers that run last."""
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda layer, _inputs, _output: ran.append(layer))
        for module in network.modules()
        if any(p.requires_grad for p in module.parameters(recurse=False))
    ]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network(probe)
    finally:
        for hook in hooks:
            hook.remove()
    latest_first = list(dict.fromkeys(reversed(ran)))  # a layer may run more than once
    chosen = latest_first[:count]
    return [p for layer in chosen for p in layer.parameters(recurse=False) if p.requires_grad]


def make_probe(shape: tuple[int, ...], device: torch.device, records: int = 3) -> torch.Tensor:
    """Return made-up images of ``shape`` (channels, *space): standard normal, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn((records, *shape), generator=generator).to(device)
