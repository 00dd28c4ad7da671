"""From the inbox to incidents, over the real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.core.model import OWN_SOURCE, Input, Level, Phase, Priority, Rule, Target, TargetRef
from receiver.core.predicate import matcher
from receiver.engine.batch import OPENED_TOLD
from receiver.engine.folder import Folder, Reading
from receiver.engine.own_source import delivery_of
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ports import Change, Delivery, Fold, OwnTrouble, StoreUnavailable, TroubleKind, VersionConflict
from receiver.store.opening import open_store
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import POD, SOURCE, Ground, body, delivery, rules, said

MINUTE = timedelta(minutes=1)
WEB = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "web"}


@asynccontextmanager
async def opened(path: Path, clock: FakeClock) -> AsyncIterator[SqlStore]:
    store = await open_store(f"sqlite:///{path}/receiver.db", clock=clock)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    clock = FakeClock()
    async with opened(tmp_path, clock) as store:
        yield Ground.over(store, clock)


async def close(ground: Ground, incident_id: int = 1) -> None:
    rows = await ground.store.real.load(incident_id)
    assert rows is not None
    now = ground.clock.now()
    await ground.store.real.save(Change(replace(rows.incident, open=False, closed_at=now, closed_by="test")))


# --- a new incident ------------------------------------------------------------------------------------------------------


async def test_an_alert_becomes_an_incident_with_its_phases_and_story(ground: Ground) -> None:
    ground.clock.advance(MINUTE)
    await ground.fold(body(said(POD)))
    incident = await ground.incident()
    assert (incident.title, incident.rule, incident.priority) == ("KubePodCrashLooping: shop", "crash", Priority.p2)
    assert incident.accepted_at == START + MINUTE
    assert incident.phases == {Phase.detected: START, Phase.triaged: START + MINUTE}
    assert await ground.timeline() == ["first_alert", "classified"]
    assert ground.woken == [incident.id]


async def test_an_incident_that_opens_is_a_line_of_the_log_and_a_repeat_is_none(ground: Ground) -> None:
    with capture_logs() as lines:
        await ground.fold(body(said(POD)))
        await ground.fold(body(said(POD)))
    (line,) = [each for each in lines if each["event"] == "incident opened"]
    assert (line["incident"], line["priority"], line["rule"], line["title"]) == (1, "P2", "crash", "KubePodCrashLooping: shop")


async def test_a_flood_of_incidents_is_no_flood_of_the_log(ground: Ground) -> None:
    with capture_logs() as lines:
        await ground.fold(body(*(said({**POD, "namespace": f"n{each}"}) for each in range(OPENED_TOLD + 30))))
    assert len([each for each in lines if each["event"] == "incident opened"]) == OPENED_TOLD
    assert [each["incidents"] for each in lines if "not told" in each["event"]] == [30]


async def test_the_catalogue_says_impact_and_service(ground: Ground) -> None:
    await ground.fold(body(said({**WEB, "deployment": "checkout"})))
    incident = await ground.incident()
    assert (incident.service, incident.classification.impact) == ("checkout", Level.high)


async def test_five_replicas_that_crash_together_are_one_incident(ground: Ground) -> None:
    await ground.fold(body(*(said({**POD, "pod": f"web-{n}"}) for n in range(5))))
    assert len(await ground.records((await ground.incident()).id)) == 5
    assert (await ground.timeline())[2:] == ["more_alerts"]


async def test_two_deployments_with_the_same_summary_are_two_incidents(ground: Ground) -> None:
    await ground.fold(body(said(WEB, summary="down"), said({**WEB, "deployment": "api"}, summary="down")))
    assert len(await ground.incidents()) == 2


@pytest.mark.parametrize("starts", ["0001-01-01T00:00:00Z", "2026-11-20T15:00:00Z"])
async def test_a_detection_is_never_after_acceptance_nor_at_a_zero_time(ground: Ground, starts: str) -> None:
    await ground.fold(body({**said(POD), "startsAt": starts}))
    assert (await ground.incident()).phases[Phase.detected] == START


# --- repeats, replays, replicas ------------------------------------------------------------------------------------------


async def test_a_repeat_changes_no_row_and_wakes_nobody(ground: Ground) -> None:
    await ground.fold(body(said(POD)))
    before = await ground.view()
    ground.woken.clear()
    for _ in range(50):
        ground.clock.advance(MINUTE)
        await ground.fold(body(said(POD)))
    assert await ground.view() == before
    assert ground.woken == []
    assert await ground.store.real.backlog() == 0


async def test_a_plain_repeat_reads_no_alert_again(ground: Ground) -> None:
    await ground.fold(body(said(POD)))
    ground.store.calls.clear()
    await ground.fold(body(said(POD)), body(said(POD)))
    assert ground.store.calls == ["commit_fold"]


async def test_a_new_text_of_a_known_alert_is_stored_and_wakes_nobody(ground: Ground) -> None:
    await ground.fold(body(said(POD, summary="old")))
    ground.woken.clear()
    await ground.fold(body(said(POD, summary="new")))
    assert (await ground.records())[0].alert.annotations == {"summary": "new"}
    assert ground.woken == []


async def test_a_repeat_after_a_person_closed_the_incident_opens_a_new_one(ground: Ground) -> None:
    await ground.fold(body(said(POD)))
    await close(ground)
    await ground.fold(body(said(POD)))
    assert [each.previous_id for each in await ground.incidents()] == [None, 1]


async def test_what_follows_news_of_the_same_alert_in_a_batch_is_folded_after_it(ground: Ground) -> None:
    await ground.fold(body(said(POD, summary="old")))
    await ground.fold(body(said(POD, summary="new")), body(said(POD, summary="old")))
    assert (await ground.records())[0].alert.annotations == {"summary": "old"}


async def test_a_repeat_is_folded_in_full_after_somebody_else_changed_the_incident(ground: Ground) -> None:
    await ground.fold(body(said(POD)))
    other = Ground.over(ground.store.real, ground.clock)
    await other.fold(body(said(POD, ends=START)))
    await ground.fold(body(said(POD, starts=START + MINUTE)), body(said(POD)))
    (record,) = await ground.records()
    assert (record.firing, len(record.flaps)) == (True, 1)


async def test_duplicates_of_two_alertmanagers_are_one_incident_and_no_news(ground: Ground) -> None:
    await ground.fold(body(said(POD), externalURL="http://am-0"), body(said(POD), externalURL="http://am-1"))
    await ground.fold(body(said({**POD, "replica": "a"})), body(said({**POD, "replica": "b"})))
    assert len(await ground.incidents()) == 1
    assert len(await ground.records()) == 1
    assert (await ground.incident()).version == 1


async def test_two_folders_at_once_make_one_incident(tmp_path: Path) -> None:
    """Two processes' worth of folding over one store: whoever comes second reads anew."""
    clock = FakeClock()
    async with opened(tmp_path, clock) as store:
        one, other = Ground.over(store, clock), Ground.over(store, clock)

        async def the_other_is_faster(_: object) -> None:
            del one.store.before["commit_fold"]
            await other.fold(body(said(POD)))

        one.store.before["commit_fold"] = the_other_is_faster
        await one.fold(body(said({**POD, "pod": "web-2"})), body(said(POD)))
        assert len(await one.records((await one.incident()).id)) == 2


async def test_a_version_conflict_is_folded_again_over_what_the_other_wrote(ground: Ground) -> None:
    await ground.fold(body(said(POD)))

    async def somebody_acknowledges(_: object) -> None:
        del ground.store.before["commit_fold"]
        incident = await ground.incident()
        await ground.store.real.save(Change(replace(incident, acked_by="ada", acked_at=ground.clock.now())))

    ground.store.before["commit_fold"] = somebody_acknowledges
    await ground.fold(body(said({**POD, "pod": "web-2"})))
    incident = await ground.incident()
    assert incident.acked_by == "ada"
    assert len(await ground.records()) == 2


async def test_an_endless_conflict_ends_the_run_and_loses_nothing(ground: Ground) -> None:
    async def conflict(_: object) -> None:
        raise VersionConflict("always")

    ground.store.before["commit_fold"] = conflict
    with pytest.raises(VersionConflict):
        await ground.fold(body(said(POD)))
    assert await ground.store.real.backlog() == 1


# --- over, and again -----------------------------------------------------------------------------------------------------


async def test_a_resolve_is_recorded_for_its_own_fingerprint_only(ground: Ground) -> None:
    other = {**POD, "pod": "web-2"}
    await ground.fold(body(said(POD), said(other)))
    await ground.fold(body(said(POD, ends=START + MINUTE)))
    assert [each.firing for each in await ground.records()] == [False, True]
    assert (await ground.incident()).open
    assert (await ground.timeline())[-1] == "alert_resolved"


async def test_absence_and_a_truncated_group_resolve_nothing(ground: Ground) -> None:
    other = {**POD, "pod": "web-2"}
    await ground.fold(body(said(POD), said(other)))
    await ground.fold(body(said(POD, ends=START + MINUTE), status="resolved", truncatedAlerts=3))
    assert [each.firing for each in await ground.records()] == [False, True]


async def test_a_stale_retry_after_a_resolve_opens_nothing_again(ground: Ground) -> None:
    await ground.fold(body(said(POD)), body(said(POD, ends=START + MINUTE)))
    ground.woken.clear()
    ground.clock.advance(timedelta(seconds=5))
    await ground.fold(body(said(POD)))
    assert [each.firing for each in await ground.records()] == [False]
    assert ground.woken == []


async def test_firing_again_before_the_close_is_the_same_incident_and_a_flap(ground: Ground) -> None:
    for n in range(4):
        start = START + n * 2 * MINUTE
        await ground.fold(body(said(POD, starts=start)))
        ground.clock.advance(MINUTE)
        await ground.fold(body(said(POD, starts=start, ends=start + MINUTE)))
        ground.clock.advance(MINUTE)
    (record,) = await ground.records((await ground.incident()).id)
    assert len(record.flaps) == 3
    assert (await ground.timeline()).count("fires_again") == 3


async def test_firing_again_after_the_close_is_a_new_incident_that_knows_the_old(ground: Ground) -> None:
    await ground.fold(body(said(POD)), body(said(POD, ends=START + MINUTE)))
    await close(ground)
    ground.clock.advance(30 * MINUTE)
    await ground.fold(body(said(POD, starts=START + 29 * MINUTE)))
    old, new = await ground.incidents()
    assert (new.previous_id, new.open) == (old.id, True)


async def test_a_resolve_of_nothing_makes_no_incident(ground: Ground) -> None:
    await ground.fold(body(said(POD, ends=START + MINUTE)))
    assert await ground.incidents() == []
    assert await ground.store.real.backlog() == 0


async def test_firing_and_over_in_one_batch_is_told_in_full(ground: Ground) -> None:
    await ground.fold(body(said(POD)), body(said(POD, ends=START + MINUTE)))
    await close(ground)
    again = START + 2 * MINUTE
    ground.clock.advance(4 * MINUTE)
    await ground.fold(body(said(POD, starts=again)), body(said(POD, starts=again, ends=START + 3 * MINUTE)))
    assert await ground.timeline(2) == ["first_alert", "classified"] or await ground.timeline(2) == [
        "first_alert",
        "classified",
        "alert_resolved",
    ]


# --- keys ----------------------------------------------------------------------------------------------------------------


async def test_an_alert_stays_where_it_is_held_when_its_key_changes(ground: Ground) -> None:
    await ground.fold(body(said(POD)))
    reads_anew = Rule("moved", (matcher("alertname", "=", POD["alertname"]),), symptom=rules().rule("leak").symptom)
    ground.rules.append(rules(reads_anew))
    await ground.fold(body(said(POD, summary="new text")))
    await ground.fold(body(said({**POD, "pod": "web-2"})))
    assert len(await ground.records((await ground.incident()).id)) == 2


async def test_alerts_of_a_bound_target_find_their_incident_by_its_old_key(ground: Ground) -> None:
    await ground.fold(body(said(WEB)))
    incident = await ground.incident()
    target = Target(TargetRef("kubernetes", "default", "shop", "Deployment", "web"), "uid-1")
    await ground.store.real.adopt_target(incident, target, at=ground.clock.now())
    await ground.fold(body(said({**WEB, "alertname": "KubeDeploymentRolloutStuck"})))
    assert (await ground.incident()).target == target
    assert len(await ground.records()) == 2


# --- classification ------------------------------------------------------------------------------------------------------


async def test_a_priority_rises_with_a_worse_alert_and_the_incident_follows_its_rule(ground: Ground) -> None:
    await ground.fold(body(said(WEB)))
    await ground.fold(body(said({**WEB, "alertname": "Outage"})))
    incident = await ground.incident()
    assert (incident.priority, incident.rule) == (Priority.p1, "outage")
    assert (await ground.timeline())[-1] == "priority_rose"


async def test_a_priority_never_falls_while_the_incident_is_open(ground: Ground) -> None:
    outage = {**WEB, "alertname": "Outage"}
    await ground.fold(body(said(outage)), body(said(WEB)))
    await ground.fold(body(said(outage, ends=START + MINUTE)), body(said({**WEB, "pod": "other"})))
    incident = await ground.incident()
    assert (incident.priority, incident.rule) == (Priority.p1, "outage")


async def test_a_page_only_alert_forbids_actions_for_good(ground: Ground) -> None:
    await ground.fold(body(said({"alertname": "Leak", "namespace": "shop"})))
    assert (await ground.incident()).no_action == "rule leak is page-only"
    assert (await ground.timeline())[-1] == "no_action"


async def test_an_alert_of_another_cluster_is_for_people_only(ground: Ground) -> None:
    await ground.fold(body(said({**WEB, "cluster": "theirs"})), body(said({**WEB, "cluster": "default"})))
    theirs, ours = await ground.incidents()
    assert "theirs" in theirs.no_action
    assert ours.no_action == ""


async def test_an_unknown_version_is_folded_reported_and_never_acted_on(ground: Ground) -> None:
    await ground.fold(body(said(POD), version="5"))
    assert "version" in (await ground.incident()).no_action
    assert [(each.kind, each.subject) for each in ground.reported] == [(TroubleKind.odd_version, SOURCE)]


async def _fire(ground: Ground, first: int, last: int) -> None:
    await ground.fold(body(*(said({**POD, "pod": f"web-{n}"}, starts=ground.clock.now()) for n in range(first, last))))


async def test_alerts_that_double_within_five_minutes_raise_the_urgency_once(ground: Ground) -> None:
    ground.rules.append(rules(Rule("slow", (matcher("alertname", "=", POD["alertname"]),), urgency=Level.medium)))
    await _fire(ground, 0, 2)
    ground.clock.advance(6 * MINUTE)
    await _fire(ground, 2, 8)
    incident = await ground.incident()
    assert (incident.classification.urgency, incident.priority) == (Level.high, Priority.p2)
    await _fire(ground, 8, 30)
    assert [each.by for each in (await ground.incident()).classification.trace].count(Input.trend) == 1


async def test_a_trend_is_seen_after_a_restart_too(ground: Ground) -> None:
    ground.rules.append(rules(Rule("slow", (matcher("alertname", "=", POD["alertname"]),), urgency=Level.medium)))
    await _fire(ground, 0, 2)
    ground.clock.advance(6 * MINUTE)
    await _fire(Ground.over(ground.store.real, ground.clock, ground.rules[-1]), 2, 8)
    assert (await ground.incident()).classification.urgency is Level.high


async def test_a_young_incident_has_no_trend(ground: Ground) -> None:
    ground.rules.append(rules(Rule("slow", (matcher("alertname", "=", POD["alertname"]),), urgency=Level.medium)))
    await _fire(ground, 0, 2)
    ground.clock.advance(MINUTE)
    await _fire(ground, 2, 30)
    assert (await ground.incident()).classification.urgency is Level.medium
    assert "load" not in ground.store.calls


# --- heartbeats, what is ignored, what is rejected -----------------------------------------------------------------------


async def test_a_heartbeat_is_remembered_and_opens_nothing(ground: Ground) -> None:
    await ground.fold(body(said({"alertname": "Watchdog"})))
    assert await ground.incidents() == []
    assert [(each.source, each.rule, each.last_at) for each in await ground.store.real.beats()] == [(SOURCE, "watchdog", START)]


async def test_a_resolved_heartbeat_is_trouble_until_it_beats_again(ground: Ground) -> None:
    await ground.fold(body(said({"alertname": "Watchdog"}, ends=START)))
    again = body(said({"alertname": "Watchdog"}, starts=START + MINUTE))
    await ground.fold(again)
    await ground.fold(again)
    await ground.fold(body(said({"alertname": "Watchdog"}, ends=START)), again)
    assert [(each.kind, each.over) for each in ground.reported] == [
        (TroubleKind.heartbeat_overdue, False),
        (TroubleKind.heartbeat_overdue, True),
    ]


async def test_what_a_rule_ignores_leaves_no_trace(ground: Ground) -> None:
    await ground.fold(body(said({"alertname": "InfoInhibitor"})))
    assert await ground.incidents() == []
    assert await ground.store.real.backlog() == 0


async def test_bad_elements_are_quarantined_and_reported_and_the_good_are_folded(ground: Ground) -> None:
    await ground.fold(body(said(POD), {"labels": 7}))
    assert len(await ground.incidents()) == 1
    (aside,) = await ground.quarantine()
    assert aside.path.startswith("alerts[1]")
    assert [(each.kind, each.subject) for each in ground.reported] == [(TroubleKind.quarantine, SOURCE)]


# --- what cannot be folded -----------------------------------------------------------------------------------------------


async def test_one_poison_delivery_is_quarantined_and_paged_and_the_others_go_on(ground: Ground) -> None:
    async def poison(fold: Fold) -> None:
        if any("poison" in each.incident.title for each in fold.incidents):
            raise RuntimeError("cannot fold this")

    ground.store.before["commit_fold"] = poison
    bodies = [body(said({**WEB, "deployment": f"web-{n}"})) for n in range(20)]
    await ground.fold(*bodies[:13], body(said({**WEB, "deployment": "poison"})), *bodies[13:])
    assert len(await ground.incidents()) == 20
    (aside,) = await ground.quarantine()
    assert (aside.delivery_id, "cannot fold this" in aside.reason, "poison" in aside.raw) == (14, True, True)
    assert [(each.kind, each.subject) for each in ground.reported] == [(TroubleKind.quarantine, SOURCE)]
    assert await ground.store.real.backlog() == 0


async def test_a_delivery_of_a_source_that_is_gone_is_quarantined(ground: Ground) -> None:
    await ground.store.real.append([replace(delivery(body(said(POD)), at=START), source="gone")])
    ground.handover.forget()
    await ground.folder.drain()
    (aside,) = await ground.quarantine()
    assert "gone" in aside.reason


async def test_the_store_away_for_a_moment_is_waited_for(ground: Ground) -> None:
    failures = iter([True, True, False])

    async def away(_: object) -> None:
        if next(failures, False):
            raise StoreUnavailable("locked")

    ground.store.before["commit_fold"] = away
    await ground.fold(body(said(POD)))
    assert len(await ground.incidents()) == 1


async def test_the_store_away_for_long_ends_the_run_and_the_next_one_folds_in_order(ground: Ground) -> None:
    async def away(_: object) -> None:
        raise StoreUnavailable("disk full")

    ground.store.before["commit_fold"] = away
    with pytest.raises(StoreUnavailable):
        await ground.fold(body(said(POD)), body(said(POD, ends=START)))
    ground.store.before.clear()
    ground.handover.forget()  # as `run` does
    await ground.folder.drain()
    assert [each.firing for each in await ground.records()] == [False]


async def _run_until_it_ends(ground: Ground) -> None:
    """As `supervise` would: run, and again after each failure, while there is something to fold."""
    for _ in range(20):
        ground.handover.forget()
        try:
            return await ground.folder.drain()
        except (StoreUnavailable, VersionConflict):
            continue
    pytest.fail("the folder never came through")


@pytest.mark.parametrize("fault", [StoreUnavailable("a row that cannot be read"), VersionConflict("for ever")])
async def test_one_row_that_the_store_refuses_for_ever_does_not_hold_up_the_others(ground: Ground, fault: Exception) -> None:
    async def refused(fold: Fold) -> None:
        if any("poison" in each.incident.title for each in fold.incidents):
            raise fault

    ground.store.before["commit_fold"] = refused
    names = [*(f"web-{n}" for n in range(40)), "poison", *(f"api-{n}" for n in range(40))]
    await ground.append(*(body(said({**WEB, "deployment": name})) for name in names))
    await _run_until_it_ends(ground)
    assert len(await ground.incidents()) == 80
    assert [each.delivery_id for each in await ground.quarantine()] == [41]
    assert [each.kind for each in ground.reported] == [TroubleKind.quarantine]


async def test_a_long_absence_of_the_store_quarantines_nothing(ground: Ground) -> None:
    async def away(_: object) -> None:
        raise StoreUnavailable("disk full")

    ground.store.before["commit_fold"] = away
    await ground.append(body(said(POD)))
    for _ in range(12):
        ground.handover.forget()
        with pytest.raises(StoreUnavailable):
            await ground.folder.drain()
    ground.store.before.clear()
    await _run_until_it_ends(ground)
    assert len(await ground.incidents()) == 1
    assert await ground.quarantine() == []


async def test_a_store_that_comes_back_in_the_worst_moment_costs_no_delivery_its_incident(ground: Ground) -> None:
    failing = iter([True] * 10)  # three runs of three tries, and the first write after the row was suspected

    async def away(_: object) -> None:
        if next(failing, False):
            raise StoreUnavailable("locked")

    ground.store.before["commit_fold"] = away
    await ground.append(body(said(POD)))
    await _run_until_it_ends(ground)
    assert len(await ground.incidents()) == 1
    assert await ground.quarantine() == []


# --- crash, overflow, stop -----------------------------------------------------------------------------------------------


async def test_killed_between_append_and_fold_it_is_folded_once_after_the_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as store:
        await Ground.over(store, clock).append(body(said(POD)), body(said(POD)))
    async with opened(tmp_path, clock) as store:
        ground = Ground.over(store, clock)
        await ground.folder.drain()
        await Ground.over(store, clock).folder.drain()
        assert (await ground.incident()).accepted_at == START
        assert await ground.timeline() == ["first_alert", "classified"]
        assert await store.backlog() == 0


async def test_what_memory_does_not_hold_is_read_from_the_inbox_in_order(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as store:
        ground = Ground.over(store, clock, max_alerts=3)
        await ground.folder.drain()
        story = [body(said({**WEB, "deployment": f"web-{n}"})) for n in range(40)]
        over = [body(said({**WEB, "deployment": f"web-{n}"}, ends=START)) for n in range(40)]
        await ground.fold(*story, *over)
        assert len(await ground.incidents()) == 40
        assert [(await ground.records(each.id))[0].firing for each in await ground.incidents()] == [False] * 40
        assert ground.handover.backlog == 0


async def test_a_delivery_handed_over_during_a_reading_of_the_inbox_is_folded_once(ground: Ground) -> None:
    await ground.store.real.append([delivery(body(said(POD)), at=START)])
    ground.handover.forget()

    async def meanwhile(_: object) -> None:
        del ground.store.before["unfolded"]
        await ground.append(body(said({**POD, "pod": "web-2"})))

    ground.store.before["unfolded"] = meanwhile
    await ground.folder.drain()
    assert ground.store.calls.count("commit_fold") == 1
    assert len(await ground.records()) == 2


@pytest.mark.parametrize("from_memory", [True, False])
async def test_a_stop_finishes_the_batch_at_hand(ground: Ground, from_memory: bool) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        inside.set()
        await go_on.wait()

    ground.store.before["commit_fold"] = slow
    if from_memory:
        await ground.folder.drain()
    await ground.append(body(said(POD)))
    async with asyncio.TaskGroup() as group:
        run = group.create_task(ground.folder.drain() if from_memory else ground.folder.run())
        await inside.wait()
        run.cancel()
        await asyncio.sleep(0)
        go_on.set()
    assert len(await ground.incidents()) == 1
    assert await ground.store.real.backlog() == 0


async def test_the_run_waits_for_news_and_folds_it(ground: Ground) -> None:
    folded = asyncio.Event()
    folder = Folder(
        ground.store,
        ground.handover,
        Reading({SOURCE: AlertmanagerSource(SOURCE)}, rules),
        clock=ground.clock,
        wake=lambda _: folded.set(),
        report=ground.reported.append,
        metrics=ground.metrics,
    )
    async with asyncio.TaskGroup() as group:
        run = group.create_task(folder.run())
        await asyncio.sleep(0)
        await ground.append(body(said(POD)))
        await folded.wait()
        run.cancel()
    assert len(await ground.incidents()) == 1


# --- our own, and hostile ------------------------------------------------------------------------------------------------


async def test_a_trouble_of_our_own_is_an_incident_and_ends_with_it(ground: Ground) -> None:
    trouble = OwnTrouble(TroubleKind.unauthorized, SOURCE, "401 only for 5 min")
    await _own(ground, delivery_of(trouble, since=START, now=START))
    await _own(ground, delivery_of(replace(trouble, over=True), since=START, now=START + MINUTE))
    incident = await ground.incident()
    assert (incident.source, incident.priority, incident.no_action) == (OWN_SOURCE, Priority.p2, "rule receiver-trouble is page-only")
    assert not (await ground.records())[0].firing


async def test_a_trouble_of_our_own_is_called_by_its_name(ground: Ground) -> None:
    await _own(ground, delivery_of(OwnTrouble(TroubleKind.unauthorized, SOURCE, "401 only for 5 min"), since=START, now=START))
    assert (await ground.incident()).title == f"only failed logins: {SOURCE}"


async def _own(ground: Ground, own: Delivery) -> None:
    await ground.store.real.append([own])
    ground.handover.forget()  # so that it is parsed again
    await ground.folder.drain()


async def test_hostile_labels_reach_the_timeline_cut_and_harmless(ground: Ground) -> None:
    evil = {"alertname": "A{0.__class__}%s\u202e\x1b[31m" + "x" * 5000, "namespace": "../../etc", "pod": "\u2028", "k" * 100: "v" * 900}
    await ground.fold(body(said(evil, summary="<script>" * 1000)))
    view = await ground.view()
    texts = [view.rows.incident.title, *(each.entry.text for each in view.timeline)]
    assert all(len(each) < 1_000 and each.isprintable() for each in texts)
    assert "A{0.__class__}%s" in texts[0]


async def test_ten_thousand_alerts_in_one_delivery_leave_the_loop_its_turns(ground: Ground) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    await ground.append(body(*(said({**POD, "pod": f"web-{n}"}) for n in range(5_000))))
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count())
        await ground.folder.drain()
        counting.cancel()
    assert turns > 30
    assert len(await ground.timeline()) == 3
