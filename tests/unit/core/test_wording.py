"""What people read: whole, in both languages, within bounds, and never steered by what an alert says."""

from __future__ import annotations

import itertools
import json
import shlex
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.bounds import check
from receiver.core.case import (
    Announce,
    AskApproval,
    AttemptState,
    Because,
    Case,
    Close,
    Decision,
    Judge,
    Page,
    Permit,
    Raise,
    Refusal,
    Remediate,
    Revert,
    Shadow,
    Step,
    Verb,
    Verdict,
    Wait,
)
from receiver.core.facts import Danger, Evidence, Facts, Hazard, Trouble
from receiver.core.looks import look
from receiver.core.model import OWN_SOURCE, Alert, Mode, Naming, Priority, Service, Symptom
from receiver.core.page import PageText
from receiver.core.plan import decide
from receiver.core.wording import because_text, classified_text, detail_text, next_command, page_text, resolve_text, sentence, suggest
from receiver.core.wording.because import BECAUSE
from receiver.core.wording.links import filled, linkable
from receiver.core.wording.pages import DETAILS_LIMIT, SUMMARY_LIMIT, bounded
from receiver.core.wording.troubles import TROUBLES, trouble_text
from receiver.ports import TroubleKind
from tests.fakes import cases as c
from tests.fakes import pages
from tests.unit.core import test_walk as walk

LOCALES = pages.LOCALES
UNWORDED = ("could not be worded", "n'a pas pu être rédigé")
PAGED = Decision(Page(Raise(1, c.T0, Priority.p2, Because.deadline, "key", c.T0)), Because.deadline)


def permit(**changes: object) -> Permit:
    found = check(c.case(**changes), 0, c.T0)
    assert isinstance(found, Permit), found
    return found


def page(case: Case, decision: Decision = PAGED, evidence: tuple[Evidence, ...] = ()) -> PageText:
    return page_text(case, decision, evidence=evidence, now=c.T0)


def everything(text: PageText) -> str:
    lines = [text.summary, text.component, text.group, text.source, text.kind]
    for title, value in text.details.items():
        lines += [title, *([value] if isinstance(value, str) else value)]
    return "\n".join([*lines, *(part for link in text.links for part in link)])


# --- tables --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("because", Because)
def test_every_because_has_words_in_both_languages(because: Because) -> None:
    english, french = because_text(because, "en"), because_text(because, "fr")
    assert english
    assert french
    assert english != french
    assert because_text(because, "de") == english


def test_no_two_reasons_are_worded_alike() -> None:
    for language in (0, 1):
        assert len({texts[language] for texts in BECAUSE.values()}) == len(Because)


@pytest.mark.parametrize("kind", TroubleKind)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_trouble_of_ours_says_what_it_means_and_what_to_do(kind: TroubleKind, locale: str) -> None:
    text = trouble_text(kind.value, locale)
    assert text.title
    assert text.meaning
    assert text.to_do
    assert text != trouble_text("never heard of", locale)
    assert set(TROUBLES) == {each.value for each in TroubleKind}


# --- sentences -----------------------------------------------------------------------------------------------------------

STEPS: dict[str, tuple[Step, str, str]] = {
    "look": (look(c.case(), c.T0), "looks at Deployment shop/web", "observe Deployment shop/web"),
    "remediate": (Remediate(permit()), "runs kubernetes.rollout_restart of", "exécute kubernetes.rollout_restart de"),
    "revert": (Revert(permit()), "takes back", "revient en arrière"),
    "shadow": (Shadow(permit()), "would run", "exécuterait"),
    "approval": (AskApproval(permit()), "asks to run", "demande à exécuter"),
    "judge": (Judge(c.attempt(verdict=Verdict.failed, verdict_detail="worse")), "not cured (worse)", "pas guéri (worse)"),
    "unknown": (Judge(c.attempt(state=AttemptState.unknown, detail="cut")), "outcome unknown (cut)", "issue inconnue (cut)"),
    "page": (PAGED.step, "calls a person, P2", "appelle une personne, P2"),
    "storm": (
        Page(Raise(1, c.T0, Priority.p3, Because.storm, "k", c.T0, by_storm=True)),
        "joins the storm",
        "rejoint l'appel de la tempête",
    ),
    "again": (Page(Raise(2, c.T0, Priority.p1, Because.priority_rose, "k", c.T0)), "P1 (call 2)", "P1 (appel n° 2)"),
    "announce": (Announce("half of it is back"), "half of it is back", "half of it is back"),
    "wait": (Wait(c.T0 + timedelta(minutes=5)), "waits until 2026-11-20 12:05:00 UTC", "attend jusqu'à 2026-11-20 12:05:00 UTC"),
    "rest": (Wait(None), "rests", "au repos"),
    "close": (Close(), "closed", "clos"),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_step_has_its_sentence(name: str) -> None:
    step, english, french = STEPS[name]
    decision = Decision(step, Because.deadline)
    assert english in sentence(decision, c.case())
    assert french in sentence(decision, c.case(policy=c.policy(locale="fr")))


@pytest.mark.parametrize("because", Because)
def test_a_sentence_gives_its_reason_with_the_detail(because: Because) -> None:
    said = sentence(Decision(Wait(None), because, "the detail"), c.case())
    assert said == f"rests: {because_text(because, 'en')} (the detail)"


def test_a_sentence_names_the_bound_that_refused_and_until_when() -> None:
    refusal = Refusal(Because.cooldown, "kubernetes.scale", "last attempt 5m ago", c.T0 + timedelta(minutes=5))
    said = sentence(Decision(Wait(None), Because.waiting_bound, refusals=(refusal,)), c.case())
    assert "Refused: kubernetes.scale, cooldown: too soon after the last action on the target (last attempt 5m ago)" in said
    assert said.endswith("until 2026-11-20 12:05:00 UTC")


def test_attempts_are_named_without_the_installation() -> None:
    refusal = Refusal(Because.target_busy, "kubernetes.scale", f"attempt {c.INSTALLATION}-7-1 is open on it")
    assert "attempt #7-1 is open" in sentence(Decision(Wait(None), Because.waiting_bound, refusals=(refusal,)), c.case())


# --- pages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pages.SITUATIONS)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_page_reads_as_its_sample(name: str, locale: str) -> None:
    assert pages.written(name, locale) == (pages.SAMPLES / f"{name}.{locale}.txt").read_text()


def test_the_severity_follows_the_priority_and_the_summary_its_naming() -> None:
    text = page(c.case(incident=c.incident(Priority.p1), policy=c.policy(naming=Naming.p0_p3)))
    assert (text.severity, text.summary[:5]) == ("critical", "[P0] ")


def test_a_page_again_after_the_verdict_says_the_verdict() -> None:
    done = c.attempt(age=300, verdict=Verdict.cured, verdict_at=c.T0, verdict_detail="rollout complete")
    text = page(c.case(attempts=(done,)), Decision(Judge(done), Because.verified))
    assert text.summary.endswith("kubernetes.rollout_restart of Deployment shop/web: cured (rollout complete)")


def test_the_end_of_a_page_keeps_its_first_words() -> None:
    text = resolve_text(c.case())
    assert text.summary == "[P2] web (shop): KubePodCrashLooping — over"


def test_a_target_that_was_not_found_is_said_with_its_trouble() -> None:
    case = c.case(incident=c.incident(target=None), facts=(Facts(c.T0, trouble=Trouble.ambiguous, trouble_detail="two Deployments"),))
    assert "could not look: ambiguous (two Deployments)" in everything(page(case))


def test_a_part_that_cannot_be_worded_does_not_cost_the_page() -> None:
    broken = c.case(incident=replace(c.incident(), rule=None))  # type: ignore[arg-type]  # what must never be, and still must page
    text = page(broken)
    assert "could not be worded" in everything(text)
    assert "[P2] web (shop)" in text.summary


def test_the_installation_is_in_no_page() -> None:
    assert c.INSTALLATION not in everything(page(c.case(attempts=(c.attempt(age=300, verdict=Verdict.failed),))))


SMALL_STATES = list(itertools.product(walk.RULES, walk.FACTS, walk.ATTEMPTS))[::7]  # 7 divides no table: each row of each is met


def test_every_small_state_can_be_told() -> None:
    for locale, (rule, facts, attempts) in zip(itertools.cycle(LOCALES), SMALL_STATES, strict=False):
        parts = {"rule": walk.RULES[rule], "facts": walk.FACTS[facts], "attempts": walk.ATTEMPTS[attempts]}
        case = c.case(policy=c.policy(locale=locale), **parts)
        decision = decide(case, c.T0)
        words = f"{sentence(decision, case)} {everything(page(case, decision))} {everything(resolve_text(case))}"
        assert not [each for each in UNWORDED if each in words], (rule, facts, attempts)


# --- the next command ----------------------------------------------------------------------------------------------------

WEB = "kubectl -n shop {} deployment/web"
COMMANDS: dict[str, tuple[Case, str, str]] = {
    "undo": (
        c.case(rule=c.rule(c.rung(Verb.undo)), policy=c.policy(undo_identity=False)),
        "rollout undo deployment/web --to-revision=1",
        "--to-revision=2",
    ),
    "scale": (
        c.case(rule=c.rule(c.rung(Verb.scale)), policy=c.policy(namespaces=frozenset())),
        "scale deployment/web --replicas=5",
        "--replicas=3",
    ),
    "restart": (c.case(policy=c.policy(namespaces=frozenset())), "rollout restart deployment/web", ""),
    "acting itself": (c.case(), "describe deployment/web", ""),
    "owner's consent": (
        c.case(facts=c.twice(workload=c.workload(dangers=(Danger(Hazard.not_opted_in, "no"),)))),
        "rollout restart deployment/web",
        "",
    ),
    "hazard": (c.case(facts=c.twice(workload=c.workload(dangers=(Danger(Hazard.operator, "owned"),)))), "describe deployment/web", ""),
    "security": (c.case(incident=c.incident(symptom=Symptom.security)), "describe deployment/web", ""),
    "page only": (c.case(rule=c.rule(c.rung(), page_only=True)), "describe deployment/web", ""),
    "open attempt": (c.case(attempts=(c.attempt(state=AttemptState.unknown),)), "describe deployment/web", ""),
    "tried": (c.case(attempts=(c.attempt(age=900, verdict=Verdict.failed, verdict_at=c.T0),)), "describe deployment/web", ""),
    "over": (c.case(alerts=(c.record(resolved_at=c.T0),), policy=c.policy(namespaces=frozenset())), "describe deployment/web", ""),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_next_command_is_exact_and_carries_its_reverse(name: str) -> None:
    case, command, reverse = COMMANDS[name]
    found = suggest(case, PAGED, now=c.T0)
    assert found.command == f"kubectl -n shop {command}"
    assert found.reverse.endswith(reverse)
    assert bool(found.reverse) == bool(reverse)


def test_every_part_of_a_command_is_quoted() -> None:
    ref = replace(c.REF, namespace="a b", name="x;reboot")
    said = c.attempt(Verb.undo, state=AttemptState.shadow, mode=Mode.observe, target=replace(c.TARGET, ref=ref))
    hostile = replace(said, parameters=replace(said.parameters, revision="$(id)"))
    assert next_command(c.case(attempts=(hostile,)), PAGED, now=c.T0) == (
        "kubectl -n 'a b' rollout undo 'deployment/x;reboot' '--to-revision=$(id)'"
    )


def test_a_scale_that_could_not_be_taken_back_is_taken_back_by_hand() -> None:
    done = c.attempt(Verb.scale, age=4000, verdict=Verdict.cured, verdict_at=c.T0, lease_until=c.T0)
    tries = tuple(c.attempt(Verb.scale, id=f"r{n}", state=AttemptState.rejected, reverts=done.id) for n in range(3))
    assert next_command(c.case(attempts=(done, *tries)), PAGED, now=c.T0) == "kubectl -n shop scale deployment/web --replicas=3"


@pytest.mark.parametrize(
    "labels,command",
    [
        ({"namespace": "shop", "pod": "web-1"}, "kubectl -n shop describe pod/web-1"),
        ({"namespace": "shop"}, "kubectl -n shop get events --sort-by=.lastTimestamp"),
        ({"namespace": "shop; rm -rf /", "pod": "x"}, "receiver show 7"),
        ({"namespace": "$(reboot)"}, "receiver show 7"),
        ({}, "receiver show 7"),
    ],
)
def test_without_a_target_the_labels_say_where_to_look(labels: dict[str, str], command: str) -> None:
    record = c.record()
    case = c.case(incident=c.incident(target=None), facts=(), alerts=(replace(record, alert=replace(record.alert, labels=labels)),))
    assert next_command(case, PAGED, now=c.T0) == command


# --- links ---------------------------------------------------------------------------------------------------------------


def test_placeholders_are_filled_and_encoded() -> None:
    values = {"from": "2026-11-20T12:00:00Z", "from_ms": "1795176000000", "service": "a&b=c d"}
    assert filled("https://x/?a=$from_ms&b=$from&c=${service}&d=$unknown", values) == (
        "https://x/?a=1795176000000&b=2026-11-20T12%3A00%3A00Z&c=a%26b%3Dc%20d&d=$unknown"
    )


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "ftp://x/y",
        "https://user:pass@x/y",
        "https://x/ y",
        'https://x/"y',
        "https://x/<y>",
        "https://x/\u202egnp",
        "https://x/" + "y" * 2_001,
        "",
    ],
)
def test_an_address_that_could_lead_astray_is_no_link(address: str) -> None:
    assert not linkable(address)


def test_the_alerts_own_address_is_listed_never_trusted() -> None:
    record = c.record()
    hostile = replace(record, alert=replace(record.alert, generator_url="javascript:alert(1)"))
    assert page(c.case(alerts=(hostile,))).links == ()


# --- hostile text --------------------------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["\x1b[2J", "\u202eevil", "{0.__class__}", "%s%n", "a\nb\r\n", "\x00", "\ud800", "{{7*7}}", "é" * 5_000, "$(x)`y`", "🔥" * 3_000]
    ),
)
LABELS = st.dictionaries(
    st.one_of(st.sampled_from(["alertname", "namespace", "pod", "deployment", "cluster", "kind"]), HOSTILE), HOSTILE, max_size=30
)


def hostile_case(labels: dict[str, str], annotations: dict[str, str], *, source: str, locale: str, url: str) -> Case:
    at = datetime(1, 1, 1, tzinfo=UTC)
    alert = Alert(source, "fp", labels, annotations, at, None, c.T0, generator_url=url)
    records = tuple(replace(c.record(), alert=replace(alert, fingerprint=str(n))) for n in range(12))
    incident = c.incident(target=None, source=source, title=labels.get("alertname", ""))
    facts = (Facts(c.T0, trouble=Trouble.not_found, trouble_detail=labels.get("pod", "")),)
    return c.case(policy=c.policy(locale=locale), incident=incident, alerts=records, facts=facts)


@given(
    labels=LABELS,
    annotations=st.dictionaries(st.sampled_from(["summary", "message", "detail", "description"]), HOSTILE),
    source=st.sampled_from(["alertmanager", OWN_SOURCE]),
    locale=st.sampled_from(LOCALES),
    url=HOSTILE,
)
def test_whatever_an_alert_says_a_page_is_bounded_and_holds_nothing_invisible(
    labels: dict[str, str], annotations: dict[str, str], source: str, locale: str, url: str
) -> None:
    case = hostile_case(labels, annotations, source=source, locale=locale, url=url)
    text = page(case, decide(case, c.T0) if source == OWN_SOURCE else PAGED, (Evidence(url, (url,) * 50),))
    told = everything(text)
    assert 0 < len(text.summary) <= SUMMARY_LIMIT
    assert len(json.dumps(dict(text.details))) <= DETAILS_LIMIT + 1_000
    assert not [each for each in told if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not [each for each in UNWORDED if each in told]


@given(labels=LABELS)
def test_a_command_is_whole_words_of_a_shell_whatever_the_labels(labels: dict[str, str]) -> None:
    case = hostile_case(labels, {}, source="alertmanager", locale="en", url="")
    words = shlex.split(next_command(case, PAGED, now=c.T0))
    assert words[0] in ("kubectl", "receiver")
    assert not set(";|&$`<>") & set("".join(words))


@given(
    details=st.dictionaries(
        st.text(min_size=1, max_size=50), st.one_of(st.text(max_size=3_000), st.lists(st.text(max_size=500), max_size=40)), max_size=30
    )
)
def test_details_are_cut_from_their_end(details: dict[str, str | list[str]]) -> None:
    kept = bounded(details, limit=5_000)
    assert len(json.dumps(kept)) <= 5_000 + 100
    assert list(kept) == [title for title in details if title in kept]


def test_the_first_details_survive_the_last() -> None:
    assert list(bounded({"next": "x", "much": ["y" * 100] * 100, "more": "z"}, limit=2_000)) == ["next", "much"]


def test_a_service_of_the_catalogue_names_the_page() -> None:
    case = c.case(incident=c.incident(service="checkout"), services={"checkout": Service("checkout")})
    assert page(case).component == "checkout"


def test_a_shadow_that_waits_for_a_yes_is_said_first() -> None:
    said = c.attempt(Verb.undo, state=AttemptState.shadow, mode=Mode.approve)
    case = c.case(rule=c.rule(c.rung(Verb.undo, mode=None)), attempts=(said,))
    assert "needs your approval: kubernetes.rollout_undo of Deployment shop/web to revision 1" in page(case, decide(case, c.T0)).summary


# --- what rules and alerts annotate --------------------------------------------------------------------------------------


def annotated(**annotations: str) -> PageText:
    record = c.record()
    return page(c.case(alerts=(replace(record, alert=replace(record.alert, annotations=annotations)),)))


def test_runbook_and_dashboards_of_an_alert_are_links_of_the_page() -> None:
    links = annotated(runbook_url="https://wiki/crash", dashboard="http://grafana/d/1", dashboard_url="https://grafana/d/2").links
    assert {address for address, _ in links} >= {"https://wiki/crash", "http://grafana/d/1", "https://grafana/d/2"}
    assert {text for _, text in links} >= {"runbook_url", "dashboard", "dashboard_url"}


def test_an_annotation_that_leads_astray_is_no_link_and_many_do_not_crowd_out_the_catalogue() -> None:
    many = {f"dashboard{n}": f"https://x/{n}" for n in range(50)}
    assert "javascript" not in str(annotated(runbook_url="javascript:alert(1)", other="https://x/").links)
    assert "https://x/" not in {address for address, _ in annotated(other="https://x/").links}
    assert len(annotated(**many).links) <= 4


def test_a_description_stands_below_its_summary_cut_and_clean() -> None:
    told = everything(annotated(summary="it crashes", description="because\nof \u202e" + "x" * 5_000))
    assert "it crashes" in told
    assert "  because of x" in told
    assert "x" * 400 not in told


# --- one language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "english,french",
    [
        ("no service of the catalogue is named", "aucun service du catalogue n'est nommé"),
        ("rule crash", "règle crash"),
        ("service web is tagged revenue", "le service web porte l'étiquette revenue"),
        ("label severity is 'critical'", "le label severity vaut 'critical'"),
        ("no label and no rule says", "aucun label ni aucune règle ne le dit"),
        ("alerts of this incident at least doubled in 5 min", "les alertes de cet incident ont au moins doublé en 5 min"),
        ("1 of 3 replicas available: raises nothing", "1 sur 3 replicas disponibles : ne relève rien"),
        ("no data, catalogue's impact kept (0 of 0 targets ready)", "pas de données, l'impact reste (0 sur 0 cibles prêtes)"),
        ("the target was not looked at yet", "la cible n'a pas encore été observée"),
        ("source alertmanager lists no namespaces", "la source alertmanager ne déclare aucun namespace"),
        ("rule crash is page-only", "la règle crash appelle sans agir"),
    ],
)
def test_details_that_we_word_ourselves_are_french_where_french_is_asked(english: str, french: str) -> None:
    assert detail_text(english, "fr") == french
    assert detail_text(english, "en") == english


@given(st.text())
def test_any_other_detail_stays_as_it_is(text: str) -> None:
    known = "label x is 'rule y'"
    assert detail_text(f"~{text}", "fr") == f"~{text}"
    assert detail_text(known, "fr") == "le label x vaut 'rule y'"


def test_a_french_priority_is_told_in_french_and_in_the_teams_names() -> None:
    told = classified_text(pages.base("fr").incident.classification, Naming.p0_p3, "fr")
    assert told == "P1 : impact élevé : catalogue (service checkout) ; urgence moyenne : règle (règle crash)"
    english = classified_text(pages.base("en").incident.classification, Naming.p1_p4, "en")
    assert english == "P2: impact high: catalogue (service checkout); urgency medium: rule (rule crash)"
