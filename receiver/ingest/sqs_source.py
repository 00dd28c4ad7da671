"""What a queue of ours may bring: CloudWatch's alarms, from the topics and accounts that are listed.

Law: nobody signs what stands in a queue; its policy says who may send, and these lists say it again. What names a topic or an account that
is not listed is refused: left in the queue, and told. What names no topic (a bare alarm, a bare event) while topics are listed and accounts
are not is on no list, and may yet be true: it is paged, and never acted on. Called by the puller, and by the folder for what a restart left
over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from receiver.core.model import Batch, Refusal
from receiver.ingest.cloudwatch import CloudWatchSource, Opened, open_body
from receiver.ingest.cloudwatch_forms import Form

UNNAMED = "it came bare, so it names none of sources.sqs.topics, and sources.sqs.accounts lists none"


class QueueSource:
    """Implements `receiver.ports.Source`."""

    name = "sqs"

    def __init__(self, *, topics: Collection[str] = (), accounts: Collection[str] = ()) -> None:
        """`topics` of SNS that an envelope may name, `accounts` that an alarm may be of; empty: any, as the queue's policy lets in. With
        topics and no accounts a body without an envelope is for people only."""
        self._parser = CloudWatchSource(self.name)
        self._topics = frozenset(topics)
        self._accounts = frozenset(accounts)

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """Pure and total."""
        opened = open_body(body) if self._topics else None
        if isinstance(opened, Opened) and opened.form is Form.envelope and opened.topic not in self._topics:
            return Refusal("TopicArn", "is none of sources.sqs.topics")
        batch = self._parser.parse(body, received_at)
        if isinstance(opened, Opened) and opened.form is not Form.envelope and not self._accounts and isinstance(batch, Batch):
            return replace(batch, alerts=tuple(replace(each, page_only=UNNAMED) for each in batch.alerts))
        if self._accounts and isinstance(batch, Batch):
            for each in batch.alerts:
                if each.labels.get("account_id", "") not in self._accounts:
                    return Refusal("AlarmArn", "its account is none of sources.sqs.accounts")
        return batch
