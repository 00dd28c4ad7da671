"""Destinations: one file each, delivering one message with its dedup key.

Law: `deliver` never raises (but for cancellation), has a time limit, and names no secret.
`NOTIFIERS` is the explicit table. Wired in `app.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty

NOTIFIERS: Mapping[str, type[LogNotifier] | type[PagerDuty]] = {LogNotifier.name: LogNotifier, PagerDuty.name: PagerDuty}
