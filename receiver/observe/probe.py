"""Questions by HTTP: a GET of the probe address that the catalogue gives the service.

2xx is 1. Any other status, a redirect too, a refused or a cut connection is 0: somebody was asked, and is not well. No answer in time is
`timeout`; no such name, no route or an untrusted certificate is `error`: then we cannot tell.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.probe import Prober, shown
from receiver.core.facts import Facts, Look, Question, Sample, SampleState
from receiver.core.looks import DEPENDENCY
from receiver.ports import Permission


class ProbeObserver:
    """Answers every question that has an address."""

    name = "probe"
    permissions: tuple[Permission, ...] = ()

    def __init__(self, client: Prober) -> None:
        self._client = client

    async def look(self, look: Look, facts: Facts) -> Facts:
        """Samples are added in the order of the questions."""
        wanted = [each for each in look.questions if each.url]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(each), name="observe-probe") for each in wanted]
        return replace(facts, samples=(*facts.samples, *(each.result() for each in tasks)))

    async def _answer(self, question: Question) -> Sample:
        try:
            reply = await self._client.get(question.url, indicator=question.name.startswith(DEPENDENCY))
        except ClientError as error:
            state = SampleState.timeout if error.kind is ErrorKind.timeout else SampleState.error
            return Sample(question.name, state, detail=error.text)
        return Sample(question.name, SampleState.value, float(reply.well), plain(f"GET {shown(question.url)}: {reply.text}"))
