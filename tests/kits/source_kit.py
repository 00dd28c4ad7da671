"""What every source keeps, whatever its format. Applied to each entry of `SOURCES` by itself; a new one needs a row in `SAMPLES`.

Subclass it in a test module; `pytest` collects the rest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import Batch, Refusal
from receiver.ingest import SOURCES
from receiver.ports import Source

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BODIES = Path(__file__).resolve().parents[1] / "samples"

SAMPLES: Mapping[str, str] = {"alertmanager": "alertmanager/webhook", "grafana": "grafana/webhook"}
"""Source → folder of real bodies, each of which holds at least one alert."""

HOSTILE = [
    "<script>alert(1)</script>",
    "{{ 7*7 }} {% for i in range(9) %}",
    "{0.__class__.__mro__} {:>999999999} %s %(x)s %999999999d",
    "'; DROP TABLE alerts; --",
    "../../etc/passwd",
    "$(reboot) `reboot` ${jndi:ldap://x}",
    "\u202eevil\u2028\x1b[31m",
    "=cmd|' /C calc'!A0",
    "e\u0301" * 5000,
    "x" * 900_000,
]

NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"{}}",
    b"NaN",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"'a'",
    b"{/*c*/}",
    b"[" * 100_000,
    b"9" * 200_000,
    b'{"a":1e999',
]


def sample_bodies(name: str) -> list[bytes]:
    """Real bodies of one kind of source."""
    return [path.read_bytes() for path in sorted((BODIES / SAMPLES[name]).glob("*.json"))]


def with_each_text_replaced(body: bytes, text: str) -> Iterator[bytes]:
    """The body, once for each text in it, with that text replaced."""
    for path in _text_paths(json.loads(body)):
        changed = json.loads(body)
        _put(changed, path, text)
        yield json.dumps(changed).encode()


def mutated(body: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, dropped, doubled, or taken from elsewhere in the body."""
    data = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 8, 40))
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.choice(b'{}[]",:\\0u\x00\xff aN-.e')])
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case _:
                start = rng.randrange(len(data) + 1)
                data[at:at] = data[start : start + size]
    return bytes(data)


@pytest.fixture(params=sorted(SOURCES))
def name(request: pytest.FixtureRequest) -> str:
    """Each source that there is."""
    return str(request.param)


class SourceKit:
    """The promises of `receiver.ports.Source`."""

    @pytest.fixture
    def source(self, name: str) -> Source:
        return SOURCES[name](name)

    def test_a_real_body_is_read_whole(self, name: str, source: Source) -> None:
        for body in sample_bodies(name):
            batch = source.parse(body, NOW)
            assert isinstance(batch, Batch)
            assert batch.alerts
            assert not batch.rejected

    @pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
    def test_what_is_no_json_is_refused_with_a_path(self, source: Source, body: bytes) -> None:
        refusal = source.parse(body, NOW)
        assert isinstance(refusal, Refusal)
        assert refusal.path
        assert refusal.reason

    def test_a_replay_has_the_same_identities(self, name: str, source: Source) -> None:
        for body in sample_bodies(name):
            first, again = source.parse(body, NOW), source.parse(body, NOW.replace(year=2027))
            assert isinstance(first, Batch)
            assert isinstance(again, Batch)
            assert [each.fingerprint for each in first.alerts] == [each.fingerprint for each in again.alerts]
            assert [each.starts_at for each in first.alerts] == [each.starts_at for each in again.alerts]

    def test_two_sources_never_share_an_identity(self, name: str) -> None:
        for body in sample_bodies(name):
            batches = [SOURCES[name](each).parse(body, NOW) for each in ("one", "other")]
            assert all(isinstance(each, Batch) for each in batches)
            one, other = ({alert.fingerprint for alert in getattr(each, "alerts", ())} for each in batches)
            assert not one & other

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_text_is_data(self, name: str, source: Source, text: str) -> None:
        for body in with_each_text_replaced(sample_bodies(name)[0], text):
            assert_fit_for_every_store(source.parse(body, NOW))

    def test_a_damaged_body_never_raises(self, name: str, source: Source, rng: random.Random) -> None:
        bodies = [body for body in sample_bodies(name) if len(body) < 4000]
        for _ in range(3000):
            assert_fit_for_every_store(source.parse(mutated(rng.choice(bodies), rng), NOW))

    @given(st.binary(max_size=200))
    def test_no_bytes_make_it_raise(self, body: bytes) -> None:
        for kind, make in SOURCES.items():
            assert isinstance(make(kind).parse(body, NOW), Batch | Refusal)

    def test_nothing_is_taken_beyond_the_limit_and_the_rest_is_said(self, name: str) -> None:
        body = json.loads(sample_bodies(name)[0])
        body["alerts"] = body["alerts"][:1] * 7
        batch = SOURCES[name](name, alerts_limit=5).parse(json.dumps(body).encode(), NOW)
        assert isinstance(batch, Batch)
        assert (len(batch.alerts), batch.truncated, len(batch.rejected)) == (5, 2, 1)
        assert all(each.truncated for each in batch.alerts)


def assert_fit_for_every_store(read: Batch | Refusal) -> None:
    """Bounded, without NUL and lone surrogates, with times that can be computed with."""
    if isinstance(read, Refusal):
        assert len(read.reason.encode()) < 1000
        return
    for alert in read.alerts:
        texts = [*alert.labels, *alert.labels.values(), *alert.annotations, *alert.annotations.values(), alert.generator_url]
        assert all(len(each) < 20_000 and "\0" not in each for each in texts)
        "".join(texts).encode()
        assert alert.starts_at.utcoffset() == NOW.utcoffset()
        assert alert.ends_at is None or alert.ends_at <= alert.received_at
    for rejected in read.rejected:
        assert len(rejected.raw) <= 4096
        assert len(rejected.path) < 100
        assert len(rejected.reason) < 1000
        f"{rejected.path}{rejected.reason}{rejected.raw}".encode()
        assert "\0" not in rejected.raw


def _text_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _text_paths(each, (*path, key))


def _put(value: Any, path: tuple[Any, ...], text: str) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = text
