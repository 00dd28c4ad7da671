"""What differs between two pod templates, in words a person can judge.

Law: names of environment variables and fields only, never their values: they hold secrets. Images are told in full. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import Object, material_template

LINES_LIMIT = 20
ABSENT = "none"


def images(template: Object) -> tuple[str, ...]:
    """Of its containers, in their order, the initial ones first."""
    return tuple(str(each.get("image", "")) for each in _containers(template).values())


def differences(now: Object, then: Object) -> tuple[str, ...]:
    """From the template that stands to the one that would: `image web: app:2 -> app:1`, `env web: POOL_SIZE`, `web: args`, `labels`."""
    found = [*_of_containers(now, then), *_of_the_rest(material_template(now), material_template(then))]
    if len(found) > LINES_LIMIT:
        found[LINES_LIMIT - 1 :] = [f"and {len(found) - LINES_LIMIT + 1} more"]
    return tuple(plain(each) for each in found)


def _of_containers(now: Object, then: Object) -> Iterator[str]:
    before, after = _containers(now), _containers(then)
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            yield f"container {name}: {'added' if name in after else 'removed'} ({(after | before)[name].get('image', ABSENT)})"
            continue
        old, new = before[name], after[name]
        if old.get("image") != new.get("image"):
            yield f"image {name}: {old.get('image', ABSENT)} -> {new.get('image', ABSENT)}"
        if variables := _changed(_env(old), _env(new)):
            yield f"env {name}: {', '.join(variables)}"
        if fields := [each for each in _changed(old, new) if each not in ("image", "env")]:
            yield f"{name}: {', '.join(fields)}"
    if list(before) != list(after) and set(before) == set(after):
        yield "order of containers"


def _of_the_rest(now: Object, then: Object) -> Iterator[str]:
    for section, skipped in (("spec", {"containers", "initContainers"}), ("metadata", set[str]())):
        for field in _changed(now.get(section) or {}, then.get(section) or {}):
            if field not in skipped:
                yield field


def _containers(template: Object) -> dict[str, Mapping[str, Any]]:
    spec = template.get("spec") or {}
    return {str(each.get("name")): each for each in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))}


def _env(container: Mapping[str, Any]) -> dict[str, object]:
    return {str(each.get("name")): each for each in container.get("env") or ()}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [each for each in dict.fromkeys((*before, *after)) if before.get(each) != after.get(each)]
