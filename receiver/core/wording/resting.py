"""What an incident rests on, and who else does: the dependency with its support, and the incidents that one page speaks for.

Pure; put together by `pages`. Titles are alert text: they enter through `clean` only.
"""

from __future__ import annotations

from receiver.core.case import Case, Dependent
from receiver.core.dependencies import not_up
from receiver.core.dependents import waiting_with
from receiver.core.looks import DEPENDENCY
from receiver.core.model import Naming
from receiver.core.wording.details import detail_text
from receiver.core.wording.say import Tongue, clean

MOST_WAITING = 12
TITLE_LIMIT = 120


def rests_on(case: Case, say: Tongue) -> list[str]:
    """Each dependency that is not known to be up, with its support; nothing where none was asked about."""
    service, facts = case.services.get(case.incident.service), case.newest_facts()
    if service is None or facts is None:
        return []
    asked = [each for each in service.depends_on if facts.sample(DEPENDENCY + each.name) is not None]
    return [detail_text(clean(told), say.locale) for each in asked if (told := not_up(each, facts))]


def point(case: Case, say: Tongue) -> str:
    """What is down, whom to ask, and how many wait for it: for the line that wakes a person."""
    return "; ".join(each for each in (*rests_on(case, say)[:1], waiting_text(case, say)) if each)


def waiting(case: Case, say: Tongue) -> list[str]:
    """How many others wait on the dependency that this page is about, and which."""
    others = waiting_with(case)
    if not others:
        return []
    lines = [_one(each, case.policy.naming) for each in others[:MOST_WAITING]]
    left = len(others) - MOST_WAITING
    more = [say(f"and {left} more", f"et {left} de plus")] if left > 0 else []
    return [waiting_text(case, say), *lines, *more]


def waiting_text(case: Case, say: Tongue) -> str:
    """`3 incidents wait on payments-db, this one included`; empty when it is the only one."""
    count = len(waiting_with(case)) + 1
    if count == 1:
        return ""
    name = clean(case.raises[-1].dependency)
    return say(f"{count} incidents wait on {name}, this one included", f"{count} incidents attendent {name}, celui-ci compris")


def _one(other: Dependent, naming: Naming) -> str:
    return f"#{other.incident_id} {naming.show(other.priority)} {clean(other.title, limit=TITLE_LIMIT)}"
