"""The scattering transform of 2-D images: wavelets and moduli that nobody has to train.

Bruna and Mallat, "Invariant scattering convolution networks", IEEE TPAMI 35 (2013).
"""

# Written here, as kymatio imports a function that SciPy no longer has (scipy.special.sph_harm).

from __future__ import annotations

import math
from itertools import product

import torch
from torch import nn
from torch.nn import functional

WIDTH = 0.8  # of the wavelet of scale 0, in pixels
FREQUENCY = 3 * math.pi / 4  # of the wavelet of scale 0, in radians a pixel


class Scattering(nn.Module):
    """Coefficients of order 0, 1, and 2 of images (B, C, *sides), at every 2^J-th pixel.

    ``scales`` is J, ``angles`` L.  The output is (B, C · paths, *cells): ``paths`` =
    1 + J·L + L²·J·(J − 1)/2 averages at scale J of the image, of |x ⋆ ψ₁|, and of ||x ⋆ ψ₁| ⋆ ψ₂|
    with ψ₂ of a larger scale than ψ₁.  It has no parameters, and no weights that travel.
    """

    def __init__(self, sides: tuple[int, int], scales: int, angles: int) -> None:
        super().__init__()
        self.scales, self.angles = scales, angles
        step = 2**scales
        self.cells = (-(-sides[0] // step), -(-sides[1] // step))
        self.paths = 1 + scales * angles + angles**2 * scales * (scales - 1) // 2
        # A step around the image, up to whole steps: wavelets wrap around at the border.
        whole = [(cells + 2) * step for cells in self.cells]
        missing = [(step, side - old - step) for side, old in zip(whole, sides, strict=True)]
        self._padding = (*missing[1], *missing[0])  # functional.pad counts axes from the last one
        average, wavelets = filters((whole[0], whole[1]), scales, angles)
        for level in range(scales):
            self._keep(f"average{level}", _repeated(average, 2**level))
            for scale in range(level, scales):
                self._keep(f"waves{level}{scale}", _repeated(wavelets[scale], 2**level))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the coefficients of images (B, C, *sides), float32."""
        spectrum = torch.fft.fft2(functional.pad(images, self._padding, mode="replicate"))
        found = [self._averaged(spectrum, 0).unsqueeze(2)]
        for first in range(self.scales):
            inner = self._modulus(spectrum, 0, first)
            found.append(self._averaged(inner, first))
            for second in range(first + 1, self.scales):
                outer = self._modulus(inner, first, second)
                found.append(self._averaged(outer, second).flatten(2, 3))
        return torch.cat(found, dim=2).flatten(1, 2)

    def _modulus(self, spectrum: torch.Tensor, level: int, scale: int) -> torch.Tensor:
        """Return the spectrum of |u ⋆ ψ| for all angles, at every 2^scale-th pixel.

        ``spectrum`` is that of u at every 2^level-th pixel.
        """
        waves = getattr(self, f"waves{level}{scale}")
        filtered = _thinned(spectrum.unsqueeze(-3) * waves, 2 ** (scale - level))
        spectrum_of_modulus: torch.Tensor = torch.fft.fft2(torch.fft.ifft2(filtered).abs())
        return spectrum_of_modulus

    def _averaged(self, spectrum: torch.Tensor, level: int) -> torch.Tensor:
        smooth = spectrum * getattr(self, f"average{level}")
        thin: torch.Tensor = torch.fft.ifft2(_thinned(smooth, 2 ** (self.scales - level))).real
        return thin[..., 1:-1, 1:-1]  # without what stands around the image

    def _keep(self, name: str, values: torch.Tensor) -> None:
        # Not persistent: what follows from the settings is no weight.
        self.register_buffer(name, values, persistent=False)


def filters(
    sides: tuple[int, int], scales: int, angles: int
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the spectra of the average φ (*sides), and of the wavelets (angles, *sides) by scale.

    |φ|² plus half of the sum of all |ψ(ω)|² + |ψ(−ω)|² is at most 1 everywhere, so that the
    transform does not raise an image's energy (Bruna and Mallat, equation 5).
    """
    average = _bump(sides, WIDTH * 2 ** (scales - 1), 0.0, 0.0, 1.0)
    wavelets = [
        torch.stack([_morlet(sides, scale, math.pi * n / angles, angles) for n in range(angles)])
        for scale in range(scales)
    ]
    power = torch.stack([each.square().sum(0) for each in wavelets]).sum(0)
    opposite = power.flip(0, 1).roll((1, 1), (0, 1))
    power = (power + opposite) / 2
    heard = power > 1e-4 * power.max()
    factor = ((1 - average.square()).clamp(min=0)[heard] / power[heard]).min().sqrt()
    return average.float(), [(factor * each).float() for each in wavelets]


def _morlet(sides: tuple[int, int], scale: int, angle: float, angles: int) -> torch.Tensor:
    """Return the spectrum of a Morlet wavelet: a wave under a Gaussian, with a mean of 0."""
    width, slant = WIDTH * 2**scale, 4 / angles
    wave = _bump(sides, width, FREQUENCY / 2**scale, angle, slant)
    still = _bump(sides, width, 0.0, angle, slant)
    return wave - still * (wave[0, 0] / still[0, 0])


def _bump(
    sides: tuple[int, int], width: float, frequency: float, angle: float, slant: float
) -> torch.Tensor:
    """Return a Gaussian's spectrum around ``frequency`` in the direction ``angle``, 1 at its top.

    In space it has the deviation ``width`` along the direction, and ``width`` / ``slant`` across.
    """
    down, right = (2 * math.pi * torch.fft.fftfreq(side, dtype=torch.float64) for side in sides)
    total = torch.zeros(sides, dtype=torch.float64)
    # Sampled in space, so repeated in frequency.
    for turn_down, turn_right in product((-1, 0, 1), repeat=2):
        y = (down + 2 * math.pi * turn_down).unsqueeze(1)
        x = right + 2 * math.pi * turn_right
        along = x * math.cos(angle) + y * math.sin(angle) - frequency
        across = y * math.cos(angle) - x * math.sin(angle)
        total += torch.exp(-((width * along).square() + (width * across / slant).square()) / 2)
    return total / total.max()


def _repeated(spectrum: torch.Tensor, step: int) -> torch.Tensor:
    """Return the spectrum of a filter for signals of which every ``step``-th pixel is kept."""
    return _folds(spectrum, step).sum((-4, -2))


def _thinned(spectrum: torch.Tensor, step: int) -> torch.Tensor:
    """Return the spectrum of every ``step``-th pixel of a signal."""
    return _folds(spectrum, step).mean((-4, -2))


def _folds(spectrum: torch.Tensor, step: int) -> torch.Tensor:
    *others, height, width = spectrum.shape
    return spectrum.reshape(*others, step, height // step, step, width // step)
