"""The self-check of our rights, at the start and every few minutes: which are missing, which are too many.

Law: it never holds up the start and never a page. Until the API server has answered once for an identity in a namespace, the actions there
are refused; what it answered last holds while it is silent. Supervised by the application.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import structlog

from receiver.clients.errors import ClientError
from receiver.clients.kubernetes_rights import Held, Reviewer, Right, allowed, held
from receiver.core.case import Lack
from receiver.ports import Clock, OwnTrouble, RightFinding, RightsReport, RightState, TroubleKind
from receiver.remediate.kubernetes.rights import ACCOUNTS, BASE, CLUSTER, LOOKS, UNDO, Needs, beyond, missing
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.remediate")

EVERY = timedelta(minutes=5)
"""Rights change rarely; a right that was just granted is used after this at the latest."""
AGAIN = timedelta(seconds=15)
"""After a round in which somebody was not answered."""
PENDING = Lack("the API server has not said yet which rights we have", passing=True)
SHOWN = 6
"""Rights in one sentence; all of them are at `/api/v1/rights`."""

Place = tuple[str, str]
"""(account, namespace)."""


class RightsCheck:
    """One for the process. Without clients it has nothing to say."""

    def __init__(
        self,
        clients: Mapping[str, Reviewer],
        needs: Needs,
        *,
        namespaces: Collection[str],
        listed: Callable[[], Collection[str]],
        clock: Clock,
        report: Callable[[OwnTrouble], None],
        metrics: Metrics,
    ) -> None:
        """`listed` names the actions of the rules in force; lacks of others trouble nobody."""
        self._clients = {account: client for account, client in clients.items() if account in (BASE, UNDO)}
        self._needs = needs
        self._namespaces = sorted(namespaces)
        self._listed = listed
        self._clock = clock
        self._report = report
        self._metrics = metrics
        self._held: dict[Place, Held] = {}
        self._lacked: dict[Place, frozenset[Right]] = {}
        self._silent: dict[Place, str] = {}
        self._asked_at: datetime | None = None
        self._told: tuple[RightFinding, ...] | None = None
        self.lacking: Mapping[tuple[str, str], Lack] = {(name, ""): PENDING for name in needs.actions}
        """For `Policy.lacking`."""

    @property
    def asks(self) -> bool:
        """There is somebody to ask."""
        return bool(self._clients)

    @property
    def latest(self) -> RightsReport:
        """What the last round found."""
        return RightsReport(self._asked_at, self._findings()) if self._asked_at is not None else RightsReport()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.round()
            await self._clock.sleep((AGAIN if self._silent else EVERY).total_seconds())

    async def round(self) -> None:
        """Asks once for every identity and namespace, one after the other: acting and looking go first."""
        self._silent.clear()
        for account, client in self._clients.items():
            for place in self._namespaces:
                await self._ask(client, account, place)
            await self._ask_wide(client, account)
        self._asked_at = self._clock.now()
        self.lacking = self._lacks()
        self._tell(self._findings())

    async def _ask(self, client: Reviewer, account: str, namespace: str) -> None:
        place = account, namespace
        try:
            found = await held(client, namespace)
            needed = self._needs.by_right(account, wide=False)
            lacked = {each for each in needed if not found.covers(each)}
            if not found.complete:
                lacked = {each for each in lacked if not await allowed(client, namespace, each)}
        except ClientError as error:
            self._silent[place] = error.text
            return
        self._held[place], self._lacked[place] = found, frozenset(lacked)

    async def _ask_wide(self, client: Reviewer, account: str) -> None:
        place = account, CLUSTER
        needed = self._needs.by_right(account, wide=True)
        try:
            self._lacked[place] = frozenset([each for each in needed if not await allowed(client, CLUSTER, each)])
        except ClientError as error:
            self._silent[place] = error.text

    # --- what follows from it

    def _lacks(self) -> dict[tuple[str, str], Lack]:
        found: dict[tuple[str, str], Lack] = {}
        for name, permissions in self._needs.actions.items():
            accounts = {ACCOUNTS[each.identity] for each in permissions if each.identity in ACCOUNTS}
            places = {place: self._lack(name, accounts, place) for place in (*self._namespaces, CLUSTER)}
            found |= {(name, place): lack for place, lack in places.items() if lack is not None}
            first = next((places[each] for each in self._namespaces), None)
            if first is not None and all(places[each] is not None for each in self._namespaces):
                found.setdefault((name, CLUSTER), first)  # nowhere: no look is needed to know it
        return found

    def _lack(self, action: str, accounts: Collection[str], namespace: str) -> Lack | None:
        for account in sorted(accounts & self._clients.keys()):
            place = account, namespace
            needed = self._needs.by_right(account, wide=namespace == CLUSTER)
            own = [each for each, who in needed.items() if action in who]
            if own and place not in self._lacked:
                why = self._silent.get(place, "")
                return Lack(f"which rights identity {account} has {_in(namespace)} is not known: {why}", passing=True)
            lacked = sorted(set(own) & self._lacked.get(place, frozenset()))
            if lacked:
                return Lack(f"identity {account} may not {_shown([str(each) for each in lacked])} {_in(namespace)}")
        return None

    def _findings(self) -> tuple[RightFinding, ...]:
        found: list[RightFinding] = []
        for (account, place), lacked in sorted(self._lacked.items()):
            needed = self._needs.by_right(account, wide=place == CLUSTER)
            found += missing(needed, lacked, account=account, place=place, listed=self._listed())
        for (account, place), each in sorted(self._held.items()):
            found += beyond(each, self._needs, account=account, place=place)
        found += [RightFinding(RightState.unanswered, account, place, why) for (account, place), why in sorted(self._silent.items())]
        return tuple(found)

    def _tell(self, findings: tuple[RightFinding, ...]) -> None:
        """The metric always; the log when it changed. Only blindness is a trouble that asks for a person: what is left out on purpose, or
        granted in excess, is for whoever deploys."""
        for account in self._clients:
            for state in RightState:
                count = sum(each.state is state and each.identity == account for each in findings)
                self._metrics.rights.labels(account, state.value).set(count)
        if findings == self._told:
            return
        self._told = findings
        blind = _sentence([each for each in findings if each.state is RightState.missing and LOOKS in each.needed_by])
        detail = f"what is looked at may not be read: {blind}" if blind else "everything may be read that is looked at"
        self._report(OwnTrouble(TroubleKind.rights_missing, "kubernetes", detail, over=not blind))
        for state, log in ((RightState.missing, _log.warning), (RightState.excess, _log.warning), (RightState.grave, _log.error)):
            ours = [each for each in findings if each.state is state]
            if ours:
                log(f"rights {state.value}", count=len(ours), rights=_sentence(ours))
        _log.info("rights checked", findings=len(findings))


def _sentence(findings: list[RightFinding]) -> str:
    return _shown([f"{each.identity} {each.right} {_in(each.namespace)}" for each in findings])


def _in(namespace: str) -> str:
    return f"in namespace {namespace}" if namespace else "in the cluster"


def _shown(rights: list[str]) -> str:
    more = len(rights) - SHOWN
    return ", ".join(rights[:SHOWN]) + (f" and {more} more" if more > 0 else "")
