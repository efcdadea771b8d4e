"""Rules of image formation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.data.phantom import (
    SCANNERS,
    Scanner,
    Slices,
    acquire,
    acquire_pair,
    draw_slices,
    scanner_for,
    with_heterogeneity,
)
from clients.data.phantom.ellipses import Floats
from clients.data.phantom.scanner import AVERAGE, noise_free, quantum_noise


@pytest.fixture(scope="module")
def slices() -> Slices:
    return draw_slices(24, 64, AVERAGE.pixel_at(64), np.random.default_rng(0))


def high_frequency_energy(images: Floats) -> float:
    power = np.abs(np.fft.fft2(images)) ** 2
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n) for n in images.shape[-2:]]))
    return float(power[..., radius > 0.25].sum())


def noise(slices: Slices, scanner: Scanner, dose: float, seed: int = 0) -> Floats:
    return quantum_noise(slices, scanner, np.random.default_rng(seed), dose)


def test_images_are_display_values_with_a_channel_axis(slices: Slices) -> None:
    images = acquire(slices, SCANNERS[0], np.random.default_rng(0))
    assert images.shape == (24, 1, 64, 64)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1


def test_same_generator_state_acquires_the_same_images(slices: Slices) -> None:
    first, second = (acquire(slices, SCANNERS[1], np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@given(
    cutoff=st.floats(0.1, 20),
    boost=st.floats(0, 10),
)
def test_mtf_is_one_at_zero_and_a_half_at_the_cutoff(cutoff: float, boost: float) -> None:
    scanner = replace(AVERAGE, kernel_cutoff=cutoff, kernel_boost=boost)
    np.testing.assert_allclose(scanner.mtf(np.array([0.0, cutoff])), [1, 0.5], rtol=1e-9)


def test_sharper_kernel_passes_more_high_frequencies(slices: Slices) -> None:
    kernels = [replace(AVERAGE, kernel_cutoff=cutoff) for cutoff in (3.0, 4.0, 5.0, 6.0)]
    energy = [high_frequency_energy(noise_free(slices, k)) for k in kernels]
    assert energy == sorted(energy)
    assert energy[0] < energy[-1] / 3


def test_blur_keeps_the_mean_and_calibration_moves_it(slices: Slices) -> None:
    plain = replace(AVERAGE, contrast_scale=1.0, offset_hu=0.0)
    moved = replace(AVERAGE, contrast_scale=0.8, offset_hu=20.0)
    mean = slices.hounsfield.mean()
    assert noise_free(slices, plain).mean() == pytest.approx(mean, abs=0.1)
    assert noise_free(slices, moved).mean() == pytest.approx(0.8 * mean + 20, abs=0.1)


def test_noise_variance_falls_as_one_over_dose(slices: Slices) -> None:
    full, quarter = noise(slices, AVERAGE, 1.0, seed=1), noise(slices, AVERAGE, 0.25, seed=2)
    assert quarter.var() / full.var() == pytest.approx(4, rel=0.05)


def test_noise_has_the_stated_sd_for_a_mean_abdomen() -> None:
    mean_path = AVERAGE.pixel_at(64) * 64
    water = 240 / mean_path * 1000 - 1000
    flat = Slices(
        np.full((20, 64, 64), water, np.float32),
        np.ones((20, 64, 64), np.uint8),
        np.zeros(20, np.int64),
        AVERAGE.pixel_at(64),
    )
    assert noise(flat, AVERAGE, 1.0).std() == pytest.approx(AVERAGE.noise_hu, rel=0.02)


def test_noise_grows_with_the_attenuation_of_the_body(slices: Slices) -> None:
    denser = replace(slices, hounsfield=(slices.hounsfield + 1000) * np.float32(1.3) - 1000)
    assert noise(denser, AVERAGE, 1.0).std() > 1.1 * noise(slices, AVERAGE, 1.0).std()


def test_noise_power_follows_ramp_times_squared_mtf(slices: Slices) -> None:
    air = replace(slices, hounsfield=np.full((400, 64, 64), -1000, np.float32))
    power = np.mean(np.abs(np.fft.rfft2(noise(air, AVERAGE, 1.0))) ** 2, axis=0)
    frequency = np.fft.rfftfreq(64, AVERAGE.pixel_mm / 10)
    expected = frequency * AVERAGE.mtf(frequency) ** 2
    ratio = power[0, 1:20] / expected[1:20]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.25)
    assert power[0, 0] < 1e-6 * power.max()


def test_low_dose_has_four_times_the_variance_and_the_same_full_dose_image(slices: Slices) -> None:
    wide = replace(AVERAGE, window_width=1e5)
    low, full = acquire_pair(slices, wide, np.random.default_rng(3))
    clean = wide.window(noise_free(slices, wide))[:, None]
    assert np.var(low - clean) / np.var(full - clean) == pytest.approx(4, rel=0.05)
    np.testing.assert_array_equal(full, acquire(slices, wide, np.random.default_rng(3)))


def test_vendors_differ_on_the_same_patients(slices: Slices) -> None:
    images = [acquire(slices, s, np.random.default_rng(0)) for s in SCANNERS]
    for i, one in enumerate(images):
        for other in images[:i]:
            assert np.abs(one - other).mean() > 0.01


def test_first_scanners_are_the_named_ones() -> None:
    assert tuple(scanner_for(i) for i in range(4)) == SCANNERS


def test_sixty_scanners_are_distinct_deterministic_and_plausible() -> None:
    scanners = [scanner_for(i) for i in range(60)]
    assert scanners == [scanner_for(i) for i in range(60)]
    assert len({replace(s, name="x") for s in scanners}) == 60
    assert len({s.name for s in scanners}) == 60
    assert all(3 <= s.kernel_cutoff <= 6 and 0.3 <= s.dose <= 1 for s in scanners)


@pytest.mark.parametrize("index", range(12))
def test_no_heterogeneity_makes_all_scanners_alike(index: int) -> None:
    assert with_heterogeneity(scanner_for(index), 0.0) == replace(
        AVERAGE, name=scanner_for(index).name
    )


@given(index=st.integers(0, 80), heterogeneity=st.floats(0, 2))
def test_every_heterogeneity_gives_a_valid_scanner_that_can_hold_a_body(
    index: int, heterogeneity: float
) -> None:
    scanner = with_heterogeneity(scanner_for(index), heterogeneity)
    assert 64 * scanner.pixel_at(64) > 280
    assert with_heterogeneity(scanner, 1.0) == scanner


def test_heterogeneity_is_the_distance_from_the_average_scanner() -> None:
    offsets = [with_heterogeneity(SCANNERS[3], h).offset_hu for h in (0.0, 0.5, 1.0, 2.0)]
    assert offsets == pytest.approx([2, 8, 14, 26])


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("kernel_cutoff", 0.0, "kernel_cutoff is 0.0, but must be > 0"),
        ("dose", -1.0, "dose is -1.0, but must be > 0"),
        ("kernel_boost", -0.1, "kernel_boost is -0.1, but must be >= 0"),
        ("noise_hu", -5.0, "noise_hu is -5.0, but must be >= 0"),
        ("window_width", np.inf, "window_width is inf, but must be finite"),
        ("offset_hu", np.nan, "offset_hu is nan, but must be finite"),
        ("name", "", "needs a name"),
    ],
)
def test_impossible_scanner_is_refused(field: str, value: float | str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(AVERAGE, **{field: value})  # type: ignore[arg-type]


def test_impossible_requests_are_refused(slices: Slices) -> None:
    rng = np.random.default_rng()
    with pytest.raises(ValueError, match="dose is 0"):
        acquire(slices, AVERAGE, rng, dose=0.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        acquire_pair(slices, AVERAGE, rng, fraction=1.0)
    with pytest.raises(ValueError, match="between 0 and 2"):
        with_heterogeneity(AVERAGE, 2.1)
    with pytest.raises(ValueError, match="count from 0"):
        scanner_for(-1)
