"""Is what a service rests on up? Down, or not to be told, means that no action on the service can be known to help.

Pure; called by the bounds (a refusal) and the wording (the page says so, with the support contact).
"""

from __future__ import annotations

from receiver.core.ask import Ask
from receiver.core.case import Because, Refusal
from receiver.core.facts import Facts, SampleState
from receiver.core.looks import DEPENDENCY
from receiver.core.model import Dependency


def dependencies(asked: Ask) -> Refusal | None:
    """The first that is not known to be up."""
    for each in asked.service.depends_on if asked.service else ():
        told = not_up(each, asked.facts)
        if told:
            return asked.refuse(Because.dependency_down, told)
    return None


def not_up(each: Dependency, facts: Facts | None) -> str:
    """Not empty: what is wrong with it, and whom to ask."""
    if not dependency_down(each, facts):
        return ""
    return f"dependency {each.name} {dependency_down(each, facts)}{f'; support: {each.contact}' if each.contact else ''}"


def dependency_down(dependency: Dependency, facts: Facts | None) -> str:
    """Not empty: `is down: …` or `cannot be told: …`."""
    sample = facts.sample(DEPENDENCY + dependency.name) if facts is not None else None
    known = is_up(dependency, facts)
    if known is None or sample is None:
        return f"cannot be told: {f'{sample.state} {sample.detail}' if sample else 'no answer'}".rstrip()
    if known:
        return ""
    return f"is down: {sample.detail}" if dependency.status else f"is down: its query gives {sample.value:g}"


def is_up(dependency: Dependency, facts: Facts | None) -> bool | None:
    """None: cannot be told."""
    sample = facts.sample(DEPENDENCY + dependency.name) if facts is not None else None
    if sample is None or sample.state is not SampleState.value or sample.value is None:
        return None
    if dependency.status:
        return sample.value == 1
    below, above = dependency.below, dependency.above
    return (below is None or sample.value < below) and (above is None or sample.value > above)
