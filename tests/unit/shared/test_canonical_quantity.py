"""Quantities as the API writes them back."""

import pytest

from k8slite.quantity import LARGEST, QuantityError, canonical, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("+5", "5"),
        ("-1500m", "-1500m"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("1000e3", "1e6"),
        ("12e-1", "1200e-3"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("8000001Ki", "8000001Ki"),
        ("0.1Gi", "107374182400m"),
        ("0Gi", "0"),
        ("0.0000000001", "1n"),
        (1, "1"),
        (0.25, "250m"),
    ],
)
def test_canonical_form(text, expected):
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["1e999999999", "9" * 100, "100000Ei", "9" * 50 + "Ki"])
def test_huge_quantities_count_as_the_largest(text):
    assert parse(text) == LARGEST
    assert canonical(text)


def test_tiny_quantities_are_not_nothing():
    assert canonical("1e-999999999") == "1e-9"


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1e", "١", "1\n", "9" * 300])
def test_other_texts_are_none(text):
    with pytest.raises(QuantityError):
        parse(text)
