"""Who signed the body: the given vectors, and everything that must not pass for a signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from receiver.ingest.signature import Proofs, Scheme, Signature, Signing
from receiver.secret import Secret
from tests.kits.source_kit import BODIES

VECTORS = json.loads((BODIES / "grafana" / "hmac_vectors.json").read_text())
BODY = VECTORS["body"].encode()
HEADER = "X-Grafana-Alerting-Signature"
STAMP = VECTORS["with_timestamp"]["timestamp_header"]
AT = datetime.fromtimestamp(int(VECTORS["with_timestamp"]["timestamp"]), UTC)
PLAIN = Signature(Signing(HEADER), [Secret("another-secret"), Secret(VECTORS["secret"])])
TIMED = Signature(Signing(HEADER, timestamp_header=STAMP), [Secret(VECTORS["secret"])])
SECRET = "whsec_0123456789abcdef"
STRIPE = Signature(Signing("Stripe-Signature", scheme=Scheme.stripe), [Secret(SECRET)])
Headers = CIMultiDict[str]


def plain_headers(digest: str = VECTORS["no_timestamp"][HEADER]) -> Headers:
    return CIMultiDict({HEADER: digest})


def timed_headers(seconds: str = VECTORS["with_timestamp"]["timestamp"]) -> Headers:
    return CIMultiDict({HEADER: VECTORS["with_timestamp"][HEADER], STAMP: seconds})


def stripe_headers(*, secret: str = SECRET, at: datetime = AT, before: str = "") -> Headers:
    seconds = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + BODY, hashlib.sha256).hexdigest()
    return CIMultiDict({"Stripe-Signature": f"t={seconds},{before}v1={digest},v0=old"})


def test_the_given_vector_without_a_time_is_genuine() -> None:
    assert PLAIN.genuine(plain_headers(), BODY, AT)


def test_the_given_vector_with_a_time_is_genuine() -> None:
    assert TIMED.genuine(timed_headers(), BODY, AT)


@pytest.mark.parametrize("seconds", [-299, 299])
def test_a_clock_may_go_a_little_wrong(seconds: int) -> None:
    assert TIMED.genuine(timed_headers(), BODY, AT + timedelta(seconds=seconds))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_or_future_delivery_is_a_replay(minutes: int) -> None:
    assert not TIMED.genuine(timed_headers(), BODY, AT + timedelta(minutes=minutes))
    assert not STRIPE.genuine(stripe_headers(), BODY, AT + timedelta(minutes=minutes))


def test_the_time_is_signed_with_the_body() -> None:
    assert not TIMED.genuine(timed_headers(str(int(AT.timestamp()) + 1)), BODY, AT)


def test_where_a_time_is_asked_for_a_signature_without_one_is_none() -> None:
    assert not TIMED.genuine(plain_headers(), BODY, AT)
    assert not TIMED.genuine(CIMultiDict({**plain_headers(), STAMP: ""}), BODY, AT)


def test_another_body_is_not_the_signed_one() -> None:
    assert not PLAIN.genuine(plain_headers(), BODY + b" ", AT)


@pytest.mark.parametrize("digest", ["", "0" * 64, "é", "\ud800", VECTORS["no_timestamp"][HEADER].upper(), "f" * 100_000])
def test_what_is_no_good_digest_is_refused_without_a_fault(digest: str) -> None:
    assert not PLAIN.genuine(plain_headers(digest), BODY, AT)


def test_two_signatures_are_none() -> None:
    twice = CIMultiDict([*plain_headers().items(), *plain_headers().items()])
    assert not PLAIN.offered(twice)
    assert not PLAIN.genuine(twice, BODY, AT)


def test_a_prefix_is_asked_for() -> None:
    prefixed = Signature(Signing(HEADER, prefix="sha256="), [Secret(VECTORS["secret"])])
    assert prefixed.genuine(plain_headers("sha256=" + VECTORS["no_timestamp"][HEADER]), BODY, AT)
    assert not prefixed.genuine(plain_headers(), BODY, AT)


@pytest.mark.parametrize("before", ["", "v1=0000,", "v1=,v1=zz,"])
def test_one_good_signature_of_several_is_enough(before: str) -> None:
    """As a payment provider sends them while a secret is being rotated."""
    assert STRIPE.genuine(stripe_headers(before=before), BODY, AT)


def test_the_last_generation_of_a_scheme_counts_only() -> None:
    good = stripe_headers()["Stripe-Signature"].replace("v1=", "v0=")
    assert not STRIPE.genuine(CIMultiDict({"Stripe-Signature": good}), BODY, AT)


def test_another_secret_signs_nothing_here() -> None:
    assert not STRIPE.genuine(stripe_headers(secret="whsec_ffffffffffffffff"), BODY, AT)


def test_a_signature_without_a_secret_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="needs a secret"):
        Signature(Signing(HEADER), [])


@given(st.lists(st.tuples(st.sampled_from([HEADER, STAMP, "Stripe-Signature"]), st.text(max_size=40)), max_size=4))
def test_no_headers_make_it_raise_or_agree(pairs: list[tuple[str, str]]) -> None:
    headers = CIMultiDict(pairs)
    for each in (PLAIN, TIMED, STRIPE):
        assert not each.genuine(headers, BODY, AT)


def test_how_the_header_is_written_does_not_make_another_proof() -> None:
    first = STRIPE.proof(stripe_headers(), BODY, AT)
    assert first is not None
    assert STRIPE.proof(stripe_headers(before="v1=" + "0" * 64 + ","), BODY, AT) == first
    assert STRIPE.proof(stripe_headers(at=AT + timedelta(seconds=1)), BODY, AT) != first


def test_only_what_is_stamped_can_be_known_again() -> None:
    assert PLAIN.proof(plain_headers(), BODY, AT) == b""


def test_proofs_are_forgotten_when_they_are_worth_nothing_and_never_too_many() -> None:
    proofs = Proofs(max_age=timedelta(minutes=5), most=2)
    proofs.remember(b"a", AT)
    assert (b"a" in proofs, b"b" in proofs, b"" in proofs) == (True, False, False)
    proofs.remember(b"b", AT + timedelta(minutes=9))
    assert b"a" in proofs
    proofs.remember(b"c", AT + timedelta(minutes=11))
    assert (b"a" in proofs, b"b" in proofs) == (False, True)
    proofs.remember(b"d", AT + timedelta(minutes=11))
    assert (b"b" in proofs, b"c" in proofs, b"d" in proofs) == (False, True, True)
