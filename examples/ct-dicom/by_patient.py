"""Print the PSNR of each test patient, before and after the vendor's personalised network.

    python examples/ct-dicom/by_patient.py RUN

RUN is the folder of a finished `srflm simulate examples/ct-dicom/federation.toml`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from clients.data.sources import load_vendor_data
from clients.tasks.registry import task_of
from srflm_flower import load_model
from srflm_flower.federation.loading import load_federation


@torch.no_grad()
def main(run: Path) -> None:
    """Print a row for each patient of each vendor; numbers stand for patients."""
    federation = load_federation(run / "federation.toml")
    task, numbers = task_of(federation.task), dict[str, int]()
    print("| vendor | patient | slices | input | restored | gain, dB |\n|---|---|---|---|---|---|")
    for vendor in federation.roster:
        test = load_vendor_data(federation.data_plan(), vendor).test
        network = load_model(run / "models" / f"{vendor}.safetensors").eval()
        restored = torch.cat([network(image[None]) for image in test.images])
        scores = task.scores(restored, test.cases, in_full=True)
        for patient in dict.fromkeys(test.patients):
            mine = [n for n, each in enumerate(test.patients) if each == patient]
            found = task.summary(scores[mine])
            psnr, gain = found["psnr"], found["gain"]
            number = numbers.setdefault(patient, len(numbers) + 1)
            print(
                f"| {vendor} | {number} | {len(mine)} | {psnr - gain:.2f} | {psnr:.2f}"
                f" | {gain:+.2f} |"
            )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
