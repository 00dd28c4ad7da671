"""What a workload's own pods suffer from, and which cures would make it worse: images, configuration, memory, probes, connections. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from receiver.clients.kubernetes_objects import Object, name, uid
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard
from receiver.observe import pods
from receiver.observe.claims import aims
from receiver.observe.live import VERTICAL, Live

SCALE, RESTART = Verb.scale.value, Verb.restart.value

SLOW_LEAK = timedelta(hours=1)
"""Killed for its memory sooner than this after a start, a restart buys no time (`remediation.md` 3)."""

IMAGE_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
CONFIG_ERROR = frozenset({"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

TOO_MANY_CONNECTIONS = re.compile(
    r"too many (?:client )?connections|too many clients|remaining connection slots|max_user_connections|max number of clients reached"
    r"|ERR_CON_COUNT|ORA-00018|ORA-12516",
    re.IGNORECASE,
)
"""MySQL 1040 and 1203, PostgreSQL 53300, PgBouncer, Redis, Oracle, as each words it."""

# https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/prober/prober.go: "<Liveness|Startup|Readiness> probe failed: …"
_KILLING_PROBE = ("Liveness probe failed", "Startup probe failed", "Liveness probe errored", "Startup probe errored")


def pods_wait(live: Live) -> Iterator[Danger]:
    """For an image, or in a loop: kubelet tries again by itself."""
    for hazard, reasons in ((Hazard.image_pull, IMAGE_PULL), (Hazard.config_error, CONFIG_ERROR)):
        hit = [(name(each), sorted(found)) for each in live.pods if pods.living(each) and (found := pods.waiting_reasons(each) & reasons)]
        if hit:
            yield Danger(hazard, f"{len(hit)} pods wait, as {hit[0][0]}: {', '.join(hit[0][1])}", (RESTART,))


def memory(live: Live) -> Iterator[Danger]:
    """Killed soon after a start: a restart buys no time; where an autoscaler sizes the pods, that is at work."""
    killed = [name(each) for each in live.pods if pods.living(each) and pods.early_oom(each, within=SLOW_LEAK)]
    if killed:
        detail = f"{len(killed)} pods were killed for memory within an hour of their start, as {killed[0]}"
        yield Danger(Hazard.oom_early, detail, (RESTART,))
    for each in live.around[VERTICAL]:
        mode = ((each.get("spec") or {}).get("updatePolicy") or {}).get("updateMode", "Auto")
        if mode != "Off" and aims(each, live, "targetRef"):
            yield Danger(Hazard.oom_early, f"VerticalPodAutoscaler {name(each)} sizes it: let it work", (SCALE, RESTART))


def probes(live: Live) -> Iterator[Danger]:
    """Kubelet kills its containers because they answer too slowly: a restart adds cold ones."""
    own = {uid(each): each for each in live.pods if pods.living(each) and _restarted(each)}
    hit = [each for each in live.events if _about(each) in own and str(each.get("message") or "").startswith(_KILLING_PROBE)]
    if hit:
        killed = sorted({name(own[_about(each)]) for each in hit})
        detail = f"probes kill {len(killed)} pods, as {killed[0]} ({str(hit[0].get('message'))[:96]})"
        yield Danger(Hazard.probes_fail, detail, (RESTART,))


def connections(live: Live) -> Iterator[Danger]:
    """A pod says that a database takes no more: each new pod would open its own pool. Found in last words and in failed probes only."""
    said = [(name(each), text) for each in live.pods if pods.living(each) for text in pods.last_words(each)]
    own = {uid(each): name(each) for each in live.pods if pods.living(each)}
    said += [(own[_about(each)], str(each.get("message") or "")) for each in live.events if _about(each) in own]
    for pod, text in said:
        found = TOO_MANY_CONNECTIONS.search(text[:4096])
        if found:
            yield Danger(Hazard.connections, f"{pod} says {found[0]!r}: more pods would ask for more", (SCALE,))
            return


def _restarted(pod: Object) -> bool:
    return any(int(each.get("restartCount") or 0) for each in pods.containers(pod))


def _about(event: Object) -> str:
    return str((event.get("involvedObject") or {}).get("uid") or "")
