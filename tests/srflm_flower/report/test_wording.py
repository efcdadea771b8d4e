import pytest

from srflm_flower.report.wording import duration, meaning_of, metric_in_full, number, shortened
from strategies.errors import NO_REPLY, FederationStopped, SrflmError


@pytest.mark.parametrize(
    ("value", "text"), [(0.8125, "0.812"), (1234.5, "1,234.500"), (None, "–"), (float("nan"), "–")]
)
def test_numbers_have_three_decimals_or_a_dash(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20.32, "20.3 s"), (59.97, "1 min 0 s"), (245.0, "4 min 5 s"), (12000.0, "3 h 20 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_shortened_names_keep_both_ends() -> None:
    assert shortened("aster") == "aster"
    short = shortened("university-hospital-of-the-west", 18)
    assert len(short) == 18
    assert short == "universit…the-west"


def test_every_code_has_a_meaning() -> None:
    codes = [NO_REPLY, *(code for kind in SrflmError.__subclasses__() for code in kind.codes)]
    assert FederationStopped.NO_QUORUM in codes
    for code in codes:
        assert "does not know" not in meaning_of(code)
    assert "does not know" in meaning_of("SRFLM-Z9")


def test_unknown_metric_is_spelt_with_spaces() -> None:
    assert metric_in_full("auc") == "Area under the ROC curve"
    assert metric_in_full("surface-dice") == "Surface dice"
