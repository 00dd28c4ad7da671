"""The evidence of a page in the configuration. As `sections`, which says where it stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from receiver.yamlfile import Duration, Flag, Strict


class Evidence(Strict):
    """What is collected for a page."""

    within: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=5))] = timedelta(seconds=60)
    """All pieces together. No page waits for it: what comes later than three seconds follows as an update. Too short: slow pieces are
    named as missing."""
    logs: Flag = True
    """False: no line of a workload's log is read or shown. They are masked, and yet written by whoever writes them."""
