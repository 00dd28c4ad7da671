"""ECS services as targets and facts: which one is meant, and how it stands. The observer of platform `ecs`.

Law: nothing is guessed. Only services of the allow-list are looked at; every hint must mean the same one, also by account and region; the
uid (ARN and date of birth) must be the bound one. One reading, complete or not at all. A light look reads the service, and behind a load
balancer its tasks and the health of its targets; it tells the rest as the full look before it did.
"""

from __future__ import annotations

from dataclasses import replace

from receiver.clients.ecs import KIND, PLATFORM, Ecs, Object, ServiceAt, place_of, primary, uid
from receiver.clients.errors import ClientError, plain
from receiver.core.facts import Facts, Hint, Look, Trouble, Want, Workload
from receiver.core.model import Bounds, Target, TargetRef
from receiver.observe import ecs_dangers, ecs_service, ecs_undo
from receiver.observe.ecs_reading import Reading, read_all, read_light
from receiver.observe.reader import trouble_of
from receiver.ports import Permission

AWS = "aws"
REMEMBERED = 64
"""Services whose last full reading is kept for light looks."""


class _Unresolved(Exception):
    """Not one service of ours."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble, self.detail = trouble, plain(detail)


class EcsObserver:
    """Fills `target`, `chain` and `workload`, or `trouble`."""

    name = "ecs.service"
    permissions: tuple[Permission, ...] = (
        Permission(AWS, "ecs", "service", ("DescribeServices", "ListServiceDeployments")),
        Permission(AWS, "ecs", "service-deployment", ("DescribeServiceDeployments",)),
        Permission(AWS, "ecs", "service-revision", ("DescribeServiceRevisions",)),
        Permission(AWS, "ecs", "task", ("DescribeTasks",)),
        Permission(AWS, "ecs", "container-instance", ("ListTasks",)),
        Permission(AWS, "ecs", "*", ("DescribeTaskDefinition",)),
        Permission(AWS, "application-autoscaling", "*", ("DescribeScalableTargets",)),
        Permission(AWS, "elasticloadbalancing", "*", ("DescribeTargetHealth",)),
    )

    def __init__(self, ecs: Ecs, *, cluster: str, bounds: Bounds, tag: bool = True) -> None:
        """`cluster` is our own name; `tag`: a service must say yes by its tag."""
        self._ecs = ecs
        self._cluster = cluster
        self._bounds = bounds
        self._tag = tag
        self._known: dict[str, Workload] = {}

    async def look(self, look: Look, facts: Facts) -> Facts:
        """A look whose target is another platform's passes through."""
        if not look.wants & {Want.target, Want.workload, Want.breadth} or facts.trouble is not None or not _ours(look):
            return facts
        try:
            at = self._meant(look)
            service = await self._ecs.service(at)
            _check(look, at, service)
            ref = TargetRef(PLATFORM, self._cluster, at.cluster, KIND, at.name)
            facts = replace(facts, target=Target(ref, uid(service)), chain=(f"ECS service {at.key} ({uid(service)})",))
            return await self._with_state(look, at, service, facts)
        except _Unresolved as ended:
            return replace(facts, trouble=ended.trouble, trouble_detail=ended.detail)
        except ClientError as error:
            return replace(facts, trouble=trouble_of(error), trouble_detail=error.text)

    async def _with_state(self, look: Look, at: ServiceAt, service: Object, facts: Facts) -> Facts:
        if not look.wants & {Want.workload, Want.breadth}:
            return facts
        key = uid(service)
        known = self._known.get(key) if look.light else None
        if known is not None and known.deployment == primary(service).get("id"):
            seen = ecs_service.describe(await read_light(self._ecs, at, service), at=facts.at)
            light = replace(seen, dangers=known.dangers, undo=known.undo, program_at=known.program_at, images=known.images)
            return replace(facts, workload=replace(light, rolling_back=known.rolling_back), light=True)
        reading = await read_all(self._ecs, at, service)
        if sick := self._ecs.health(at):  # what was just read may be old
            return replace(facts, trouble=Trouble.api_unhealthy, trouble_detail=plain(sick))
        seen = self._told(reading, facts)
        self._remember(key, seen)
        return replace(facts, workload=seen)

    def _told(self, reading: Reading, facts: Facts) -> Workload:
        return replace(
            ecs_service.describe(reading, at=facts.at),
            dangers=ecs_dangers.dangers(reading, tag=self._tag),
            undo=ecs_undo.undo_plan(reading, known_good_for=self._bounds.known_good_for),
        )

    def _remember(self, key: str, seen: Workload) -> None:
        self._known.pop(key, None)
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = seen

    # --- which one

    def _meant(self, look: Look) -> ServiceAt:
        """The one service of the allow-list that catalogue, binding and hints agree on."""
        hints = [each for each in look.hints if each.platform == PLATFORM]
        for each in hints:
            if each.cluster and each.cluster != self._cluster:
                raise _Unresolved(Trouble.foreign_cluster, f"cluster {each.cluster[:64]!r}, ours is {self._cluster!r}")
        if look.ref is None:
            return self._hinted(look, hints)
        told = [each for each in hints if (each.namespace, each.name) == (look.ref.namespace, look.ref.name)]
        if told and not look.uid:  # they may tell account and region, the catalogue does not
            return self._hinted(look, told)
        region, account = place_of(look.uid)
        return self._one(look.ref.namespace, look.ref.name, account=account, region=region)

    def _hinted(self, look: Look, hints: list[Hint]) -> ServiceAt:
        if others := [each for each in look.hints if each.platform != PLATFORM and not each.empty and look.ref is None]:
            raise _Unresolved(Trouble.ambiguous, f"the alerts point at {others[0].platform} as well as at {PLATFORM}")
        found = {self._one(each.namespace, each.name, account=each.account, region=each.region) for each in hints}
        if len(found) > 1:
            raise _Unresolved(Trouble.ambiguous, f"the alerts point at {', '.join(sorted(each.key for each in found))}")
        return found.pop()

    def _one(self, cluster: str, name: str, *, account: str, region: str) -> ServiceAt:
        found = self._ecs.named(cluster, name, account=account, region=region)
        if not found:
            where = f" in account {account or 'unknown'}, region {region or 'unknown'}" if account or region else ""
            raise _Unresolved(Trouble.namespace_not_allowed, f"ECS service {cluster}/{name}{where} is not among ecs.services")
        if len(found) > 1:
            raise _Unresolved(Trouble.ambiguous, f"ecs.services has {len(found)} of {cluster}/{name}, and nothing tells which is meant")
        return found[0]


def _ours(look: Look) -> bool:
    if look.ref is not None:
        return look.ref.platform == PLATFORM
    return any(each.platform == PLATFORM for each in look.hints)


def _check(look: Look, at: ServiceAt, service: Object) -> None:
    """It is the bound one, and of the account and region that the alerts tell."""
    if look.uid and uid(service) != look.uid:
        raise _Unresolved(Trouble.replaced, f"{at.key} is not the service that was bound ({look.uid})")
    region, account = place_of(uid(service))
    told = [each for each in look.hints if (each.platform, each.namespace, each.name) == (PLATFORM, at.cluster, at.name)]
    for each in told:
        if each.account not in ("", account) or each.region not in ("", region):
            other = f"{each.account or 'unknown'} {each.region}"
            raise _Unresolved(Trouble.foreign_cluster, f"an alert is of {at.key} in {other}, ours is in {account} {region}")
