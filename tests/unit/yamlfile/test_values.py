"""`1h30m`, `20%`, `16MiB`, addresses: taken as they are meant, refused when they are not clear."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.yamlfile.values import read_address, read_as, read_duration, read_flag, read_share, read_size, show_duration


@pytest.mark.parametrize(
    "text,seconds",
    [("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800), ("500ms", 0.5), ("1d2h3m4s5ms", 93_784.005)],
)
def test_durations_are_read_as_prometheus_writes_them(text: str, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", 5, 5.0, True, None, "5 m", "-5m", "m", "1m1h", "1.5h", "5M", "٥m", "3661d", "9999999s" * 2, [], {}]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|3660d"):
        read_duration(value)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3660)))
def test_a_shown_duration_reads_back(value: timedelta) -> None:
    rounded = timedelta(milliseconds=value // timedelta(milliseconds=1))
    assert read_duration(show_duration(rounded)) == rounded


@pytest.mark.parametrize("value,share", [("20%", 0.2), ("0%", 0.0), ("100%", 1.0), ("12.5%", 0.125), (0.2, 0.2), (1, 1.0)])
def test_a_share_is_a_percentage_or_a_fraction(value: object, share: float) -> None:
    assert read_share(value) == share


@pytest.mark.parametrize("value", ["120%", "-1%", 20, -0.1, True, None, "20", "a%", float("nan")])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"20% or 0\.2"):
        read_share(value)


@pytest.mark.parametrize("value,size", [("16MiB", 16 << 20), ("1GB", 10**9), (4096, 4096), ("4096", 4096), ("1 KiB", 1024)])
def test_a_size_has_its_unit_or_is_in_bytes(value: object, size: int) -> None:
    assert read_size(value) == size


@pytest.mark.parametrize("value", ["16M", "-1", 1.5, True, None, "MiB"])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="size"):
        read_size(value)


@pytest.mark.parametrize("value", ["yes", "on", "true", 1, 0, None])
def test_a_flag_is_true_or_false_and_nothing_else(value: object) -> None:
    assert read_flag(True)
    with pytest.raises(ValueError, match="allowed: true, false"):
        read_flag(value)


@pytest.mark.parametrize("value", ["http://prometheus:9090", "https://a.example/b?c=d#e", "http://[::1]:9090/x"])
def test_an_address_is_http_or_https(value: str) -> None:
    assert read_address(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "ftp://a", "javascript:alert(1)", "file:///etc/passwd", "//a", "a", "http://", "http:///x", "https://user:hunter2@a.example",
        "http://a b", "http://a\n", "http://a:99999", "http://[::1", 5, None, "https://a/" + "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_such_address_is_refused_and_a_password_in_it_is_not_repeated(value: object) -> None:
    with pytest.raises(ValueError, match="address") as refused:
        read_address(value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "kind,value,expected", [(timedelta, "5m", timedelta(minutes=5)), (int, 3, 3), (float, "20%", 0.2), (float, 2, 2.0), (float, 0.5, 0.5)]
)
def test_a_field_is_read_by_its_kind(kind: type, value: object, expected: object) -> None:
    assert read_as(kind, value) == expected


@pytest.mark.parametrize(
    "kind,value", [(timedelta, 5), (int, "3"), (int, -1), (int, True), (int, 1.5), (float, -1), (float, True), (float, "x"), (float, None)]
)
def test_a_field_of_another_kind_is_refused(kind: type, value: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        read_as(kind, value)
