"""Who else has a say over a workload: autoscalers, GitOps, Helm, operators, progressive delivery. We never fight another controller. Pure.

An Argo CD Application or a Flux HelmRelease may say that it lets changes stand (`selfHeal`, `ignoreDifferences`, `driftDetection`); they
stand in namespaces that we may not read, so the stricter reading holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from receiver.clients.kubernetes_objects import Object, annotations_of, controller, metadata, name, template
from receiver.core.case import Verb
from receiver.core.facts import TOLD, Danger, Hazard
from receiver.observe.differences import images
from receiver.observe.live import Live
from receiver.observe.ownership import managers

SCALE, RESTART, UNDO = Verb.scale.value, Verb.restart.value, Verb.undo.value
ALL: tuple[str, ...] = ()
"""As in `Danger.verbs`: every one."""

ARGO_ANNOTATION, ARGO_LABEL = "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"
"""`app.kubernetes.io/instance` is set by Helm and others too: no proof."""
ARGO_MANAGERS = frozenset({"argocd-application-controller", "argocd-controller"})
FLUX = "kustomize.toolkit.fluxcd.io/"
FLUX_HELM_LABEL = "helm.toolkit.fluxcd.io/name"
FLUX_MANAGERS, FLUX_HELM_MANAGERS = frozenset({"kustomize-controller"}), frozenset({"helm-controller"})
# https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
FLUX_HANDS_OFF = frozenset({"IfNotPresent", "Ignore"})

HELM_RELEASE = "meta.helm.sh/release-name"

KEDA_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
KEDA_LABEL = "scaledobject.keda.sh/name"


def autoscaled(live: Live) -> Iterator[Danger]:
    """Whatever we wrote, it would write its own count within 15 s; a count of 0 would switch it off."""
    for each in live.around["HorizontalPodAutoscaler"]:
        if aims(each, live, "scaleTargetRef"):
            keda = _of_keda(each)
            kind = "of KEDA " if keda else ""
            detail = f"HorizontalPodAutoscaler {kind}{name(each)} owns the count ({_figures(each)})"
            yield Danger(Hazard.keda if keda else Hazard.hpa, detail + _state(each), (SCALE,))
    for each in live.around["ScaledObject"]:
        if aims(each, live, "scaleTargetRef"):
            notes = annotations_of(each)
            paused = [f"{key}={notes[key]}" for key in KEDA_PAUSED if key in notes]
            said = f", paused on purpose ({', '.join(paused)})" if paused else ""
            yield Danger(Hazard.keda, f"ScaledObject {name(each)} owns the count{said}", (SCALE,))


def gitops(live: Live) -> Iterator[Danger]:
    """Its source of truth is a repository: what we scale or undo is set back. A restart is not in it."""
    notes, labels, writers = annotations_of(live.obj), labels_of(live.obj), managers(live.obj)
    marks = [f"{ARGO_ANNOTATION}={notes[ARGO_ANNOTATION]}"] if ARGO_ANNOTATION in notes else []
    marks += [f"{key}={labels[key]}" for key in (ARGO_LABEL, FLUX_HELM_LABEL) if key in labels]
    marks += [f"manager {each}" for each in sorted(writers & (ARGO_MANAGERS | FLUX_HELM_MANAGERS))]
    flux = [f"{FLUX}name={labels[FLUX + 'name']}"] if FLUX + "name" in labels else []
    flux += [f"manager {each}" for each in sorted(writers & FLUX_MANAGERS)]
    hands_off = _flux_hands_off({**labels, **notes}) if flux else ""
    if hands_off and not marks:
        yield Danger(Hazard.gitops, f"{', '.join(flux)}: Flux leaves it alone ({hands_off})", TOLD)
    elif marks or flux:
        yield Danger(Hazard.gitops, f"{', '.join([*marks, *flux])}: it would be set back; revert the commit instead", (SCALE, UNDO))


def helm(live: Live) -> Iterator[Danger]:
    """Not refused: the next upgrade brings its own, and until then the books differ from what runs."""
    release = annotations_of(live.obj).get(HELM_RELEASE)
    if release and labels_of(live.obj).get("app.kubernetes.io/managed-by") == "Helm" and FLUX_HELM_LABEL not in labels_of(live.obj):
        runs = ", ".join(images(template(live.obj)))
        yield Danger(Hazard.helm, f"release {release} is live in Helm's books ({runs}): after an undo or a scale they say otherwise", TOLD)


def owned(live: Live) -> Iterator[Danger]:
    """Its controller writes it again; to remove one pod is the only thing that every operator bears."""
    owner = controller(live.obj)
    if owner is None:
        return
    kind, owner_name, _ = owner
    hazard = {"Canary": Hazard.flagger, "Rollout": Hazard.rollouts}.get(kind, Hazard.operator)
    yield Danger(hazard, f"{kind} {owner_name} controls it", ALL if hazard is not Hazard.operator else (SCALE, RESTART, UNDO))


def delivered(live: Live) -> Iterator[Danger]:
    """A change of its template starts a canary, or is overwritten; a Rollout that refers to it scales it to 0 on purpose."""
    if live.kind == "Rollout":
        yield Danger(Hazard.rollouts, f"Rollout {live.ref.name}: its own controller aborts and undoes it", ALL)
    for each in live.around["Canary"]:
        if aims(each, live, "targetRef"):
            yield Danger(Hazard.flagger, f"Canary {name(each)} stands over it", ALL)
    for each in live.around["Rollout"]:
        if aims(each, live, "workloadRef"):
            yield Danger(Hazard.rollouts, f"Rollout {name(each)} refers to it", ALL)


def aims(obj: Object, live: Live, field: str) -> bool:
    """Its reference names our workload: group, kind and name (an autoscaler's without a group means any)."""
    aim = (obj.get("spec") or {}).get(field) or {}
    group = str(aim.get("apiVersion") or "apps/v1").rpartition("/")[0]
    return (group, aim.get("kind") or "Deployment", aim.get("name")) == ("apps", live.kind, live.ref.name)


def labels_of(obj: Object) -> dict[str, str]:
    """Its own."""
    return metadata(obj).get("labels") or {}


def _of_keda(hpa: Object) -> bool:
    owner = controller(hpa)
    return (owner is not None and owner[0] == "ScaledObject") or name(hpa).startswith("keda-hpa-") or KEDA_LABEL in labels_of(hpa)


def _figures(hpa: Object) -> str:
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    return f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')}, now {status.get('currentReplicas', 0)}"


def _state(hpa: Object) -> str:
    """What a person must know of it: it may not go higher, or it cannot tell how high to go."""
    limited, active = _condition(hpa, "ScalingLimited"), _condition(hpa, "ScalingActive")
    if active.get("status") == "False":
        return f"; it does not scale now: {active.get('reason')}, {str(active.get('message') or '')[:128]}"
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        return "; it is at its maximum: a person may raise maxReplicas, to 1.5 times at most"
    return ""


def _condition(obj: Object, kind: str) -> Mapping[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def _flux_hands_off(marks: Mapping[str, str]) -> str:
    """Why Flux does not set it back; empty: it does. Merge keeps only fields that are not in the repository."""
    if marks.get(FLUX + "reconcile") == "disabled":
        return "reconcile: disabled"
    mode = marks.get(FLUX + "ssa", "")
    return f"ssa: {mode}" if mode in FLUX_HANDS_OFF else ""
