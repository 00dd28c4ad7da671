"""The store's way in: what is acknowledged is kept, a fold is all or nothing, keys are unique among open incidents."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.core.model import Priority
from receiver.ports import Beat, Fold, IncidentFilter, Quarantined, VersionConflict
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import MINUTE, SECOND, Ground, alert, began, changed, closed, delivery, entry, folded, incident, record, stored

ROOT = Path(__file__).resolve().parents[2]


class FoldKit:
    """Needs the fixtures `ground` and `store`."""

    async def test_appended_deliveries_come_back_in_order_until_they_are_folded(self, store: SqlStore) -> None:
        ids = await store.append([delivery(n) for n in range(5)])
        assert ids == sorted(ids)
        assert [(each.id, each.body) for each in await store.unfolded(after=ids[0], limit=2)] == [
            (ids[1], delivery(1).body),
            (ids[2], delivery(2).body),
        ]
        await store.commit_fold(Fold((), (ids[0], ids[2], ids[3])))
        assert [each.id for each in await store.unfolded(after=0, limit=10)] == [ids[1], ids[4]]
        assert await store.backlog() == 2

    async def test_inbox_ids_grow_across_restarts_and_are_never_given_twice(self, ground: Ground, store: SqlStore) -> None:
        first = await store.append([delivery()])
        await store.commit_fold(Fold((), tuple(first)))
        assert await store.sweep(START + timedelta(days=31)) == 1
        again = await ground.open()
        assert await again.append([delivery()]) > first

    async def test_everything_is_there_after_a_restart(self, ground: Ground, store: SqlStore) -> None:
        inst = await store.installation()
        new = await began(store, "key", records=(record("A"), record("B", flaps=(START,))), aliases=("other",))
        before = await store.view(new.id)
        again = await ground.open()
        assert await again.view(new.id) == before
        assert await again.installation() == inst
        assert len(inst) == 32
        assert before is not None
        assert before.rows.incident == replace(incident("key"), id=new.id, version=1)
        assert before.rows.alerts == (record("A"), record("B", flaps=(START,)))

    async def test_two_databases_have_two_installations(self, store: SqlStore, other_ground: Ground) -> None:
        other = await other_ground.open()
        assert await store.installation() != await other.installation()
        await other_ground.close()

    async def test_open_incidents_are_found_by_every_key_and_by_their_alerts(self, store: SqlStore) -> None:
        one = await began(store, "one", records=(record("A"), record("B")), aliases=("uno",))
        two = await began(store, "two", records=(record("C"),))
        found = await store.open_incidents(
            ["one", "uno", "none"], [("alertmanager", "fp-A"), ("alertmanager", "fp-C"), ("grafana", "fp-B")]
        )
        assert {key: each.incident.id for key, each in found.items()} == {
            "one": one.id,
            "uno": one.id,
            "alert:alertmanager:fp-A": one.id,
            "alert:alertmanager:fp-C": two.id,
        }
        assert found["one"].records == {("alertmanager", "fp-A"): record("A")}

    async def test_a_hostile_key_finds_its_own_incident_only(self, store: SqlStore) -> None:
        hostile = "'; DROP TABLE incidents; -- \x00 \ud800 %s é"
        new = await began(store, hostile, records=(record("A", alert=alert("A", labels={"x\x00": "\udfff"})),))
        found = await store.open_incidents([hostile, "%"], [])
        assert {key: each.incident.id for key, each in found.items()} == {hostile: new.id}
        assert "\x00" not in new.group_key
        rows = await store.load(new.id)
        assert rows is not None
        assert rows.alerts[0].alert.labels == {"x\ufffd": "\ufffd"}

    async def test_a_key_is_unique_among_open_incidents_only(self, store: SqlStore) -> None:
        first = await began(store, "key", aliases=("alias",))
        for key, aliases in (("key", ()), ("alias", ()), ("new", ("alias",))):
            with pytest.raises(VersionConflict):
                await began(store, key, aliases=aliases)
        await closed(store, first)
        second = await began(store, "alias", aliases=("key",))
        assert await store.newest_closed(["key", "alias", "new"]) == {"key": first.id, "alias": first.id}
        assert (await store.open_incidents(["key"], []))["key"].incident.id == second.id
        await closed(store, second)
        assert await store.newest_closed(["key"]) == {"key": second.id}

    async def test_a_closed_incident_frees_its_alerts(self, store: SqlStore) -> None:
        await closed(store, await began(store, "key", records=(record("A"),)))
        assert await store.open_incidents(["key"], [("alertmanager", "fp-A")]) == {}

    async def test_a_fold_on_an_older_version_writes_nothing(self, store: SqlStore) -> None:
        old = await began(store, "key")
        await changed(store, old, entries=(entry("moved"),))
        ids = await store.append([delivery()])
        fold = Fold((folded(incident("new")), folded(old, records=(record("B"),))), tuple(ids))
        with pytest.raises(VersionConflict):
            await store.commit_fold(fold)
        assert await store.backlog() == 1
        assert [each.group_key for each in await store.incidents(IncidentFilter())] == ["key"]

    async def test_the_same_fold_twice_is_refused_the_second_time(self, store: SqlStore) -> None:
        known = await began(store, "known")
        ids = tuple(await store.append([delivery()]))
        quarantined = (Quarantined("alertmanager", START, "no labels", "alerts[1]", "{}", ids[0]),)
        for part in (folded(known, records=(record(),)), folded(incident("new"), records=(record(),))):
            fold = Fold((part,), ids, quarantined)
            await store.commit_fold(fold)
            with pytest.raises(VersionConflict):
                await store.commit_fold(fold)
        assert len(await store.quarantine(limit=10)) == 2

    async def test_folding_into_a_closed_incident_is_refused(self, store: SqlStore) -> None:
        old = await closed(store, await began(store, "key"))
        with pytest.raises(VersionConflict):
            await store.commit_fold(Fold((folded(replace(old, open=True)),), ()))

    async def test_a_changed_record_replaces_the_older_one(self, store: SqlStore) -> None:
        old = await began(store, "key", records=(record("A"), record("B")))
        resolved = record("A", at=START + MINUTE, resolved_at=START + MINUTE, times=2)
        await store.commit_fold(Fold((folded(old, records=(resolved,)),), ()))
        rows = await store.load(old.id)
        assert rows is not None
        assert rows.alerts == (resolved, record("B"))

    async def test_folding_wakes_and_never_puts_off(self, store: SqlStore) -> None:
        new = await began(store, "key", wake_at=START + MINUTE)
        for wake_at, then in ((None, MINUTE), (START + 2 * MINUTE, MINUTE), (START + SECOND, SECOND)):
            await store.commit_fold(Fold((folded(await stored(store, new.id), wake_at=wake_at),), ()))
            assert await store.next_due() == START + then

    async def test_quarantine_is_shown_newest_first(self, store: SqlStore) -> None:
        (id_,) = await store.append([delivery()])
        found = [Quarantined("alertmanager", START, f"reason {n}", "$", "raw", id_) for n in range(3)]
        await store.commit_fold(Fold((), (), tuple(found), (id_,)))
        assert await store.quarantine(limit=2) == [found[2], found[1]]
        assert await store.backlog() == 0

    async def test_the_newest_beat_is_remembered_and_arming_never_overwrites_it(self, store: SqlStore) -> None:
        await store.arm("", "Watchdog", at=START)
        for beat in (START + MINUTE, START):
            await store.commit_fold(Fold((), (), beats=(("alertmanager", "Watchdog", beat),)))
        await store.arm("alertmanager", "Watchdog", at=START + 2 * MINUTE)
        assert await store.beats() == [Beat("", "Watchdog", START), Beat("alertmanager", "Watchdog", START + MINUTE)]

    async def test_four_hundred_alerts_are_one_fold(self, store: SqlStore) -> None:
        parts = [folded(incident(f"key {n}"), records=[record(f"{n}-{m}") for m in range(4)]) for n in range(100)]
        ids = await store.commit_fold(Fold(tuple(parts), ()))
        assert ids == sorted(set(ids))
        found = await store.open_incidents([f"key {n}" for n in range(100)], [("alertmanager", f"fp-{n}-3") for n in range(100)])
        assert len(found) == 200

    async def test_a_cancelled_fold_is_written_whole_or_not_at_all(self, ground: Ground, store: SqlStore) -> None:
        async def one(n: int) -> None:
            await store.commit_fold(Fold((folded(incident(f"a{n}"), records=(record(f"{n}"),)), folded(incident(f"b{n}"))), ()))

        cut = 0
        for n in range(30):
            task = asyncio.get_running_loop().create_task(one(n))
            for _ in range(n % 6):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task  # a fast disk may have done it before
            except asyncio.CancelledError:
                cut += 1
        assert cut
        again = await ground.open()
        keys = {each.group_key for each in await again.incidents(IncidentFilter(limit=1000))}
        assert all((f"a{n}" in keys) == (f"b{n}" in keys) for n in range(30))
        assert any(f"a{n}" in keys for n in range(30))
        assert await again.append([delivery()])

    async def test_lists_page_backwards_by_id(self, store: SqlStore) -> None:
        ones = [await began(store, f"{n}", Priority.p1 if n % 2 else Priority.p4) for n in range(6)]
        await closed(store, ones[5])
        shown = [each.id for each in ones]
        assert [each.id for each in await store.incidents(IncidentFilter(limit=2))] == [shown[5], shown[4]]
        assert [each.id for each in await store.incidents(IncidentFilter(before=shown[3], limit=2))] == [shown[2], shown[1]]
        assert [each.id for each in await store.incidents(IncidentFilter(open=True, priority="P1"))] == [shown[3], shown[1]]
        assert [each.id for each in await store.incidents(IncidentFilter(open=False, service="checkout"))] == [shown[5]]
        assert await store.incidents(IncidentFilter(priority="P9")) == []
        assert await store.incidents(IncidentFilter(service="none")) == []

    @pytest.mark.timeout(60)
    @pytest.mark.slow
    async def test_what_was_acknowledged_survives_kill_9(self, ground: Ground, store: SqlStore) -> None:
        await store.close()
        acknowledged: set[int] = set()
        for acks in (3, 40, 400):
            acknowledged |= await asyncio.to_thread(_killed_appender, ground.url, acks)
        again = await ground.open()
        there: set[int] = set()
        while found := await again.unfolded(after=max(there, default=0), limit=1000):
            there |= {each.id for each in found}
        assert len(acknowledged) > 400
        assert acknowledged <= there


def _killed_appender(url: str, acks: int) -> set[int]:
    """Ids that a process printed as stored before it was killed, in the middle of its work."""
    command = [sys.executable, "-m", "tests.kits.store_appender", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(acks)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    return {int(number) for line in said if line.endswith("\n") for number in line.split()}
