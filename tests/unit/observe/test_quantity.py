"""Quantities, and what a pod asks for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from receiver.observe.quantity import asked, quantity


@pytest.mark.parametrize(
    "text,wanted",
    [
        ("0", "0"), ("2", "2"), ("500m", "0.5"), ("1.5", "1.5"), ("1k", "1000"), ("1Ki", "1024"), ("2Gi", str(2 * 2**30)),
        ("1e3", "1000"), ("1E3", "1000"), ("1E", str(10**18)), ("100n", "0.0000001"), ("128974848", "128974848"),
    ],
)  # fmt: skip
def test_quantities_are_read(text: str, wanted: str) -> None:
    assert quantity(text) == Decimal(wanted)


@pytest.mark.parametrize("text", ["", "many", "1Xi", "Gi", "NaN", "Infinity", "1 Gi x"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def test_a_request_that_is_left_out_takes_the_limits_value() -> None:
    spec = {"containers": [{"resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}}]}
    assert asked(spec, side="requests") == {"cpu": 1, "memory": 2**30}


def test_initial_containers_run_before_and_sidecars_beside() -> None:
    def needs(cpu: str, **more: str) -> dict[str, object]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [needs("1"), needs("1")],
        "initContainers": [needs("500m", restartPolicy="Always"), needs("4")],
        "overhead": {"cpu": "100m"},
    }
    assert asked(spec, side="requests") == {"cpu": Decimal("4.6")}
