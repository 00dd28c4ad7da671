"""What pipelines and people tell of changes outside: a deploy, a migration, a feature switched on. Shown on the pages that follow it.

Law: told, never obeyed: it starts nothing, holds nothing and proves nothing. Bounded in age and length; secrets in it are masked before it
is stored. Implements `ports.ChangeLog` for API and console.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from receiver.core.facts import Changed
from receiver.core.masking import masked, safe_line
from receiver.core.rules import RuleSet
from receiver.ports import ChangeStore, Clock, CommandRefused, ToldChange

OLDEST = timedelta(days=7)
AHEAD = timedelta(minutes=5)
"""Of a clock that is not ours."""
WHAT, WHO = 300, 100
TARGET = re.compile(r"(kubernetes|ecs)/[^/\s]{1,253}/[^/\s]{0,253}/[A-Z][A-Za-z]{0,62}/[^/\s]{1,255}", re.ASCII)
"""As `TargetRef.key` writes it."""


class ChangeBook:
    """One for the process."""

    def __init__(self, store: ChangeStore, *, clock: Clock, rules: Callable[[], RuleSet]) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules

    async def tell(self, *, subject: str, what: str, who: str, at: datetime | None, link: str, by: str) -> ToldChange:
        """As ChangeLog."""
        now = self._clock.now()
        moment = at or now
        if not now - OLDEST <= moment <= now + AHEAD:
            raise CommandRefused(
                f"at {moment:%Y-%m-%dT%H:%M:%SZ} is not within the last {OLDEST.days} days; it is {now:%Y-%m-%dT%H:%M:%SZ}"
            )
        if "/" in subject and not TARGET.fullmatch(subject):
            raise CommandRefused(
                f"target {subject[:64]!r} is no key; write kubernetes/CLUSTER/NAMESPACE/KIND/NAME, as `receiver show` does"
            )
        changed = Changed(moment, safe_line(what, limit=WHAT), safe_line(who, limit=WHO), f"told by {by}", masked(link))
        return await self._store.tell(ToldChange(subject, changed, now, by))

    async def told(self, subject: str, *, limit: int) -> Sequence[ToldChange]:
        """As ChangeLog."""
        since = self._clock.now() - OLDEST
        return await self._store.told([subject] if subject else [], since=since, limit=limit)

    def doubt(self, subject: str) -> str:
        """As ChangeLog."""
        if "/" in subject or subject in self._rules().services:
            return ""
        return f"service {subject[:64]!r} is not in the catalogue: no page shows it"
