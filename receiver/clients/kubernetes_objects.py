"""What a Kubernetes object says, read from its raw JSON: names, owners, revisions, templates, times.

Law: pure and total: a field that is missing or of another type reads as absent. The one place for the keys that we write on objects, and
for the comparison of pod templates. Shared by observe and remediate, which must agree on both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

PREFIX = "alert-receiver.internal/"
"""Of every annotation that we write or obey (`house.md` 6.10)."""

LAST_ACTION = f"{PREFIX}last-action"
"""On the object itself: JSON list of our newest attempt ids, oldest first."""

ATTEMPT = f"{PREFIX}attempt"
"""On the pod template, by a restart: the attempt's id, recorded for ever in the ReplicaSet that it makes."""

CORDONED = f"{PREFIX}cordoned"
"""On a node that we cordoned: the attempt's id. A cordon without it is somebody else's."""

FIELD_MANAGER = "receiver:"
"""Before the attempt id, in `managedFields`. Must never begin with `kubectl`: Flux strips fields of such managers."""

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ROBUSTA_RESTARTED_AT = "robusta.kubernetes.io/restartedAt"
TEMPLATE_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
PATCH_DIRECTIVE = "$patch"

IMMATERIAL_ANNOTATIONS = frozenset({RESTARTED_AT, ROBUSTA_RESTARTED_AT, ATTEMPT})
"""Of a template: they make new pods and a new revision of the same program."""

LAST_ACTIONS_KEPT = 5


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its metadata, or empty."""
    return _mapping(obj.get("metadata"))


def uid(obj: Mapping[str, Any]) -> str:
    """Empty when it has none."""
    return _text(metadata(obj).get("uid"))


def name(obj: Mapping[str, Any]) -> str:
    """Empty when it has none."""
    return _text(metadata(obj).get("name"))


def resource_version(obj: Mapping[str, Any]) -> str:
    """Empty when it has none."""
    return _text(metadata(obj).get("resourceVersion"))


def generation(obj: Mapping[str, Any]) -> int:
    """0 when it has none."""
    return _number(metadata(obj).get("generation"))


def observed_generation(obj: Mapping[str, Any]) -> int:
    """The newest generation that its controller has seen; 0 when it has seen none."""
    return _number(_mapping(obj.get("status")).get("observedGeneration"))


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Those of the object itself."""
    return {key: each for key, each in _mapping(metadata(obj).get("annotations")).items() if isinstance(each, str)}


def controller(obj: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """(kind, name, uid) of the owner that controls it."""
    for owner in metadata(obj).get("ownerReferences") or ():
        if _mapping(owner).get("controller") is True:
            return _text(owner.get("kind")), _text(owner.get("name")), _text(owner.get("uid"))
    return None


def revision(obj: Mapping[str, Any]) -> int:
    """Of a Deployment or ReplicaSet; without the annotation, or with nonsense in it, 0 as for the controller."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def template(obj: Mapping[str, Any]) -> Object:
    """Its pod template as it stands; empty when it has none. Shared with the object: copy before changing."""
    found = _mapping(obj.get("spec")).get("template")
    return found if isinstance(found, dict) else {}


def revision_template(controller_revision: Mapping[str, Any]) -> Object:
    """The pod template that a ControllerRevision keeps; its `data` is a strategic merge patch that replaces the standing one."""
    held = _mapping(_mapping(_mapping(controller_revision.get("data")).get("spec")).get("template"))
    return {key: each for key, each in held.items() if key != PATCH_DIRECTIVE}


def revision_number(controller_revision: Mapping[str, Any]) -> int:
    """Of a ControllerRevision; it grows when an old one is used again."""
    return _number(controller_revision.get("revision"))


def restorable_template(obj: Mapping[str, Any]) -> Object:
    """A copy of a ReplicaSet's template without the hash label that its controller added: what a Deployment's template was."""
    return _without(template(obj), labels={TEMPLATE_HASH_LABEL})


def material_template(found: Mapping[str, Any]) -> Object:
    """A copy of the template with everything dropped that a mere restart changes; equal for equal programs."""
    copy = _without(found, labels={TEMPLATE_HASH_LABEL}, annotations=IMMATERIAL_ANNOTATIONS)
    for key in ("labels", "annotations"):
        if not copy["metadata"].get(key):
            copy["metadata"].pop(key, None)
    return copy


def template_hash(found: Mapping[str, Any]) -> str:
    """Identity of a pod template's program: equal before and after a restart, different for any material difference. 32 hex digits."""
    canonical = json.dumps(material_template(found), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def unschedulable(node: Mapping[str, Any]) -> bool:
    """Cordoned, by whomever."""
    return _mapping(node.get("spec")).get("unschedulable") is True


def cordoned_by(node: Mapping[str, Any]) -> str:
    """The attempt of ours that cordoned it; empty: none."""
    return annotations_of(node).get(CORDONED, "")


def last_actions(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Our attempt ids in the object's own annotation, oldest first; nonsense reads as none."""
    try:
        found = json.loads(annotations_of(obj).get(LAST_ACTION, "[]"))
    except (ValueError, RecursionError):
        return ()
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def last_actions_with(obj: Mapping[str, Any], attempt_id: str) -> str:
    """The annotation's next value: the newest ids, `attempt_id` last and once."""
    kept = [each for each in last_actions(obj) if each != attempt_id]
    return json.dumps([*kept, attempt_id][-LAST_ACTIONS_KEPT:])


def attempt_marks(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Every attempt id of ours found on the object: its annotation, its template's, and the field managers. Each once."""
    on_template = _mapping(_mapping(template(obj).get("metadata")).get("annotations")).get(ATTEMPT)
    managers = (_text(_mapping(each).get("manager")) for each in metadata(obj).get("managedFields") or ())
    found = (
        *last_actions(obj),
        *((on_template,) if isinstance(on_template, str) else ()),
        *(each.removeprefix(FIELD_MANAGER) for each in managers if each.startswith(FIELD_MANAGER)),
    )
    return tuple(dict.fromkeys(each for each in found if each))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes it."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as aware UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _without(found: Mapping[str, Any], *, labels: Iterable[str] = (), annotations: Iterable[str] = ()) -> Object:
    copy: Object = json.loads(json.dumps(found))
    meta = copy["metadata"] = dict(_mapping(copy.get("metadata")))
    meta.pop("creationTimestamp", None)  # null on the templates of older API servers, absent on newer ones
    for section, dropped in (("labels", labels), ("annotations", annotations)):
        if isinstance(meta.get(section), dict):
            meta[section] = {key: each for key, each in meta[section].items() if key not in set(dropped)}
    return copy


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
