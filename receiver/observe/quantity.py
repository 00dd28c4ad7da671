"""Kubernetes quantities and what one pod asks for.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ and, for initial and sidecar containers,
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}

Amounts = Mapping[str, Decimal]
_NONE = Decimal(0)


def quantity(text: object) -> Decimal:
    """`500m`, `1Gi`, `2`, `1e3` as a number; ValueError for anything else."""
    digits = str(text)
    power = Decimal(1)
    if digits[-2:] in _BINARY:
        digits, power = digits[:-2], Decimal(1024) ** _BINARY[digits[-2:]]
    elif digits[-1:] in _DECIMAL:
        digits, power = digits[:-1], Decimal(10) ** _DECIMAL[digits[-1:]]
    try:
        found = Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(f"{str(text)[:32]!r} is no quantity, as 500m or 1Gi") from error
    if not found.is_finite():
        raise ValueError(f"{str(text)[:32]!r} is no quantity, as 500m or 1Gi")
    return found * power


def asked(spec: Mapping[str, Any], *, side: str) -> dict[str, Decimal]:
    """What a pod of that spec counts against a quota; `side` is `requests` or `limits`."""
    mains = [_amounts(each, side) for each in spec.get("containers") or ()]
    sidecars = [_amounts(each, side) for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    firsts = [_amounts(each, side) for each in spec.get("initContainers") or () if each.get("restartPolicy") != "Always"]
    running = _sum([*mains, *sidecars])
    for each in firsts:
        with_sidecars = _sum([each, *sidecars])
        running = {name: max(running.get(name, _NONE), with_sidecars.get(name, _NONE)) for name in {*running, *with_sidecars}}
    return _sum([running, {name: quantity(each) for name, each in (spec.get("overhead") or {}).items()}])


def _amounts(container: Mapping[str, Any], side: str) -> Amounts:
    resources = container.get("resources") or {}
    given = resources.get(side) or {}
    if side == "requests":  # a request that is left out takes the limit's value
        given = {**(resources.get("limits") or {}), **given}
    return {name: quantity(each) for name, each in given.items()}


def _sum(parts: list[Amounts]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for each in parts:
        for name, amount in each.items():
            found[name] = found.get(name, _NONE) + amount
    return found
