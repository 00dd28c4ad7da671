"""Changes of the last 24 hours, and the figures of a rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp.test_utils import TestServer

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.prometheus import Prometheus, PrometheusConfig
from receiver.core.facts import Changed, Evidence
from receiver.core.model import NamedQuery, Rule, Target, TargetRef
from receiver.observe.evidence import ChangesEvidence, ChangeSource, EvidenceRunner, KubernetesRevisions, QueriesEvidence, ToldChanges
from receiver.ports import Collector, Inquiry, Permission, StoreUnavailable, ToldChange
from tests.fakes.clock import START, FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.fakes.query_api import QueryApi
from tests.unit.observe.objects import ago, deployment, inquiry, replica_set, template

HOUR = timedelta(hours=1)


@dataclass
class Shelf:
    """A change store in memory."""

    kept: list[ToldChange] = field(default_factory=list)
    down: bool = False
    asked: list[tuple[tuple[str, ...], datetime]] = field(default_factory=list)

    async def tell(self, change: ToldChange) -> ToldChange:
        self.kept.append(change)
        return change

    async def told(self, subjects: Collection[str], *, since: datetime, limit: int) -> list[ToldChange]:
        if self.down:
            raise StoreUnavailable("locked")
        self.asked.append((tuple(subjects), since))
        return self.kept[:limit]


class Trail:
    name = "trail"
    permissions: tuple[Permission, ...] = (Permission("aws", "cloudtrail", "*", ("LookupEvents",)),)

    def __init__(self, *changes: Changed) -> None:
        self.found: Sequence[Changed] | ClientError = changes

    def knows(self, inquiry: Inquiry) -> bool:
        return True

    async def changes(self, inquiry: Inquiry, since: datetime) -> Sequence[Changed]:
        if isinstance(self.found, ClientError):
            raise self.found
        return self.found


async def piece(collector: Collector, asked: Inquiry | None = None) -> Evidence:
    found: dict[str, Evidence] = {}
    await EvidenceRunner([collector]).collect(asked or inquiry(), found)
    return next(iter(found.values()), Evidence("", (), "nothing was asked"))


async def changes(*sources: ChangeSource) -> Evidence:
    return await piece(ChangesEvidence(sources, FakeClock()))


def told(what: str, ago_: timedelta) -> ToldChange:
    return ToldChange("checkout", Changed(START - ago_, what, by="ann", origin="told by ci", link="https://ci/7"), START, "ci")


async def test_changes_of_all_sources_are_one_list_newest_first() -> None:
    shelf = Shelf([told("v2 of checkout", 3 * HOUR)])
    found = await changes(ToldChanges(shelf), Trail(Changed(START - HOUR, "UpdateService", origin="cloudtrail")))
    assert found.lines == ("60 min ago (cloudtrail): UpdateService", "3 h ago (told by ci) by ann: v2 of checkout https://ci/7")
    assert shelf.asked == [(("checkout",), START - 24 * HOUR)]


async def test_a_source_that_cannot_be_asked_is_named_and_hides_no_other() -> None:
    trail = Trail()
    trail.found = ClientError(ErrorKind.forbidden, "not authorized")
    found = await changes(ToldChanges(Shelf([told("v2", HOUR)])), trail)
    assert found.lines[0].endswith("v2 https://ci/7")
    assert found.lines[1] == "trail could not be asked: forbidden (not authorized)"


async def test_a_store_that_does_not_answer_is_a_reason() -> None:
    assert (await changes(ToldChanges(Shelf(down=True)))).missing == "could not be read: unavailable (our own store: locked)"


async def test_no_change_is_said_too() -> None:
    assert (await changes(ToldChanges(Shelf()))).lines == ("none known of in the last 24 h",)


async def test_revisions_of_the_workload_are_changes_while_they_are_young() -> None:
    reader = FakeReader(
        deployment(template("app:2"), revision=2),
        replica_set(template(), revision=1, made=ago(days=2)),
        replica_set(template("app:2"), revision=2, made=ago(hours=2)),
    )
    assert (await changes(KubernetesRevisions(reader, FakeClock()))).lines == ("2 h ago (kubernetes): revision 2: app:2",)


def test_the_rights_of_all_sources_are_declared() -> None:
    assert ChangesEvidence([Trail(), ToldChanges(Shelf())], FakeClock()).permissions == Trail.permissions


# --- figures ---------------------------------------------------------------------------------------------------------------


def rule(**queries: str) -> Rule:
    return Rule("crash", evidence=tuple(NamedQuery(name, query) for name, query in queries.items()))


def vector(*series: tuple[Mapping[str, str], str]) -> str:
    import json

    result = [{"metric": dict(labels), "value": [1.0, value]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


async def figures(api: QueryApi, asked: Inquiry) -> Evidence:
    async with TestServer(api.app(), host="127.0.0.1") as server:
        client = Prometheus(PrometheusConfig(str(server.make_url("/"))))
        try:
            return await piece(QueriesEvidence(client, cluster="prod"), asked)
        finally:
            await client.close()


async def test_a_figure_is_shown_with_its_placeholders_filled_from_the_target() -> None:
    api = QueryApi(body=vector(({}, "0.1234567891")))
    found = await figures(api, inquiry(rule=rule(up='up{namespace="$namespace", pod=~"$workload-.*", c="$cluster", s="$service"}')))
    assert found.lines == ("up: 0.123457",)
    assert api.asked[0]["query"] == 'up{namespace="shop", pod=~"web-.*", c="default", s="checkout"}'


async def test_several_series_are_told_by_the_labels_in_which_they_differ() -> None:
    api = QueryApi(body=vector(({"job": "pg", "state": "active"}, "40"), ({"job": "pg", "state": "idle"}, "7")))
    found = await figures(api, inquiry(rule=rule(activity="pg_stat_activity_count")))
    assert found.lines == ("activity:", "state=active: 40", "state=idle: 7")


async def test_a_rule_without_figures_asks_for_none() -> None:
    assert (await figures(QueryApi(), inquiry())).missing == "nothing was asked"


async def test_no_series_and_no_value_for_a_placeholder_are_said() -> None:
    asked = inquiry(rule=rule(a="up", b='up{n="$namespace"}'))
    unbound = Inquiry(asked.incident, None, asked.at, asked.rule)
    found = await figures(QueryApi(body=vector()), unbound)
    assert found.lines[0].startswith("b: not asked: $namespace has no value")
    assert found.lines[1] == "no series: a"


async def test_a_prometheus_that_fails_is_a_reason() -> None:
    found = await figures(QueryApi(status=503, body="no"), inquiry(rule=rule(a="up")))
    assert found.missing.startswith("could not be read: unavailable")


async def test_many_series_are_cut() -> None:
    api = QueryApi(body=vector(*(({"pod": f"p{each}"}, "1") for each in range(30))))
    found = await figures(api, inquiry(rule=rule(a="up")))
    assert (len(found.lines), found.lines[-1]) == (10, "and 22 more series")


async def test_a_target_elsewhere_has_no_revisions_here() -> None:
    ecs = Target(TargetRef("ecs", "default", "c", "Service", "web"), "arn")
    assert not KubernetesRevisions(FakeReader(), FakeClock()).knows(inquiry(ecs))
