"""The IAM policy of `deploy/aws/policy.json`: what our actions, looks, evidence and ways in declare, one statement a feature and scope.

    make aws-policy        # python -m receiver.aws_policy > deploy/aws/policy.json

Law: nothing is granted that nobody declares, and no right twice: what a look needs stands with the looks, also where an action needs it. A
change of a service is granted only where its tag consents; a service deployment, which has no tags, in the cluster. Words in capitals are
for the operator to fill in. Run by hand; read by tests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.clients.aws_access import AwsAccess
from receiver.clients.sns import Subscriptions
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ingest.sqs import QueuePuller
from receiver.observe import ECS_OBSERVERS
from receiver.observe.ecs_dangers import CONSENT_TAG, ENABLED
from receiver.observe.evidence import ECS_EVIDENCE
from receiver.ports import Permission
from receiver.remediate import ECS_ACTIONS

PLATFORM = "aws"
ANY = "*"
ACT = "Act"
TO_FILL_IN = ("REGION", "ACCOUNT", "CLUSTER", "ALARMS_QUEUE", "ALARMS_TOPIC", "LOG_GROUP", "ROLE")
_ECS = "arn:aws:ecs:REGION:ACCOUNT:"
ARNS: Mapping[tuple[str, str], str] = {
    ("ecs", "service"): _ECS + "service/CLUSTER/*",
    ("ecs", "service-deployment"): _ECS + "service-deployment/CLUSTER/*",
    ("ecs", "service-revision"): _ECS + "service-revision/CLUSTER/*",
    ("ecs", "task"): _ECS + "task/CLUSTER/*",
    ("ecs", "container-instance"): ANY,
    ("logs", "log-group"): "arn:aws:logs:REGION:ACCOUNT:log-group:LOG_GROUP:*",
    ("sns", "topic"): "arn:aws:sns:REGION:ACCOUNT:ALARMS_TOPIC",
    ("sqs", "queue"): "arn:aws:sqs:REGION:ACCOUNT:ALARMS_QUEUE",
    ("sts", "role"): "arn:aws:iam::ACCOUNT:role/ROLE",
}
"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html, and those of the others."""
CONDITIONS: Mapping[tuple[str, str], Mapping[str, Mapping[str, str]]] = {
    # ListTasks names no container instance: the cluster is what can be held against it.
    ("ecs", "container-instance"): {"ArnEquals": {"ecs:cluster": _ECS + "cluster/CLUSTER"}},
}
CONSENT: Mapping[str, Mapping[str, str]] = {"StringEquals": {f"aws:ResourceTag/{CONSENT_TAG}": ENABLED}}
"""Of a change of a service. A service deployment has no tags of its own."""


def features() -> dict[str, tuple[Permission, ...]]:
    """What is declared, by feature; the head of the statement's name."""
    return {
        "Assume": AwsAccess.permissions,
        "Alarms": CloudWatchList.permissions,
        "Pull": QueuePuller.permissions,
        "Confirm": Subscriptions.permissions,
        "Look": _of(ECS_OBSERVERS),
        ACT: _of(ECS_ACTIONS.values()),
        "Evidence": _of(ECS_EVIDENCE),
    }


def declared() -> frozenset[str]:
    """All of it as IAM writes it: `ecs:UpdateService`."""
    return frozenset(right for permissions in features().values() for each in permissions for right in rights(each))


def rights(permission: Permission) -> Iterator[str]:
    """One by one, as IAM writes them."""
    if permission.platform == PLATFORM:
        yield from (f"{permission.group}:{verb}" for verb in permission.verbs)


def policy() -> Mapping[str, Any]:
    """The document."""
    return {"Version": "2012-10-17", "Statement": list(_statements())}


def text() -> str:
    """As the file holds it."""
    return json.dumps(policy(), indent=2) + "\n"


def _of(declaring: Iterable[Any]) -> tuple[Permission, ...]:
    return tuple(permission for each in declaring for permission in each.permissions)


def _statements() -> Iterator[Mapping[str, Any]]:
    granted: set[str] = set()
    for feature, permissions in features().items():
        scopes: dict[tuple[str, str], set[str]] = {}
        for each in permissions:
            scope = (ANY, ANY) if each.resource == ANY else (each.group, each.resource)
            scopes.setdefault(scope, set()).update(set(rights(each)) - granted)
        for scope, actions in sorted(scopes.items()):
            granted |= actions
            if actions:
                yield _statement(feature, scope, sorted(actions))


def _statement(feature: str, scope: tuple[str, str], actions: list[str]) -> Mapping[str, Any]:
    resource = scope[1]
    condition = CONSENT if (feature, resource) == (ACT, "service") else CONDITIONS.get(scope, {})
    return {
        "Sid": feature + "".join(part.capitalize() for part in resource.split("-") if part != ANY),
        "Effect": "Allow",
        "Action": actions,
        "Resource": ANY if resource == ANY else ARNS[scope],
        **({"Condition": condition} if condition else {}),
    }


if __name__ == "__main__":
    sys.stdout.write(text())
