"""The catalogue's links with the incident's time window filled in, and the alerts' own addresses.

Placeholders in a link of the catalogue: `$from $to` (RFC 3339), `$from_ms $to_ms` (epoch milliseconds, as Grafana reads them),
`$from_s $to_s` (epoch seconds), and of the resolved target `$namespace $workload $service $cluster`. Each also as `${name}`; every value
enters percent-encoded; an unknown name is left as it stands. Law: http and https only, nothing is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from receiver.core.case import Case
from receiver.core.model import Alert
from receiver.core.wording.say import began, clean, rfc3339, target_ref, tongue

BEFORE = timedelta(minutes=30)
"""Shown before the first alert began: what led to it."""
MOST = 12
MOST_OF_ALERT = 3
"""Links of one alert's annotations: they come from outside, and shall not crowd out the rest."""
RUNBOOK = "runbook_url"
DASHBOARD = "dashboard"
LONGEST = 2_000
"""Characters of one address; a longer one is left out, since a cut one leads nowhere."""

_PLACEHOLDER = re.compile(r"\$(?:\{(?P<braced>[a-z_]+)\}|(?P<plain>[a-z_]+))")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(?:[/?#][!-~]*)?", re.ASCII)
_FORBIDDEN = re.compile(r"""["'<>\\^`{|}]""")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def page_links(case: Case, now: datetime) -> tuple[tuple[str, str], ...]:
    """(address, text): the catalogue's first, then what the alerts annotate, then where they come from; each address once."""
    service = case.services.get(case.incident.service)
    catalogued = sorted(service.links.items()) if service is not None else []
    values = window(case, now)
    found = {filled(address, values): clean(name, limit=60) for name, address in catalogued}
    say = tongue(case)
    for name, address in (pair for each in case.alerts[:MOST] for pair in _annotated(each.alert)):
        found.setdefault(address, clean(name, limit=60))
    for each in case.alerts[:MOST]:
        name = clean(each.alert.name, limit=60)
        found.setdefault(each.alert.generator_url, say(f"source of the alert {name}", f"source de l'alerte {name}"))
    return tuple((address, text) for address, text in found.items() if linkable(address))[:MOST]


def _annotated(alert: Alert) -> list[tuple[str, str]]:
    """What the rule's author annotated: the runbook, and dashboards."""
    named = [(name, address) for name, address in sorted(alert.annotations.items(), reverse=True) if _leads(name) and linkable(address)]
    return named[:MOST_OF_ALERT]


def _leads(name: str) -> bool:
    return name == RUNBOOK or name.startswith(DASHBOARD)


def window(case: Case, now: datetime) -> Mapping[str, str]:
    """The placeholders' values, not encoded yet."""
    start, end = began(case) - BEFORE, now
    ref = target_ref(case)
    return {
        "from": rfc3339(start),
        "to": rfc3339(end),
        "from_ms": str(int(start.timestamp() * 1000)),
        "to_ms": str(int(end.timestamp() * 1000)),
        "from_s": str(int(start.timestamp())),
        "to_s": str(int(end.timestamp())),
        "namespace": ref.namespace if ref else "",
        "workload": ref.name if ref else "",
        "cluster": ref.cluster if ref else case.policy.cluster,
        "service": case.incident.service,
    }


def filled(address: str, values: Mapping[str, str]) -> str:
    """A value can add no separator of a URL: it is percent-encoded whole."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        return encoded(values[name]) if name in values else match[0]

    return _PLACEHOLDER.sub(value, address)


def encoded(text: str) -> str:
    """Percent-encoded UTF-8 (RFC 3986, 2.3)."""
    return "".join(each if each in _UNRESERVED else "".join(f"%{byte:02X}" for byte in each.encode("utf-8", "replace")) for each in text)


def linkable(address: str) -> bool:
    """An http(s) address in plain ASCII, without user, password or anything that could break out of where it is shown."""
    return len(address) <= LONGEST and _ADDRESS.fullmatch(address) is not None and _FORBIDDEN.search(address) is None
