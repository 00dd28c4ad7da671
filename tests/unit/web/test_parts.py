"""The pure parts: pictures, words, sessions, tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import Phase
from receiver.core.wording import trouble_text
from receiver.ports import Entry, StoredEntry
from receiver.secret import Secret
from receiver.web.pictures import WIDTH, Mark, Story, bar, strip
from receiver.web.render import TEMPLATES
from receiver.web.sessions import MOST_SESSIONS, Sessions
from receiver.web.shaping import advice, refusals
from receiver.web.showing import web_links
from receiver.web.tokens import ApiToken, Caller, Scope, Tokens
from receiver.web.words import WORDS, Words
from tests.fakes import pages
from tests.fakes.clock import START, FakeClock

moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants naive bounds)
near = st.integers(-90_000, 90_000).map(lambda seconds: START + timedelta(seconds=seconds))
dates = st.one_of(near, moments)
marks = st.builds(Mark, at=dates, kind=st.sampled_from(["page", "ack", "act", "good", "bad", "shadow"]), text=st.text(max_size=5))
stories = st.builds(
    Story,
    id=st.integers(1, 99),
    phases=st.dictionaries(st.sampled_from([*(each.value for each in Phase), "unheard-of"]), dates),
    accepted_at=dates,
    closed_at=st.none() | dates,
    marks=st.lists(marks, max_size=8),
    next_due=st.none() | dates,
)


@given(stories, dates)
def test_every_picture_stays_in_its_frame(story: Story, now: datetime) -> None:
    drawn = strip(story, now=now, words=Words("fr"))
    places = [
        *(each.x for each in drawn.segments),
        *(each.x for each in drawn.spots),
        *(each.x for each in drawn.ticks),
        drawn.now,
        drawn.due,
    ]
    assert all(0 <= each <= WIDTH for each in places if each is not None)
    assert all(each.width > 0 for each in drawn.segments)


@given(stories, dates)
def test_every_picture_says_in_words_what_it_shows(story: Story, now: datetime) -> None:
    label = strip(story, now=now, words=Words("en")).label
    assert all(each.text in label for each in story.marks)
    assert "detected" in label


def test_phases_stand_in_proportion_to_their_time() -> None:
    hour = timedelta(hours=1)
    story = Story(1, {"triaged": START + hour, "resolved": START + 4 * hour}, START, START + 4 * hour, (), None)
    widths = {each.phase: each.width for each in strip(story, now=START + 9 * hour, words=Words("en")).segments}
    assert (widths["detected"], widths["triaged"]) == (250, 750)


def test_a_bar_shows_shares_and_keeps_the_names_of_none() -> None:
    parts = bar([(1, "P1", 1), (2, "P2", 3), (3, "P3", 0)])
    assert [(each.x, each.width, each.name) for each in parts] == [(0, 250, "P1"), (250, 750, "P2"), (1000, 0, "P3")]
    assert [each.width for each in bar([(1, "P1", 0)])] == [0]


@pytest.mark.parametrize("key", WORDS)
def test_every_word_has_both_languages_with_the_same_places(key: str) -> None:
    english, french = WORDS[key]
    assert english
    assert french
    assert sorted(re.findall(r"\{\d}", english)) == sorted(re.findall(r"\{\d}", french))


def test_every_word_that_a_template_asks_for_exists() -> None:
    asked = {key for file in Path(TEMPLATES).glob("*.html") for key in re.findall(r"\bt\('([a-z_0-9]+)'[,)]", file.read_text())}
    assert asked
    assert asked <= set(WORDS)


def test_no_template_holds_a_script_a_style_or_a_way_around_escaping() -> None:
    for file in Path(TEMPLATES).glob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script|style=|<style|\son[a-z]+=|\|\s*safe|Markup|autoescape", text), file.name


def test_sessions_are_bounded_and_the_one_seen_longest_ago_ends() -> None:
    sessions = Sessions(FakeClock())
    caller = Caller("n", Scope.read)
    first, second = sessions.open(caller), sessions.open(caller)
    assert sessions.find(first)
    for _ in range(MOST_SESSIONS - 1):
        sessions.open(caller)
    assert sessions.find(first)
    assert sessions.find(second) is None


@given(st.text())
def test_no_cookie_is_a_session_by_chance(id_: str) -> None:
    assert Sessions(FakeClock()).find(id_) is None


@given(st.lists(st.text(max_size=60), max_size=3))
def test_no_header_raises_or_opens(headers: list[str]) -> None:
    assert Tokens([ApiToken("n", "read", Secret("read-token-0123456789"))]).bearer(headers) is None


def test_without_tokens_nobody_is_let_in() -> None:
    assert Tokens([]).bearer(["Bearer x"]) is None
    assert Tokens([]).holder("") is None


def test_a_scope_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(ValueError, match="root"):
        Tokens([ApiToken("n", "root", Secret("read-token-0123456789"))])


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "//evil.test", "ftp://x/y", "http://", "http://[", "", "JaVaScRiPt:x", " javascript:x"],
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert web_links([(address, "t"), ("https://wiki.example.com/", "t")]) == [("https://wiki.example.com/", "t")]


def test_refusals_are_those_of_the_newest_decision_and_oddly_shaped_ones_are_left_out() -> None:
    def entry(seq: int, because: object) -> StoredEntry:
        return StoredEntry(seq, Entry(START, "all_refused", "t", data={"refusals": because}), "")

    told = [entry(1, [{"because": "cooldown"}]), entry(2, [{"because": "storm"}, 7]), entry(3, []), entry(4, "x")]
    assert [each.because for each in refusals(told)] == ["storm"]
    assert refusals([]) == []


def test_an_incident_about_ourselves_says_what_it_means_and_what_to_do() -> None:
    case = pages.own_trouble("en")
    assert advice(case.incident, case.alerts, "en") == [
        trouble_text("heartbeat_overdue", "en").meaning,
        trouble_text("heartbeat_overdue", "en").to_do,
    ]
    assert advice(case.incident, case.alerts, "fr")[1].startswith("Vérifier")
    other = pages.base("en")
    assert advice(other.incident, other.alerts, "en") == []
