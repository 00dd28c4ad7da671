"""What a page shows of a service of ECS, from end to end: alarm → SNS → SQS → receiver → page, its update, the API and the terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.aws_scene import ALARM, DIMENSIONS, AwsScene
from tests.fakes.ecs_world import Task
from tests.real.moto import Moto
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e


@pytest_asyncio.fixture
async def scene(moto: Moto, tmp_path: Path) -> AsyncIterator[AwsScene]:
    async with AwsScene(moto, tmp_path) as made:
        yield made


async def told_of_a_deploy(scene: AwsScene) -> None:
    """By a pipeline, which lets a password slip."""
    body = {"service": "storefront", "what": "shop:2 to production, DB_PASSWORD=hunter2", "who": "ci"}
    headers = {"Authorization": f"Bearer {scene.admin_token}"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.post(f"{scene.url}/api/v1/changes", headers=headers, json=body) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def alarmed(scene: AwsScene) -> None:
    """CloudWatch has the alarm itself, and three figures of what it watches."""
    dimensions = [{"Name": name, "Value": value} for name, value in DIMENSIONS.items()]
    async with scene.moto.client("cloudwatch") as cloudwatch:
        for minutes, value in ((30, 3.0), (20, 3.0), (10, 1.0)):
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            data = {"MetricName": "RunningTaskCount", "Dimensions": dimensions, "Timestamp": at, "Value": value}
            await cloudwatch.put_metric_data(Namespace="ECS/ContainerInsights", MetricData=[data])
        await cloudwatch.put_metric_alarm(
            AlarmName=ALARM, Namespace="ECS/ContainerInsights", MetricName="RunningTaskCount", Dimensions=dimensions, Statistic="Average",
            Period=60, Threshold=2.0, ComparisonOperator="LessThanThreshold", EvaluationPeriods=1,
        )  # fmt: skip


async def gathered(scene: AwsScene) -> dict[str, dict[str, Any]]:
    """Of the one incident, by title, once it is kept."""

    async def look() -> dict[str, dict[str, Any]] | None:
        found = [await scene.incident(each["id"]) for each in await scene.incidents()]
        return {each["title"]: each for each in found[0]["evidence"]} if found and found[0]["evidence"] else None

    return await eventually(look, within=60, what="evidence")


async def test_a_page_of_a_service_brings_its_evidence(scene: AwsScene) -> None:
    scene.world.deploy(scene.service, scene.bad)
    dead = Task("arn:aws:ecs:eu-west-1:1:task/x/dead", scene.service.past[-1].id, scene.bad, datetime.now(UTC), stopped=True)
    dead.exit_code, dead.reason = 137, "Essential container in task exited"
    scene.service.tasks.append(dead)
    await scene.start(mode="observe", page_after={"P2": "2s"})
    await told_of_a_deploy(scene)
    await alarmed(scene)
    await scene.alarm("ALARM")
    found = await gathered(scene)
    assert "shop:2 to production, DB_PASSWORD=***" in found["changes"]["lines"][0]
    assert any("app exit 137" in line for line in found["tasks"]["lines"])
    assert any(line.startswith("RunningTaskCount (Average): ") and "now 1, 1 to 3" in line for line in found["alarm"]["lines"])
    assert found["metrics"]["lines"][0].startswith("CPUUtilization: no data in the last hour")
    assert found["revisions"]["lines"][0].startswith("PRIMARY web:2")
    assert [each for each in found.values() if not each["lines"]] == [each for each in found.values() if each["missing"]]
    await scene.pagerduty.waits_for(lambda it: it.incidents and "exit 137" in str(it.incidents[-1].details), within=30)
    (page,) = scene.pagerduty.incidents
    assert "DB_PASSWORD=***" in str(page.details)
    assert "hunter2" not in f"{page.details}{found}"
