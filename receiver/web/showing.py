"""Small judgements of the incident page: what of an attempt changed, which links may be followed, what is too long to show."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.web import shapes
from receiver.web.words import Words

MOST_ALERTS = 50
MOST_ENTRIES = 500
MOST_DOTS = 24
OPEN_PIECES = 3
"""Of the evidence: the most useful are open, the others wait to be asked."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure before and after."""

    name: str
    before: str
    after: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """One pod that was asked for."""

    x: int
    up: bool


def of_node(target: str) -> bool:
    """By its key, which has no namespace: it has no replicas to compare."""
    return "//Node/" in target


def place(target: str) -> str:
    """For a sentence: a node by its name."""
    return f"Node {target.rpartition('/')[2]}" if of_node(target) else target


def compared(run: shapes.Attempt, words: Words) -> list[Compared]:
    """What tells whether it helped. Figures that are unknown on both sides are left out."""
    old, new = run.before, run.after
    rows = [
        _row(words("available"), _available(old), _available(new) if new else None),
        _row(words("revision"), old.revision, new.revision if new else None),
        _row(words("restarts"), str(old.restarts), str(new.restarts) if new else None),
        _row(words("pods_waiting"), _counted(old.waiting), _counted(new.waiting) if new else None),
        _row(words("images"), ", ".join(old.images), ", ".join(new.images) if new else None),
    ]
    names = sorted({*old.samples, *(new.samples if new else {})})
    rows += [_row(each, _figure(old.samples.get(each)), _figure(new.samples.get(each)) if new else None) for each in names]
    return [each for each in rows if each.before or each.after]


def _row(name: str, before: str, after: str | None) -> Compared:
    return Compared(name, before, after or "", changed=after is not None and after != before)


def _available(side: shapes.Side) -> str:
    return f"{side.available} / {side.replicas}"


def _counted(waiting: dict[str, int]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in sorted(waiting.items()))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def dots(side: shapes.Side) -> list[Dot]:
    """A pod a dot, at most two dozen."""
    return [Dot(6 + 12 * at, at < side.available) for at in range(min(MOST_DOTS, max(side.replicas, side.available)))]


def web_links(links: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that a browser may follow: (address, text)."""
    return [(address, text) for address, text in links if _is_web(address)]


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def lines(value: str | list[str]) -> list[str]:
    """A detail of a page as lines."""
    return value if isinstance(value, list) else value.splitlines()


def labels(found: dict[str, str]) -> list[tuple[str, str]]:
    """In the order of their names, without the one that is shown anyway."""
    return [(name, found[name]) for name in sorted(found) if name != "alertname"]
