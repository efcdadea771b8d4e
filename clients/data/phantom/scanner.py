"""Turn slices into a CT scanner's images: blur, quantum noise, calibration, display window.

The modulation transfer function, with x = f / f50, is

    MTF(f) = (1 + b x^2) exp(-x^2 ln(2 (1 + b))),

a Gaussian with edge enhancement b (`kernel_boost`) that is 1/2 at f50 (`kernel_cutoff`) for every
b, and exceeds 1 below f50 for b > 1.68. Filtered back-projection shapes the noise power spectrum
by the ramp and the kernel,

    NPS(f) ~ f MTF(f)^2                 (Riederer, Pelc and Chesler, Phys. Med. Biol. 23:446, 1978),

and the variance falls as 1/dose and grows with the attenuation p along the rays. Tube-current
modulation by the square root of the attenuation (Gies et al., Med. Phys. 26:2235, 1999) leaves
exp(p/2) of the growth exp(p).

Kernel and pixel are those of the scanner's 512 x 512 matrix. On a smaller matrix both scale with
the pixel, as if the matrix were reconstructed with a proportionally softer kernel: blur and noise
grain keep their size in pixels at any matrix.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import fft

from clients.data.phantom.anatomy import Slices
from clients.data.phantom.ellipses import Floats, Reals

MATRIX = 512
WATER_PER_MM = 0.0192  # linear attenuation of water at about 70 keV
_POSITIVE = ("kernel_cutoff", "dose", "contrast_scale", "pixel_mm", "window_width")
_REFERENCE_PATH = 4.6  # attenuation of a mean abdomen, 240 mm of water


@dataclass(frozen=True)
class Scanner:
    """The properties of one vendor's scanner; ValueError for values that no scanner has."""

    name: str
    kernel_cutoff: float  # frequency where the MTF is 1/2, lp/cm at the 512 matrix
    kernel_boost: float  # edge enhancement b of the MTF, 0 for a smooth kernel
    dose: float  # relative to a routine examination
    noise_hu: float  # sd of the noise in a mean abdomen at dose 1, HU
    contrast_scale: float  # measured per true HU (tube voltage, calibration)
    offset_hu: float  # HU of water
    pixel_mm: float  # pixel of the 512 matrix, mm
    window_centre: float  # HU shown as 1/2
    window_width: float  # HU between black (0) and white (1)

    def __post_init__(self) -> None:
        """Refuse values that are not finite or out of range, naming the field."""
        if not self.name:
            raise ValueError("a scanner needs a name, found an empty one")
        for field in fields(self)[1:]:
            value, where = getattr(self, field.name), f"scanner {self.name!r}: {field.name}"
            if not math.isfinite(value):
                raise ValueError(f"{where} is {value}, but must be finite")
            if field.name in _POSITIVE and value <= 0:
                raise ValueError(f"{where} is {value}, but must be > 0")
            if field.name in ("kernel_boost", "noise_hu") and value < 0:
                raise ValueError(f"{where} is {value}, but must be >= 0")

    def pixel_at(self, size: int) -> float:
        """Return the pixel (mm) of a `size` x `size` matrix over the scanner's field of view."""
        return self.pixel_mm * MATRIX / size

    def mtf(self, frequency: Reals) -> Reals:
        """Return the modulation transfer function at frequencies in lp/cm at the 512 matrix."""
        x2 = np.square(frequency / self.kernel_cutoff)
        boost = self.kernel_boost
        transfer: Reals = (1 + boost * x2) * np.exp(-x2 * math.log(2 * (1 + boost)))
        return transfer

    def window(self, hounsfield: Floats) -> Floats:
        """Map HU to display values, clipped to 0..1."""
        scaled = (hounsfield - np.float32(self.window_centre)) / np.float32(self.window_width)
        return np.asarray(np.clip(scaled + np.float32(0.5), 0, 1), np.float32)


def acquire(
    slices: Slices, scanner: Scanner, rng: np.random.Generator, dose: float | None = None
) -> Floats:
    """Return images (n, 1, size, size) in 0..1 at `dose` (the scanner's own by default)."""
    dose = scanner.dose if dose is None else dose
    clean = noise_free(slices, scanner)
    return scanner.window(clean + quantum_noise(slices, scanner, rng, dose))[:, None]


def acquire_pair(
    slices: Slices, scanner: Scanner, rng: np.random.Generator, fraction: float = 0.25
) -> tuple[Floats, Floats]:
    """Return images at a `fraction` of the scanner's dose and at its full dose: (low, full).

    The low dose is simulated as in the Mayo/AAPM low-dose data: noise is added to the full-dose
    image until its variance is that of the low dose. The full-dose image equals that of `acquire`
    from the same generator state.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction of the dose is {fraction}, but must be between 0 and 1")
    full = noise_free(slices, scanner) + quantum_noise(slices, scanner, rng, scanner.dose)
    # Variances add, and each is 1/dose: 1/(f·d) = 1/d + (1/f - 1)/d.
    low = full + quantum_noise(slices, scanner, rng, scanner.dose / (1 / fraction - 1))
    return scanner.window(low)[:, None], scanner.window(full)[:, None]


def noise_free(slices: Slices, scanner: Scanner) -> Floats:
    """Return the expected HU (n, size, size): the slices blurred by the MTF, then calibrated."""
    transfer = scanner.mtf(_frequencies(slices.hounsfield.shape[-1], scanner))
    blurred = _filtered(slices.hounsfield, transfer)
    return np.float32(scanner.contrast_scale) * blurred + np.float32(scanner.offset_hu)


def quantum_noise(
    slices: Slices, scanner: Scanner, rng: np.random.Generator, dose: float
) -> Floats:
    """Draw FBP noise (n, size, size): variance noise_hu^2 / dose * exp((p - mean p) / 2), HU^2."""
    if not (math.isfinite(dose) and dose > 0):
        raise ValueError(f"the dose is {dose}, but must be finite and > 0")
    size = slices.hounsfield.shape[-1]
    frequency = _frequencies(size, scanner)
    amplitude = np.sqrt(frequency) * scanner.mtf(frequency)  # root of the NPS
    power = _mean_square(amplitude, size)
    white = rng.standard_normal(slices.hounsfield.shape, np.float32)
    grain = _filtered(white, amplitude / math.sqrt(power))
    return np.float32(scanner.noise_hu / math.sqrt(dose)) * _path_growth(slices) * grain


def _frequencies(size: int, scanner: Scanner) -> Reals:
    """Radial frequencies (size, size // 2 + 1) of the half spectrum, in lp/cm at the 512 matrix."""
    step_cm = scanner.pixel_mm / 10
    vertical, horizontal = fft.fftfreq(size, step_cm), fft.rfftfreq(size, step_cm)
    return np.asarray(np.hypot(vertical[:, None], horizontal))


def _mean_square(half: Reals, size: int) -> float:
    """Return the mean square over the whole spectrum, given the half that rfft stores."""
    # Columns between the first and the middle one count twice, for their mirror images.
    weight = np.full(half.shape[1], 2.0)
    weight[0] = 1
    if size % 2 == 0:
        weight[-1] = 1
    return float((half**2 * weight).sum() / size**2)


def _filtered(images: Floats, transfer: Reals) -> Floats:
    spectrum = fft.rfft2(images) * np.asarray(transfer, np.float32)
    filtered: Floats = fft.irfft2(spectrum, s=images.shape[-2:], overwrite_x=True)
    return filtered


def _path_growth(slices: Slices) -> Floats:
    """Return the factor of the noise's sd at each pixel, from its horizontal and vertical ray."""
    water = np.maximum(slices.hounsfield / np.float32(1000) + 1, 0)
    per_pixel = np.float32(WATER_PER_MM * slices.pixel_mm)
    rows, columns = (water.sum(axis=axis, keepdims=True) * per_pixel for axis in (2, 1))
    growth = [np.exp((p - np.float32(_REFERENCE_PATH)) / 2) for p in (rows, columns)]
    return np.asarray(np.sqrt((growth[0] + growth[1]) / 2), np.float32)


AVERAGE = Scanner("average", 4.2, 0.8, 0.75, 12.0, 1.0, 2.0, 0.68, 54.0, 415.0)
SCANNERS = (
    Scanner("Aster Smooth", 3.3, 0.0, 1.0, 8.0, 1.0, 0.0, 0.66, 50.0, 400.0),
    Scanner("Boreal Sharp", 5.4, 2.2, 1.0, 15.0, 1.05, 8.0, 0.62, 55.0, 370.0),
    Scanner("Cirrus Wide", 3.8, 0.6, 0.9, 12.0, 0.83, -10.0, 0.76, 50.0, 470.0),
    Scanner("Delta Eco", 4.6, 0.8, 0.4, 13.0, 1.12, 14.0, 0.67, 62.0, 440.0),
)
_LOWEST = (3.3, 0.0, 0.4, 8.0, 0.83, -10.0, 0.62, 45.0, 370.0)  # in the order of Scanner's fields
_HIGHEST = (5.4, 2.2, 1.0, 15.0, 1.12, 14.0, 0.76, 65.0, 470.0)
_START = 0.5  # seed of the sequence that fills the ranges
_LINEAR = ("kernel_boost", "offset_hu", "window_centre")


def scanner_for(index: int) -> Scanner:
    """Return the scanner of vendor `index`: from SCANNERS, or after them a new one in their range.

    The new ones fill the ranges evenly, by the additive recurrence frac(start + i phi^-j) for
    parameter j, phi the root of phi^(d + 1) = phi + 1 (M. Roberts, "The unreasonable effectiveness
    of quasirandom sequences", 2018). No two vendors are alike.
    """
    if index < 0:
        raise ValueError(f"the vendor's index is {index}, but vendors count from 0")
    if index < len(SCANNERS):
        return SCANNERS[index]
    low, high = np.array(_LOWEST), np.array(_HIGHEST)
    phi = 2.0
    for _ in range(40):  # the fixed-point iteration converges to double precision well before 40
        phi = (1 + phi) ** (1 / (len(low) + 1))
    steps = phi ** -np.arange(1.0, len(low) + 1)
    values = low + (high - low) * ((_START + (index - len(SCANNERS) + 1) * steps) % 1)
    return Scanner(f"Scanner {index}", *(round(float(v), 3) for v in values))


def with_heterogeneity(scanner: Scanner, heterogeneity: float) -> Scanner:
    """Move a scanner from AVERAGE (0) through itself (1) to twice its difference (2).

    The name stays. Positive quantities move geometrically, average * (own / average)^h, all others
    linearly.
    """
    if not 0 <= heterogeneity <= 2:
        raise ValueError(f"heterogeneity is {heterogeneity}, but must be between 0 and 2")
    moved = {}
    for field in fields(scanner)[1:]:
        own, mean = getattr(scanner, field.name), getattr(AVERAGE, field.name)
        if field.name in _LINEAR:
            moved[field.name] = mean + heterogeneity * (own - mean)
        else:
            moved[field.name] = mean * (own / mean) ** heterogeneity
    moved["kernel_boost"] = max(0.0, moved["kernel_boost"])  # linear, so h > 1 may pass below 0
    return scanner if heterogeneity == 1 else replace(scanner, **moved)
