"""Who is let in, and when a sender that is only refused is spoken of."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.credentials import Basic, Credentials, Unauthorized
from receiver.ports import OwnTrouble, TroubleKind
from receiver.secret import Secret
from tests.fakes.clock import FakeClock

BOTH = Credentials(tokens=[Secret("old-token"), Secret("tökén")], basic=[Basic("alert user", Secret("p:ß s"))])
TOKENS_ONLY = Credentials(tokens=[Secret("old-token")])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        "Bearer old-token",
        "bearer old-token",
        "Bearer  old-token ",
        "Bearer tökén",
        basic("alert user:p:ß s"),
        "Basic YWxlcnQgdXNlcjpwOsOfIHM=",
    ],
)
def test_each_configured_credential_opens(header: str) -> None:
    assert BOTH.admit([header])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer old-toke",
        "Bearer old-token2",
        "Bearer Old-Token",
        "old-token",
        "Token old-token",
        "Bearer old-token,old-token",
        "Bearer \udcff",
        "Basic",
        "Basic %%%",
        "Basic ä",
        basic("alert user"),
        basic("alert user:"),
        basic(":p:ß s"),
        basic("alert user:p:ß"),
        basic("Alert user:p:ß s"),
        basic(""),
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    ],
)
def test_nothing_else_does(header: str) -> None:
    assert not BOTH.admit([header])


@pytest.mark.parametrize("headers", [[], ["Bearer old-token", "Bearer old-token"], ["Bearer old-token", "Bearer wrong"]])
def test_exactly_one_header_counts(headers: list[str]) -> None:
    assert not BOTH.admit(headers)


def test_a_scheme_that_is_not_configured_opens_nothing() -> None:
    assert not TOKENS_ONLY.admit([basic("old-token:")])
    assert not TOKENS_ONLY.admit([basic("old-token")])


def test_a_door_without_credentials_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="token_file"):
        Credentials()


def test_the_challenge_names_the_schemes_that_are_configured() -> None:
    assert TOKENS_ONLY.challenge == "Bearer"
    assert BOTH.challenge.startswith("Bearer, Basic realm=")


@given(st.text())
def test_no_header_makes_it_raise(text: str) -> None:
    assert not BOTH.admit(["Basic " + text])
    assert not TOKENS_ONLY.admit([text])


# --- the watch -----------------------------------------------------------------------------------------------------------


class Watched:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.told: list[OwnTrouble] = []
        self.watch = Unauthorized("alertmanager", clock=self.clock, report=self.told.append)
        self.watch.admitted()
        self.told.clear()

    def refused_after(self, *minutes: float) -> list[bool]:
        for each in minutes:
            self.clock.advance(timedelta(minutes=each))
            self.watch.refused()
        return [each.over for each in self.told]


def test_refusals_for_five_minutes_are_told() -> None:
    watched = Watched()
    assert watched.refused_after(0, 2, 2.9) == []
    assert watched.refused_after(0.1) == [False]
    assert (watched.told[0].kind, watched.told[0].subject) == (TroubleKind.unauthorized, "alertmanager")


def test_one_success_between_starts_the_count_again() -> None:
    watched = Watched()
    watched.refused_after(0, 4)
    watched.watch.admitted()
    assert watched.refused_after(4, 4) == []
    assert watched.refused_after(1) == [False]


def test_the_first_success_after_it_says_once_that_it_is_over() -> None:
    watched = Watched()
    watched.refused_after(0, 6)
    watched.watch.admitted()
    watched.watch.admitted()
    assert [each.over for each in watched.told] == [False, True]


def test_a_refusal_long_after_another_is_a_new_story() -> None:
    assert Watched().refused_after(0, 61, 4) == []


def test_the_first_success_of_a_process_ends_what_the_one_before_it_told() -> None:
    told: list[OwnTrouble] = []
    Unauthorized("alertmanager", clock=FakeClock(), report=told.append).admitted()
    assert [each.over for each in told] == [True]
