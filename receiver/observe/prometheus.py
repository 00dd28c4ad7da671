"""Questions in PromQL: of a verification, or of a breadth.

Law: placeholders are filled from the resolved target, the configuration's cluster and the catalogue's service, never from an alert. One
finite number is an answer; nothing, many, NaN, a partial answer or none in time are states of their own: we compare, not the query.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import replace

from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.prometheus import Prometheus
from receiver.core.facts import Facts, Look, Question, Sample, SampleState
from receiver.core.looks import NO_PROMETHEUS
from receiver.ports import Permission

PLACEHOLDER = re.compile(r"\$(namespace|workload|service|cluster)(?![A-Za-z0-9_])")
_SAFE = re.compile(r"[A-Za-z0-9_.:/@ -]*")


class Unfilled(Exception):
    """A placeholder for which nothing was resolved."""


class PrometheusObserver:
    """Answers every question that has a query."""

    name = "prometheus"
    permissions: tuple[Permission, ...] = ()
    """None of a platform's: it asks Prometheus."""

    def __init__(self, client: Prometheus) -> None:
        self._client = client

    async def look(self, look: Look, facts: Facts) -> Facts:
        """Samples are added in the order of the questions."""
        known = values(look, facts)
        wanted = [each for each in look.questions if each.query]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(each, known), name="observe-query") for each in wanted]
        return replace(facts, samples=(*facts.samples, *(each.result() for each in tasks)))

    async def _answer(self, question: Question, known: Mapping[str, str]) -> Sample:
        try:
            expression = fill(question.query, known)
        except Unfilled as error:
            return Sample(question.name, SampleState.error, detail=plain(str(error)))
        try:
            series = await self._client.query(expression)
        except ClientError as error:
            state = SampleState.timeout if error.kind is ErrorKind.timeout else SampleState.error
            return Sample(question.name, state, detail=_told(expression, error.text))
        return _sample(question.name, expression, series.values)


class NoPrometheus:
    """Stands where no Prometheus is configured: says so to every question that has a query."""

    name = "no_prometheus"
    permissions: tuple[Permission, ...] = ()

    async def look(self, look: Look, facts: Facts) -> Facts:
        """A sample without a value each."""
        answers = (Sample(each.name, SampleState.error, detail=NO_PROMETHEUS) for each in look.questions if each.query)
        return replace(facts, samples=(*facts.samples, *answers))


def values(look: Look, facts: Facts) -> dict[str, str]:
    """What each placeholder stands for; those without a value are left out."""
    ref = facts.target.ref if facts.target is not None else look.ref
    known = {"service": look.service}
    if ref is not None:
        known |= {"namespace": ref.namespace, "workload": ref.name, "cluster": ref.cluster}
    return {name: value for name, value in known.items() if value}


def fill(query: str, known: Mapping[str, str]) -> str:
    """Fills the placeholders in one pass; a value can never end the string that it stands in."""

    def put(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise Unfilled(f"{match[0]} has no value: nothing was resolved for it; query {query}")
        return escaped(known[match[1]])

    return PLACEHOLDER.sub(put, query)


def escaped(value: str) -> str:
    """As the inside of a PromQL string, whichever quote it has; within backticks a strange character stays wrong, but inside."""
    if _SAFE.fullmatch(value):
        return value
    return "".join(each if _SAFE.fullmatch(each) else _code(each) for each in value)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _sample(name: str, expression: str, found: tuple[str, ...]) -> Sample:
    if not found:
        return Sample(name, SampleState.empty, detail=_told(expression, "no series"))
    if len(found) > 1:
        return Sample(name, SampleState.ambiguous, detail=_told(expression, f"{len(found)} series, wanted one"))
    try:
        value = float(found[0])
    except ValueError:
        return Sample(name, SampleState.error, detail=_told(expression, f"{found[0]!r} is no number"))
    if not math.isfinite(value):
        return Sample(name, SampleState.not_finite, detail=_told(expression, found[0]))
    return Sample(name, SampleState.value, value, _told(expression, found[0]))


def _told(expression: str, came: str) -> str:
    """What came back is never what is cut."""
    answer = plain(came, limit=120)
    return f"{plain(expression, limit=250 - len(answer))} => {answer}"
