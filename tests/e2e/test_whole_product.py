"""What the product promises, from the alert to the end, on a real control plane: one bad pod goes, a person decides, a person acts by hand.

The receiver has the rights of the shipped manifests; every request of it to the API server goes through a proxy that writes it down.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.scene import BOUNDS, EVICT_RULES, Scene, undo_rules
from tests.fakes.prepared import typed
from tests.real import workloads
from tests.real.apiproxy import ApiProxy, Seen
from tests.real.kube_api import Object
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

KUBECTL = shutil.which("kubectl")
Watched = tuple[Scene, ApiProxy]

BY_HAND_RULES = """
apiVersion: receiver/v1
kind: Rules
services:
  - name: shop-web
    targets: [{kubernetes: {namespace: NAMESPACE, kind: Deployment, name: web}}]
    values: {broker_pod: rabbitmq-0}
rules:
  - name: by-hand
    match: ['alertname="KubePodCrashLooping"']
    symptom: errors
    impact: high
    urgency: high
    suggest: [debug_log, purge_queue]
    verify: {rollout: true, settle: 1s, stable: 2s}
default: {impact: medium, urgency: medium, remediate: []}
"""


def asking_rules() -> str:
    """An undo that waits for somebody of the role `ic` who has looked for a backup."""
    needs = "approval: {role: ic, preconditions: [{name: backup, text: a backup of today exists}]}"
    return undo_rules(mode="approve").replace("mode: approve}", f"mode: approve, {needs}}}")


def people(scene: Scene) -> dict[str, Any]:
    """`ines` is the incident commander; the admin of the scene is not."""
    path = scene.directory / "ines"
    path.touch(mode=0o600)
    path.write_text("ines-token-0123456789abcdef")
    admin = {"name": "admin", "scope": "admin", "token_file": str(scene.directory / "admin")}
    return {"tokens": [admin, {"name": "ines", "scope": "operate", "roles": ["ic"], "token_file": str(path)}]}


async def says(scene: Scene, line: str, *, who: str = "admin") -> subprocess.CompletedProcess[str]:
    """`receiver LINE`, in a process of its own, with that person's token."""
    words = [sys.executable, "-m", "receiver", *line.split(), "--url", scene.url, "--token-file", str(scene.directory / who)]
    return await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=60)


async def detail(scene: Scene, number: int = 1) -> dict[str, Any]:
    return dict(await scene.get(f"/api/v1/incidents/{number}"))


async def until(scene: Scene, wanted: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
    """The incident, once it is as wanted."""

    async def look() -> dict[str, Any] | None:
        found = await scene.incidents()
        seen = await detail(scene, found[0]["id"]) if found else None
        return seen if seen is not None and wanted(seen) else None

    return await eventually(look, within=90, what=what, every=0.3)


def told(scene: Scene) -> str:
    """All that the newest page says, as a person reads it."""
    incident = scene.pagerduty.incidents[-1]
    lines = [each for value in incident.details.values() for each in (value if isinstance(value, list) else [value])]
    return "\n".join([incident.summary, *map(str, lines)])


def asked(found: dict[str, Any]) -> dict[str, Any] | None:
    """The offer that waits."""
    return next((dict(each) for each in found["attempts"] if each["ask"]), None)


def evictions(proxy: ApiProxy) -> list[Seen]:
    return [each for each in proxy.mutations() if each.path.endswith("/eviction")]


def changes(proxy: ApiProxy) -> list[Seen]:
    """Of the workload or its pods: not the receiver's other business."""
    return [each for each in proxy.mutations() if "/deployments/" in each.path or "/pods/" in each.path]


# --- one bad pod ---------------------------------------------------------------------------------------------------------


async def test_one_bad_pod_is_evicted_once_verified_and_closed_without_a_page(watched: Watched) -> None:
    scene, proxy = watched
    await scene.deploy("app:1", replicas=4)
    before = await workloads.pods(scene.api, scene.namespace, "web")
    bad, well = before[1], {each["metadata"]["uid"] for each in before} - {before[1]["metadata"]["uid"]}
    bounds = BOUNDS | {"evict_pod_age": "0s", "someone_else": "0s"}  # it was deployed a moment ago, by somebody else
    await scene.start(EVICT_RULES, bounds=bounds, page_after={"P2": "5m"})
    await scene.fall_ill(bad)
    closed = await scene.closed()
    (evicted,) = evictions(proxy)
    assert evicted.path.endswith(f"/pods/{bad['metadata']['name']}/eviction")
    assert evicted.json["deleteOptions"]["preconditions"]["uid"] == bad["metadata"]["uid"]
    assert changes(proxy) == [evicted]
    after = {each["metadata"]["uid"] for each in await workloads.pods(scene.api, scene.namespace, "web")}
    assert well < after
    assert bad["metadata"]["uid"] not in after
    (attempt,) = (await detail(scene, closed["id"]))["attempts"]
    assert (attempt["action"], attempt["state"], attempt["verdict"]) == ("kubernetes.evict_pod", "applied", "cured")
    assert scene.pagerduty.incidents == []


# --- a person decides ----------------------------------------------------------------------------------------------------


async def asks(scene: Scene) -> dict[str, Any]:
    """A bad release, an alert about it, and a page that asks."""
    await scene.deploy("app:1")
    await scene.start(asking_rules(), alertmanager=None, api=people(scene))
    await scene.release_seen("app:crash-2", "2")
    await eventually(lambda: _unwell(scene), within=60, what="the bad release")
    assert await scene.post()
    found = await until(scene, asked, "an offer")
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    return found


async def _unwell(scene: Scene) -> bool:
    return bool((await scene.deployment())["status"].get("unavailableReplicas"))


async def _is(scene: Scene, image: str) -> bool:
    return await scene.image() == image


async def test_a_page_asks_and_a_yes_of_the_right_person_runs_one_undo_that_is_verified(watched: Watched) -> None:
    scene, proxy = watched
    found = await asks(scene)
    number = found["incident"]["id"]
    assert f"receiver approve {number}" in told(scene)
    assert changes(proxy) == []
    refused = await says(scene, f"approve {number} --yes --tick backup")
    assert (refused.returncode, "role 'ic'" in refused.stderr) == (1, True), refused.stderr
    unticked = await says(scene, f"approve {number} --yes", who="ines")
    assert (unticked.returncode, "a backup of today exists" in unticked.stderr) == (1, True), unticked.stderr
    assert changes(proxy) == []
    approved = await says(scene, f"approve {number} --yes --tick backup", who="ines")
    assert approved.returncode == 0, approved.stderr
    await eventually(lambda: _is(scene, "app:1"), within=60, what="the old image back")
    await until(scene, lambda seen: any(each["verdict"] == "cured" for each in seen["attempts"]), "a verdict")
    assert await scene.post(resolved=True)
    await scene.closed()
    (undo,) = changes(proxy)
    assert (undo.method, undo.path) == ("PATCH", workloads.path(scene.namespace, "web"))
    ran = [each for each in (await detail(scene, number))["attempts"] if each["state"] == "applied"]
    assert [(each["action"], each["approved_by"]) for each in ran] == [("kubernetes.rollout_undo", "ines")]
    assert workloads.complete(await scene.deployment())
    await scene.pagerduty.waits_for(lambda it: not it.open, within=60)
    assert len(scene.pagerduty.incidents) == 1


async def test_after_a_no_nothing_is_done_and_the_page_stays(watched: Watched) -> None:
    scene, proxy = watched
    number = (await asks(scene))["incident"]["id"]
    generation = (await scene.deployment())["metadata"]["generation"]
    denied = await says(scene, f"deny {number} --reason investigating")
    assert denied.returncode == 0, denied.stderr
    assert await scene.post()  # it still fires, and is looked at again
    found = await until(scene, lambda seen: any(each["because"] == "denied" for each in seen["refusals"]), "the refusal")
    assert found["incident"]["open"]
    assert asked(found) is None
    late = await says(scene, f"approve {number} --yes --tick backup", who="ines")
    assert (late.returncode, "does not ask for anything" in late.stderr) == (1, True), late.stderr
    assert changes(proxy) == []
    assert (await scene.deployment())["metadata"]["generation"] == generation
    assert [each.key for each in scene.pagerduty.open] == [each.key for each in scene.pagerduty.incidents]
    assert len(scene.pagerduty.open) == 1


# --- a person acts -------------------------------------------------------------------------------------------------------


def waits_for_reverse(found: dict[str, Any]) -> bool:
    """Nothing fires, its window is over, and it will be looked at again in a quarter of an hour only."""
    due = datetime.fromisoformat(found["next_due"]) if found["next_due"] else None
    over = not any(each["firing"] for each in found["alerts"])
    return bool(found["incident"]["open"] and over and due and due - datetime.now(UTC) > timedelta(minutes=5))


async def run(scene: Scene, lines: list[str]) -> None:
    """In a shell, with the real kubectl and the rights of an administrator."""
    program = {"kubectl": f"exec '{KUBECTL}' --kubeconfig '{scene.plane.kubeconfig()}' \"$@\""}
    for line in lines:
        done = await asyncio.to_thread(typed, line, scene.directory, program)
        assert done.returncode == 0, done.stderr


async def env(scene: Scene) -> list[Object]:
    found = await scene.deployment()
    return list(found["spec"]["template"]["spec"]["containers"][0].get("env", []))


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on this machine")
async def test_what_a_person_ran_by_hand_keeps_the_incident_open_until_it_is_taken_back(watched: Watched) -> None:
    scene, proxy = watched
    await scene.deploy("app:1")
    await scene.start(BY_HAND_RULES.replace("NAMESPACE", scene.namespace), alertmanager=None)
    assert await scene.post()
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    found = await until(scene, lambda seen: seen["prepared"] and not seen["prepared"][0]["gaps"], "a whole command")
    log, purge = found["prepared"]
    number = found["incident"]["id"]
    assert f'kubectl -n {scene.namespace} set env deployment/web -c "$ONLY" LOG_LEVEL=debug' in log["commands"][0]
    text = told(scene)
    assert all(line in text for each in (log, purge) for line in (*each["commands"], *each["reverse"]))
    assert "<<<QUEUE: not in the catalogue, set services.shop-web.values.queue>>>" in text

    await run(scene, log["commands"])
    done = await says(scene, f"did {number} {log['name']} --output json")
    assert json.loads(done.stdout)["reverse"] == log["reverse"]
    assert await env(scene) == [{"name": "LOG_LEVEL", "value": "debug"}]
    assert await scene.post(resolved=True)
    waiting = await until(scene, waits_for_reverse, "the wait for the reverse")
    assert [each["name"] for each in waiting["standing"] if each["open"]] == [log["name"]]
    assert scene.pagerduty.open

    await run(scene, waiting["standing"][0]["reverse"])
    back = await says(scene, f"undid {number} {log['name']}")
    assert back.returncode == 0, back.stderr
    await scene.closed()
    await scene.pagerduty.waits_for(lambda it: not it.open, within=60)
    assert await env(scene) == []
    assert changes(proxy) == []  # nothing of it was ours


async def test_a_page_of_before_the_target_was_known_names_no_command_that_nobody_could_run(scene: Scene) -> None:
    """No such workload: the page is not buried under half-filled lines."""
    rules = BY_HAND_RULES.replace("NAMESPACE", scene.namespace).replace("name: web}", "name: elsewhere}")
    await scene.start(rules, alertmanager=None)
    assert await scene.post()
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    text = told(scene)
    assert "debug_log: " in text
    assert "set env" not in text
