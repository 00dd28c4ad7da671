"""The shipped IAM policy as our servers hold it against every call: what it does not grant is denied, as AWS would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "deploy" / "aws" / "policy.json"
SIGNED_AS = {"monitoring": "cloudwatch"}
"""Name that a request is signed for → prefix in IAM, where they differ."""
SDK_NAMES = {"elbv2": "elasticloadbalancing"}
"""Name in the SDK → prefix in IAM, where they differ."""
SAME_RIGHT = {"DeleteMessageBatch": "DeleteMessage", "ChangeMessageVisibilityBatch": "ChangeMessageVisibility"}
"""`sqs-api-permissions-reference` in the developer guide of SQS."""


def policy() -> dict[str, Any]:
    """As it is committed."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


@cache
def granted() -> frozenset[str]:
    """As `ecs:UpdateService`."""
    return frozenset(action for each in policy()["Statement"] for action in each["Action"])


def right(service: str, operation: str) -> str:
    """Of a call: by the SDK's names (`elbv2`, `describe_target_health`), or by those on the wire."""
    named = "".join(each.capitalize() for each in operation.split("_")) if operation.islower() else operation
    return f"{SDK_NAMES.get(service) or SIGNED_AS.get(service, service)}:{SAME_RIGHT.get(named, named)}"


def called(headers: Mapping[str, str], path: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Prefix in IAM and operation of a request, whichever of AWS's protocols it speaks."""
    scope = headers.get("Authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = scope[3] if len(scope) > 3 else ""
    operation = headers.get("X-Amz-Target", "").rpartition(".")[2] or form.get("Action", "") or path.rpartition("/")[2]
    return SIGNED_AS.get(service, service), operation
