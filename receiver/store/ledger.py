"""The attempt ledger and the holds: what bounds are replayed from, and the sequence that tells whether they moved.

Law: an intent is committed only on the sequence that its permit was decided on, with no kill switch in force and no other open attempt
on its target; whatever changes ledger or holds moves the sequence. Two workers, or two replicas, cannot spend one budget twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.core import waits
from receiver.core.case import Attempt, AttemptState, Hold, HoldKind, Permit, Verdict
from receiver.core.model import Incident, Mode
from receiver.ports import Entry, StalePermit, VersionConflict
from receiver.store import agenda, codec, incidents
from receiver.store.engine import Tx
from receiver.store.schema import attempts, holds, is_on, meta
from receiver.store.schema import standing as by_hand
from receiver.store.statements import given, insert, listed, update

LOOKED_BACK = timedelta(hours=24)
"""The longest window of a bound (attempts a target and day)."""
JUDGED = 30
"""The newest verdicts: the outcome breaker looks at the last ten that are of cures; each may have some steps of taking it back."""

SEQUENCE = sa.select(meta.c.sequence)
_SEQUENCE_LOCKED = SEQUENCE.with_for_update()
_MOVE = sa.update(meta).values(sequence=meta.c.sequence + 1)
_TOUCH = sa.update(meta).values(sequence=meta.c.sequence)
_FINAL = [each.value for each in Verdict if each.final]

_INSERT = insert(attempts, but=("seq",))
_UPDATE = update(attempts, "state", "verdict", "verdict_at", "open", "leased", "attempt").where(
    attempts.c.id == given("attempt_id", attempts.c.id)
)
_ONE = sa.select(attempts.c.attempt).where(attempts.c.id == given("attempt_id", attempts.c.id))
_OPEN_ONE = sa.select(attempts.c.seq).where(attempts.c.id == given("attempt_id", attempts.c.id), is_on(attempts.c.open))
_OPEN_ON = sa.select(attempts.c.id).where(is_on(attempts.c.open), attempts.c.uid == given("uid", attempts.c.uid))
_BUSY = sa.select(attempts.c.incident_id).where(
    listed(attempts.c.incident_id, "ids"), sa.or_(is_on(attempts.c.open), is_on(attempts.c.leased))
)
_BY_HAND = sa.select(by_hand.c.incident_id).where(listed(by_hand.c.incident_id, "ids"), is_on(by_hand.c.open))
OPEN_ATTEMPTS = sa.select(sa.func.count()).select_from(attempts).where(is_on(attempts.c.open))

_judged = (
    sa.select(attempts.c.seq)
    .where(
        attempts.c.verdict_at.is_not(None),
        attempts.c.state == AttemptState.applied.value,
        attempts.c.verdict.in_(sa.literal_column(f"'{each}'") for each in _FINAL),
    )
    .order_by(attempts.c.verdict_at.desc())
    .limit(sa.literal_column(str(JUDGED)))
    .subquery("judged")
)
_NEEDED = (
    sa.select(attempts.c.attempt)
    .where(
        attempts.c.seq.in_(
            sa.union(
                sa.select(attempts.c.seq).where(listed(attempts.c.incident_id, "ids")),
                sa.select(attempts.c.seq).where(attempts.c.started_at >= given("since", attempts.c.started_at)),
                sa.select(attempts.c.seq).where(is_on(attempts.c.open)),
                sa.select(_judged.c.seq),
            )
        )
    )
    .order_by(attempts.c.started_at, attempts.c.seq)
)

_HOLD = insert(holds, but=("id",))
_HOLDING = (holds.c.ended_at.is_(None), sa.or_(holds.c.until.is_(None), holds.c.until > given("now", holds.c.until)))
_HOLDS = (
    sa.select(holds.c.id, holds.c.kind, holds.c.scope, holds.c.reason, holds.c.by, holds.c.since, holds.c.until)
    .where(*_HOLDING)
    .order_by(holds.c.id)
)
_KILL = (
    sa.select(holds.c.id)
    .where(*_HOLDING, holds.c.kind == sa.literal_column(f"'{HoldKind.kill_switch.value}'"))
    .limit(sa.literal_column("1"))
)
_END_HOLD = update(holds, "ended_at", "ended_by").where(*_HOLDING, holds.c.id == given("hold", holds.c.id))
_SCOPE = sa.select(holds.c.scope).where(holds.c.id == given("hold", holds.c.id))
_LAST_HOLD = sa.select(sa.func.max(holds.c.id))


def touch(tx: Tx) -> None:
    """Writes what is there: a full disk and a lost volume answer reads for long."""
    tx.run(_TOUCH, {})


def sequence(tx: Tx) -> int:
    """Of ledger and holds."""
    seen: int = tx.value(SEQUENCE)
    return seen


def needed(tx: Tx, ids: Sequence[int], *, now: datetime) -> tuple[Attempt, ...]:
    """Those of an incident and of the ones merged into it; all others of the last 24 h; every open one; the last ten verdicts. Oldest
    first."""
    rows = tx.all(_NEEDED, ids=codec.encode(ids), since=codec.micros(now - LOOKED_BACK))
    return tuple(codec.ATTEMPT.decode(attempt) for (attempt,) in rows)


def busy(tx: Tx, ids: Sequence[int]) -> set[int]:
    """Of these incidents, those with an open attempt, or with a change, ours or a person's, that still has to be taken back."""
    return {incident_id for asked in (_BUSY, _BY_HAND) for (incident_id,) in tx.all(asked, ids=codec.encode(ids))}


def begin(tx: Tx, permit: Permit, *, incident: Incident, entries: Sequence[Entry], shadow: bool, now: datetime) -> Attempt:
    """Writes the intent; see the module's law."""
    if (seen := tx.value(_SEQUENCE_LOCKED)) != permit.seen:
        raise StalePermit(f"ledger or holds moved: decided on {permit.seen}, now {seen}")
    end = incidents.expect(tx, [incident])[incident.id]
    if not incident.open:
        raise VersionConflict(f"incident {incident.id} is closed")
    if not shadow:
        _refuse(tx, permit, now)
        _use_up(tx, permit, now)
    attempt = Attempt.begun(permit, AttemptState.shadow if shadow else AttemptState.intent, now)
    tx.run(_INSERT, _row(attempt))
    tx.run(_MOVE, {})
    incidents.write(tx, [(incident, end, entries)])
    return attempt


def record(tx: Tx, attempt: Attempt) -> bool:
    """Its new state or verdict. True: it was open, and is not any more."""
    ended = not attempt.open and tx.first(_OPEN_ONE, attempt_id=codec.text(attempt.id)) is not None
    if tx.run(_UPDATE, _row(attempt) | {"attempt_id": attempt.id}) != 1:
        raise VersionConflict(f"attempt {attempt.id} is not in the ledger")
    tx.run(_MOVE, {})
    return ended


def standing(tx: Tx, *, now: datetime) -> tuple[Hold, ...]:
    """Holds in force now or later."""
    return tuple(
        Hold(
            id=id_,
            kind=HoldKind(kind),
            scope=scope,
            reason=reason,
            by=by,
            since=codec.moment(since),
            until=codec.maybe_moment(until),
        )
        for id_, kind, scope, reason, by, since, until in tx.all(_HOLDS, now=codec.micros(now))
    )


def kill_switch_on(tx: Tx, *, now: datetime) -> bool:
    """Everything is held."""
    return tx.first(_KILL, now=codec.micros(now)) is not None


def add_hold(tx: Tx, hold: Hold) -> int:
    """Its id."""
    row: dict[str, Any] = {
        "kind": hold.kind.value,
        "scope": codec.text(hold.scope),
        "reason": codec.text(hold.reason),
        "by": codec.text(hold.by),
        "since": codec.micros(hold.since),
        "until": codec.maybe_micros(hold.until),
    }
    tx.run(_MOVE, {})
    tx.run(_HOLD, row | {"ended_at": None, "ended_by": ""})
    number: int = tx.value(_LAST_HOLD)
    return number


def end_hold(tx: Tx, hold_id: int, *, at: datetime, by: str) -> bool:
    """False: not in force at that time. What it held is looked at now."""
    when = codec.micros(at)
    if tx.run(_END_HOLD, {"hold": hold_id, "now": when, "ended_at": when, "ended_by": codec.text(by)}) != 1:
        return False
    tx.run(_MOVE, {})
    agenda.wake_held(tx, waits.hold(tx.value(_SCOPE, hold=hold_id)), at=at)
    return True


def _refuse(tx: Tx, permit: Permit, now: datetime) -> None:
    if kill_switch_on(tx, now=now):
        raise StalePermit("the kill switch is on")
    if permit.expires_at <= now:
        raise StalePermit(f"the permit of {permit.at.isoformat()} has expired")
    if (other := tx.value(_OPEN_ON, uid=codec.text(permit.target.uid))) is not None:
        raise StalePermit(f"the target has an open attempt: {other}")


def _use_up(tx: Tx, permit: Permit, now: datetime) -> None:
    """The offer that allows the permit: approved, not used, and used from now on."""
    if not permit.approval:
        if permit.mode is not Mode.auto:
            raise StalePermit(f"mode {permit.mode} needs a person's yes")
        return
    row = tx.first(_ONE, attempt_id=codec.text(permit.approval))
    offer = codec.ATTEMPT.decode(row[0]) if row is not None else None
    if offer is None or offer.state is not AttemptState.shadow or not offer.approved_by or offer.incident_id != permit.incident_id:
        raise StalePermit(f"{permit.approval} is no offer that waits, approved, for its use")
    used = replace(offer, state=AttemptState.withdrawn, ended_at=now, detail=f"used by {permit.attempt_id}")
    tx.run(_UPDATE, _row(used) | {"attempt_id": used.id})


def _row(attempt: Attempt) -> dict[str, Any]:
    leased = attempt.state is AttemptState.applied and attempt.lease_until is not None and not attempt.reverted
    return {
        "id": codec.text(attempt.id),
        "incident_id": attempt.incident_id,
        "action": codec.text(attempt.action),
        "uid": codec.text(attempt.target.uid),
        "namespace": codec.text(attempt.target.namespace),
        "state": attempt.state.value,
        "verdict": attempt.verdict.value if attempt.verdict else None,
        "started_at": codec.micros(attempt.started_at),
        "verdict_at": codec.maybe_micros(attempt.verdict_at),
        "open": int(attempt.open),
        "leased": int(leased),
        "attempt": codec.encode_measured(attempt),
    }
