"""The self-check of our rights: what is missing refuses its actions, what is too many is told, and nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clients.kubernetes_rights import Held, Right, allowed, held
from receiver.observe import NODE_OBSERVERS, OBSERVERS
from receiver.observe.evidence import KUBERNETES_EVIDENCE
from receiver.ports import OwnTrouble, Permission, RightState
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from receiver.remediate.kubernetes.rights import Needs, grave
from receiver.remediate.kubernetes.rights_check import AGAIN, EVERY, PENDING, RightsCheck
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.kits.action_ground import Switch
from tests.real.access import Access, write_kubeconfig

SCALE, RESTART, UNDO, EVICT, CORDON = (f"kubernetes.{each}" for each in ("scale", "rollout_restart", "rollout_undo", "evict_pod", "cordon"))
EVERYTHING = Needs(
    {name: each.permissions for name, each in ACTIONS.items()},
    tuple(each for one in (*OBSERVERS, *NODE_OBSERVERS) for each in one.permissions),
    tuple(each for one in KUBERNETES_EVIDENCE for each in one.permissions),
)
DEFAULTS = Permission("kubernetes", "authorization.k8s.io", "selfsubjectrulesreviews", ("create",))


class Api:
    """Answers reviews as RBAC does. `rights`: of each namespace, by default those of `""`, the cluster."""

    def __init__(self, *rights: Permission) -> None:
        self.rights: dict[str, list[Permission]] = {"": [*rights, DEFAULTS]}
        self.failure: ClientError | None = None
        self.incomplete = False
        self.asked: list[tuple[str, Mapping[str, object]]] = []

    def take(self, resource: str, *, namespace: str = "") -> None:
        self.rights[namespace] = [each for each in self.rights[""] if each.resource != resource]

    async def review(self, resource: str, spec: Mapping[str, object]) -> dict[str, Any]:
        self.asked.append((resource, spec))
        if self.failure is not None:
            raise self.failure
        if resource == "selfsubjectaccessreviews":
            return {"allowed": self._allows(spec)}
        rules = [] if self.incomplete else self._rules(str(spec["namespace"]))
        return {"resourceRules": rules, "incomplete": self.incomplete}

    def _of(self, namespace: str) -> list[Permission]:
        return self.rights.get(namespace, self.rights[""])

    def _rules(self, namespace: str) -> list[dict[str, Any]]:
        return [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in self._of(namespace)]

    def _allows(self, spec: Mapping[str, object]) -> bool:
        wanted = spec["resourceAttributes"]
        assert isinstance(wanted, dict)
        what = "/".join(each for each in (wanted["resource"], wanted.get("subresource")) if each)
        key = wanted.get("group", ""), what
        return any((each.group, each.resource) == key and wanted["verb"] in each.verbs for each in self._of(wanted.get("namespace", "")))


def granted(*identities: str) -> list[Permission]:
    """Exactly what is declared."""
    every = [*EVERYTHING.looks, *EVERYTHING.evidence, *(each for permissions in EVERYTHING.actions.values() for each in permissions)]
    return [each for each in every if each.identity in identities]


@dataclass
class Checked:
    """Both identities in two namespaces, with exactly their rights until a test changes them."""

    needs: Needs = EVERYTHING
    listed: Iterable[str] = tuple(ACTIONS)
    base: Api = field(default_factory=lambda: Api(*granted("base", "nodes")))
    undo: Api = field(default_factory=lambda: Api(*granted("undo")))
    told: list[OwnTrouble] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics(version="test"))
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        clients = {"base": self.base, "nodes": self.base, "undo": self.undo}
        self.check = RightsCheck(
            clients,
            self.needs,
            namespaces=("shop", "till"),
            listed=lambda: frozenset(self.listed),
            clock=self.clock,
            report=self.told.append,
            metrics=self.metrics,
        )

    @property
    def lacking(self) -> dict[tuple[str, str], str]:
        return {key: each.detail for key, each in self.check.lacking.items()}

    def findings(self, state: RightState) -> list[tuple[str, str, str]]:
        return [(each.identity, each.namespace, each.right) for each in self.check.latest.findings if each.state is state]

    def counted(self) -> dict[tuple[str, str], float]:
        text = self.metrics.expose("")[0].decode()
        (family,) = (each for each in text_string_to_metric_families(text) if each.name == "receiver_rights")
        return {(each.labels["identity"], each.labels["state"]): each.value for each in family.samples if each.value}


async def test_nothing_may_act_before_the_first_answer() -> None:
    checked = Checked()
    assert checked.check.lacking == {(name, ""): PENDING for name in ACTIONS}
    assert checked.check.latest.at is None
    assert PENDING.passing


async def test_with_exactly_the_rights_there_is_nothing_to_say() -> None:
    checked = Checked()
    await checked.check.round()
    assert checked.lacking == {}
    assert checked.check.latest.findings == ()
    assert checked.check.latest.at == checked.clock.now()
    assert checked.counted() == {}
    assert [each.over for each in checked.told] == [True]


async def test_a_feature_that_is_left_out_in_one_namespace_is_refused_there_only() -> None:
    checked = Checked()
    checked.base.take("deployments/scale", namespace="shop")
    await checked.check.round()
    assert checked.lacking == {(SCALE, "shop"): "identity base may not patch deployments/scale.apps in namespace shop"}
    assert checked.findings(RightState.missing) == [("base", "shop", "patch deployments/scale.apps")]
    assert checked.counted() == {("base", "missing"): 1}


async def test_a_feature_that_is_left_out_everywhere_is_refused_without_a_look() -> None:
    checked = Checked()
    checked.base.take("pods/eviction", namespace="shop")
    checked.base.take("pods/eviction", namespace="till")
    await checked.check.round()
    assert set(checked.lacking) == {(EVICT, "shop"), (EVICT, "till"), (EVICT, "")}


async def test_nodes_are_asked_for_in_the_whole_cluster() -> None:
    checked = Checked(base=Api(*(each for each in granted("base", "nodes") if each.resource != "nodes")))
    await checked.check.round()
    assert {key for key in checked.lacking if key[0] == CORDON} == {(CORDON, "")}
    assert "in the cluster" in checked.lacking[CORDON, ""]


async def test_what_no_rule_names_is_off_and_not_missing() -> None:
    checked = Checked(listed=(RESTART,))
    checked.base.take("deployments/scale", namespace="shop")
    await checked.check.round()
    assert (SCALE, "shop") in checked.lacking
    assert checked.findings(RightState.missing) == []
    assert checked.findings(RightState.off) == [("base", "shop", "patch deployments/scale.apps")]


async def test_a_right_of_the_evidence_alone_is_off_when_it_is_left_out_and_troubles_nobody() -> None:
    checked = Checked()
    checked.base.take("pods/log")
    await checked.check.round()
    assert {right for _, _, right in checked.findings(RightState.off)} == {"get pods/log"}
    assert checked.findings(RightState.missing) == []
    assert all(each.over for each in checked.told)


async def test_an_identity_without_a_token_is_asked_nothing() -> None:
    checked = Checked()
    checked.check = RightsCheck(
        {}, EVERYTHING, namespaces=("shop",), listed=tuple, clock=checked.clock, report=checked.told.append, metrics=checked.metrics
    )
    assert not checked.check.asks


async def test_the_undo_identity_is_held_against_its_own_needs() -> None:
    checked = Checked(undo=Api(*granted("undo", "base")))
    await checked.check.round()
    assert ("undo", "shop", "patch deployments/scale.apps") in checked.findings(RightState.grave)
    assert ("undo", "shop", "list pods") in checked.findings(RightState.excess)
    assert checked.lacking == {}


async def test_only_blindness_is_a_trouble_and_it_passes() -> None:
    checked = Checked()
    checked.base.take("replicasets", namespace="shop")
    await checked.check.round()
    del checked.base.rights["shop"]
    await checked.check.round()
    assert [each.over for each in checked.told] == [False, True]
    assert "base list replicasets.apps in namespace shop" in checked.told[0].detail


async def test_the_same_findings_are_told_once() -> None:
    checked = Checked()
    checked.base.take("replicasets", namespace="shop")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await checked.check.round()
    assert len(checked.told) == 1
    assert [each["log_level"] for each in lines] == ["warning", "info"]


GRAVE = [
    Permission("kubernetes", "", "secrets", ("get",)),
    Permission("kubernetes", "apps", "deployments", ("update",)),
    Permission("kubernetes", "apps", "deployments", ("delete",)),
    Permission("kubernetes", "", "pods", ("create",)),
    Permission("kubernetes", "", "pods/exec", ("get",)),
    Permission("kubernetes", "", "serviceaccounts/token", ("create",)),
    Permission("kubernetes", "batch", "jobs", ("create",)),
    Permission("kubernetes", "rbac.authorization.k8s.io", "roles", ("bind",)),
    Permission("kubernetes", "*", "*", ("*",)),
    Permission("kubernetes", "*", "*", ("get",)),
    Permission("kubernetes", "apps", "*", ("patch",)),
]


@pytest.mark.parametrize("right", GRAVE, ids=lambda each: f"{each.verbs[0]} {each.resource} {each.group}")
async def test_a_right_that_could_do_harm_is_told_as_an_error(right: Permission) -> None:
    checked = Checked(base=Api(*granted("base", "nodes"), right))
    with structlog.testing.capture_logs() as lines:
        await checked.check.round()
    assert len(checked.findings(RightState.grave)) == 2  # in each namespace
    assert checked.findings(RightState.excess) == []
    assert "error" in [each["log_level"] for each in lines]
    assert checked.lacking == {}


@pytest.mark.parametrize("right", [Right("", "configmaps", "list"), Right("user.openshift.io", "users", "create")])
def test_a_right_that_could_not_is_only_too_many(right: Right) -> None:
    assert not grave(right)


async def test_an_authorizer_that_cannot_list_is_asked_one_by_one() -> None:
    checked = Checked()
    checked.base.incomplete = True
    checked.base.take("deployments/scale", namespace="shop")
    await checked.check.round()
    assert set(checked.lacking) == {(SCALE, "shop")}


async def test_a_right_on_named_objects_is_no_right_on_all() -> None:
    named = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": ["web"]}

    class Named:
        async def review(self, _: str, __: Mapping[str, object]) -> dict[str, Any]:
            return {"resourceRules": [named]}

    found = await held(Named(), "shop")
    assert not found.covers(Right("apps", "deployments", "patch"))
    assert found.named == {Right("apps", "deployments", "patch")}


@pytest.mark.parametrize(
    ("given", "covered"),
    [
        (Right("*", "*", "*"), True),
        (Right("apps", "*", "patch"), True),
        (Right("apps", "*/scale", "patch"), True),
        (Right("apps", "deployments/*", "patch"), False),  # as RBAC: no such wildcard
        (Right("apps", "deployments", "patch"), False),
        (Right("", "deployments/scale", "patch"), False),
    ],
)
def test_wildcards_match_as_they_do_for_rbac(given: Right, covered: bool) -> None:
    assert Held(frozenset({given})).covers(Right("apps", "deployments/scale", "patch")) is covered


# --- silence -------------------------------------------------------------------------------------------------------------

SILENCE = ClientError(ErrorKind.unreachable, "no connection")


async def test_silence_refuses_until_the_first_answer() -> None:
    checked = Checked()
    checked.undo.failure = SILENCE
    await checked.check.round()
    assert {key[0] for key in checked.lacking} == {UNDO}
    assert checked.check.lacking[UNDO, "shop"].passing
    assert "no connection" in checked.lacking[UNDO, "shop"]
    assert ("undo", "shop", "no connection") in checked.findings(RightState.unanswered)


async def test_the_last_answer_holds_while_there_is_no_new_one() -> None:
    checked = Checked()
    await checked.check.round()
    checked.base.failure = checked.undo.failure = SILENCE
    await checked.check.round()
    assert checked.lacking == {}


async def test_it_asks_again_soon_after_silence_and_seldom_otherwise() -> None:
    slept: list[float] = []

    class Watched(FakeClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            checked.base.failure = None
            if len(slept) == 2:
                raise asyncio.CancelledError

    checked = Checked(clock=Watched())
    checked.base.failure = SILENCE
    with pytest.raises(asyncio.CancelledError):
        await checked.check.run()
    assert slept == [AGAIN.total_seconds(), EVERY.total_seconds()]


async def test_a_round_costs_one_call_for_each_identity_and_namespace_and_the_nodes() -> None:
    checked = Checked()
    await checked.check.round()
    lists = [each for each in checked.base.asked + checked.undo.asked if each[0] == "selfsubjectrulesreviews"]
    assert len(lists) == 4
    assert len(checked.base.asked + checked.undo.asked) - len(lists) == 3  # get, list, patch nodes


# --- the client ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def client_of(tmp_path: Path) -> Callable[[FakeKubernetes], Kubernetes]:
    def made(api: FakeKubernetes) -> Kubernetes:
        api.grant("ours", [Permission("kubernetes", "apps", "deployments/scale", ("patch",))])
        path = write_kubeconfig(Access(server=api.url, token="ours"), tmp_path / "kubeconfig.json")
        return Kubernetes(KubernetesConfig(kubeconfig=path), clock=FakeClock(), kill_switch=Switch("everything is frozen"))

    return made


async def test_asking_stores_nothing_and_passes_the_kill_switch(client_of: Callable[[FakeKubernetes], Kubernetes]) -> None:
    async with FakeKubernetes() as api:
        client = client_of(api)
        found = await held(client, "shop")
        answers = [await allowed(client, "shop", Right("apps", "deployments/scale", verb)) for verb in ("patch", "update")]
        await client.close()
    assert found == Held(frozenset({Right("apps", "deployments/scale", "patch")}))
    assert answers == [True, False]
    assert {each.split()[0] for each in api.requests} == {"POST"}


async def test_an_answer_that_is_no_review_is_said_to_be_none(client_of: Callable[[FakeKubernetes], Kubernetes]) -> None:
    class Odd:
        async def review(self, _: str, __: Mapping[str, object]) -> dict[str, Any]:
            return {"resourceRules": [7, {"apiGroups": "apps"}, {"apiGroups": ["apps"], "resources": ["x"], "verbs": ["y"]}]}

    assert await held(Odd(), "shop") == Held(frozenset({Right("apps", "x", "y")}))
