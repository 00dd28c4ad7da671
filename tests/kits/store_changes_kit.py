"""Changes that were told, whatever the engine."""

from __future__ import annotations

from datetime import timedelta

from receiver.core.facts import Changed
from receiver.ports import ToldChange
from receiver.store import changes
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START

DAY = timedelta(days=1)


def told(what: str = "v2", *, subject: str = "checkout", age: timedelta = timedelta(0)) -> ToldChange:
    return ToldChange(subject, Changed(START - age, what, by="ci", origin="told", link="https://ci/1"), START, "pipeline")


class ChangesKit:
    """Needs the fixture `store`."""

    async def test_a_change_is_found_by_its_subject_newest_first(self, store: SqlStore) -> None:
        for what, age in (("v1", 2 * DAY), ("v2", DAY), ("v3", timedelta(0))):
            await store.tell(told(what, age=age))
        await store.tell(told("v9", subject="other"))
        found = await store.told(["checkout", "nobody"], since=START - DAY, limit=10)
        assert [each.changed.what for each in found] == ["v3", "v2"]

    async def test_a_change_told_twice_is_one(self, store: SqlStore) -> None:
        first = await store.tell(told())
        assert await store.tell(told()) == first
        assert len(await store.told([], since=START - DAY, limit=10)) == 1

    async def test_a_change_keeps_all_that_was_told(self, store: SqlStore) -> None:
        kept = await store.tell(told())
        assert kept.id > 0
        assert (kept.changed, kept.subject, kept.told_by) == (told().changed, "checkout", "pipeline")

    async def test_text_that_no_database_takes_is_kept_readable(self, store: SqlStore) -> None:
        kept = await store.tell(told("a\x00b\ud800", subject="a\x00"))
        assert kept.changed.what == "a\ufffdb\ufffd"

    async def test_changes_are_forgotten_after_their_time(self, store: SqlStore) -> None:
        await store.tell(told())
        await store.sweep(START + changes.KEPT - DAY)
        assert await store.told([], since=START - DAY, limit=10)
        await store.sweep(START + changes.KEPT + DAY)
        assert not await store.told([], since=START - DAY, limit=10)
