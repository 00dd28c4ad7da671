"""What may stand in the configuration, section by section: each key with its unit, default, reason, and what a wrong value does.

Law: every key is known, every default is the safe one, every secret is a `Secret` and has a twin `<key>_file`. Shapes only; files and
the environment are `loading`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from receiver.core.facts import SYSTEM_NAMESPACES
from receiver.core.model import Mode, Naming
from receiver.ingest.cloudwatch import ALERT_SOURCE
from receiver.ingest.cloudwatch import FORMS as CLOUDWATCH_WAYS
from receiver.ingest.signature import Signing
from receiver.secret import Secret
from receiver.settings.aws import Aws, Ecs
from receiver.settings.evidence import Evidence
from receiver.settings.pulled import CloudWatch, Pulled, SignedTopic, pattern
from receiver.settings.secrets import ApiSecret, VendorSecret
from receiver.settings.senders import Bearing, Generic, Header, MaxAge, Text, WebhookName
from receiver.yamlfile import Address, Duration, Flag, Size, Strict, Whole

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_STORES = ("sqlite:///", "postgresql://")
_ECS_CLUSTER = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not a namespace: lower case letters, digits and '-', at most 63")
    if value in SYSTEM_NAMESPACES:
        raise ValueError(f"namespace {value!r} is never acted in, whatever is configured; leave it out")
    return value


Namespace = Annotated[str, AfterValidator(_namespace)]


@dataclass(frozen=True, slots=True)
class Listen:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _read_listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        shown = repr(value[:80]) if isinstance(value, str) else repr(value)[:80]
        raise ValueError(f"{shown} is not an address to listen on; write host:port, as 127.0.0.1:8080, 0.0.0.0:8080 or '[::1]:8080'")
    return Listen(host, int(port))


def _read_store(value: str) -> str:
    if not value.startswith(_STORES):
        raise ValueError(
            f"{_without_password(value)!r} is not a store; allowed: sqlite:///path/to/file.db, postgresql://user@host/database"
        )
    if value.startswith("postgresql") and re.match(r"[a-z]+://[^/@]*:[^/@]*@", value):
        raise ValueError("must not hold the password; put it into store_password_file")
    return value


def _without_password(url: str) -> str:
    """An address that may hold one, as it may be shown: nothing between the scheme and the last @."""
    scheme, at, rest = url.partition("://")
    hidden = f"{scheme}://…@{rest.rpartition('@')[2]}" if at and "@" in rest else url
    return hidden[:80] if "@" not in hidden or at else "…"


EcsCluster = Annotated[str, pattern(_ECS_CLUSTER, "the name of an ECS cluster")]
ListenAddress = Annotated[Listen, BeforeValidator(_read_listen)]
StoreAddress = Annotated[str, AfterValidator(_read_store)]


class Locale(StrEnum):
    """The language of pages, messages and post-mortems."""

    fr = "fr"
    en = "en"


class OptIn(StrEnum):
    """Whose yes is needed before anything acts on a workload."""

    annotation = "annotation"
    namespace = "namespace"


class Scope(StrEnum):
    """What an API token may do; `operate` and `admin` include the ones before them."""

    report = "report"
    read = "read"
    operate = "operate"
    admin = "admin"


class Limits(Strict):
    """What a sender may send at once."""

    body: Annotated[Size, Field(ge=1024, le=1 << 30)] = 16 << 20
    """Bytes of one request. 16 MiB hold about 10,000 alerts. Too small: big groups are answered 413 and dropped by the sender (and
    paged as our own trouble); too large: one sender may fill the memory."""
    alerts: Annotated[Whole, Field(ge=1, le=1_000_000)] = 10_000
    """Alerts of one request; those beyond are quarantined and paged, never dropped silently."""


class ApiToken(Strict):
    """One token for `/api/v1`, the CLI and the console."""

    name: Text
    """Stands in the timeline as who did it."""
    scope: Scope = Scope.read
    """The least is the default; too much lets a dashboard freeze the actions."""
    roles: tuple[Text, ...] = ()
    """Of who holds it, as `ic`: a rule may ask for one before an action is approved. Forgotten: the approval is refused and says so."""
    token: ApiSecret
    """Or `token_file`. At least 16 characters."""
    token_file: Path | None = None


class Api(Strict):
    """Who may ask and command."""

    tokens: tuple[ApiToken, ...] = ()
    """None: the API and the console refuse everybody."""
    secure_cookie: Flag = False
    """True where people reach the console by https: its cookies are then never sent without. True without https: nobody can log in."""

    @model_validator(mode="after")
    def _names_differ(self) -> Api:
        names = [each.name for each in self.tokens]
        if len(set(names)) < len(names):
            raise ValueError("two tokens have the same name; the timeline could not tell who did it")
        return self


class Sender(Bearing):
    """What every source with its own credential has."""

    namespaces: tuple[Namespace, ...] = ()
    """Where this credential's alerts may lead to actions; empty: nowhere, they are only paged. Too wide: whoever holds the credential
    can have workloads of other teams restarted."""
    clusters: tuple[EcsCluster, ...] = ()
    """As `namespaces`, for services of Amazon ECS: the ECS clusters in which its alerts may lead to actions."""


class Alertmanager(Sender):
    """The webhook of Alertmanager."""

    api_url: Address | None = None
    """Alertmanager itself, to ask at start and every `reconcile_every` what is firing. None: never asked, and an alert whose delivery was
    lost is not known until its sender repeats it."""
    api_receivers: tuple[Text, ...] = ()
    """The receivers of Alertmanager's configuration that deliver here: only their alerts are ours. None: all that it knows, also what it
    routes elsewhere or nowhere, are taken and paged."""
    api_token: VendorSecret | None = None
    """A bearer token for `api_url`, where a proxy asks for one; or `api_token_file`."""
    api_token_file: Path | None = None
    api_username: str = ""
    """Of basic authentication at `api_url`."""
    api_password: VendorSecret | None = None
    """Or `api_password_file`."""
    api_password_file: Path | None = None
    replica_labels: tuple[Text, ...] = ("prometheus_replica", "replica")
    """Labels in which the two Prometheus of a pair differ: left out of an alert's identity. Missing one: each alert counts twice."""

    @model_validator(mode="after")
    def _some_credential(self) -> Alertmanager:
        if not self.bearers and self.basic is None:
            raise ValueError("has no credential, so nobody could deliver; give token_file, token_files or basic")
        return self


class Grafana(Sender):
    """The webhook of Grafana."""

    hmac_secret: ApiSecret | None = None
    """Of the signature, or `hmac_secret_file`, or several at once by `hmac_secret_files`. Beside a token both are asked for."""
    hmac_secret_file: Path | None = None
    hmac_secrets: tuple[ApiSecret, ...] = ()
    hmac_secret_files: tuple[Path, ...] = ()
    hmac_header: Header = "X-Grafana-Alerting-Signature"
    """That holds the signature, as the contact point says. Wrong: every delivery is answered 401."""
    hmac_timestamp_header: Header | None = None
    """That holds the signed time, as the contact point says. None: no time is signed, so a captured delivery can be sent again. Set here
    and not there, or there and not here: every delivery is answered 403."""
    hmac_max_age: MaxAge = timedelta(minutes=5)
    """Between the signed time and ours, 10s to 1h. Too short: a slow clock loses alerts. Too long: a captured delivery is taken again."""
    api_url: Address | None = None

    @model_validator(mode="after")
    def _some_credential(self) -> Grafana:
        if not self.bearers and self.basic is None and not self.hmac_keys:
            raise ValueError("has no credential, so nobody could deliver; give token_file, basic or hmac_secret_file")
        if self.hmac_timestamp_header and not self.hmac_keys:
            raise ValueError("has hmac_timestamp_header and no secret, so nothing is signed; give hmac_secret_file")
        return self

    @property
    def signing(self) -> Signing:
        """As the door judges it."""
        return Signing(self.hmac_header, timestamp_header=self.hmac_timestamp_header or "", max_age=self.hmac_max_age)

    @property
    def hmac_keys(self) -> tuple[Secret, ...]:
        """However they were given."""
        return (*((self.hmac_secret,) if self.hmac_secret else ()), *self.hmac_secrets)


class Sns(Strict):
    """Amazon SNS over HTTPS: a subscription of this receiver's `/webhook/sns`."""

    topics: Annotated[tuple[SignedTopic, ...], Field(min_length=1)]
    """The only topics that are believed, compared whole: SNS signs for anybody's."""
    require_v2: Flag = False
    """True: only signatures of version 2 (SHA-256). Topics sign with version 1 unless their attribute SignatureVersion says 2: without that
    every alarm is refused."""
    confirm: Flag = False
    """True: a subscription to one of the topics is confirmed by a call of SNS's API (right `sns:ConfirmSubscription`); never by following
    an address. False: a person is told that one waits."""
    namespaces: tuple[Namespace, ...] = ()
    """As of the other sources. An alarm that comes several ways may lead to actions only where each configured way may."""
    clusters: tuple[EcsCluster, ...] = ()
    """ECS clusters in which its alarms may lead to actions; empty: none, they are only paged."""
    endpoint_url: Address | None = None
    """Of SNS's API; None: AWS's own."""


class Sqs(Pulled):
    """Alarms pulled from a queue: the recommended road."""

    namespaces: tuple[Namespace, ...] = ()
    clusters: tuple[EcsCluster, ...] = ()
    """ECS clusters in which its alarms may lead to actions; empty: none, they are only paged."""


class EventBridge(Sender):
    """An API destination of Amazon EventBridge."""

    key_header: Header | None = None
    """Of a connection with API_KEY authorization: the header that holds the token, bare. None: `Authorization` alone."""

    @model_validator(mode="after")
    def _some_credential(self) -> EventBridge:
        if not self.bearers and self.basic is None:
            raise ValueError("has no credential, so nobody could deliver; give token_file, token_files or basic")
        return self


class Sources(Strict):
    """Who may tell us of trouble. A source that is absent is answered 404."""

    alertmanager: Alertmanager | None = None
    grafana: Grafana | None = None
    sns: Sns | None = None
    sqs: Sqs | None = None
    eventbridge: EventBridge | None = None
    generic: dict[WebhookName, Generic] = Field(default_factory=dict)
    """Name to a webhook of any sender, served below `/webhook/generic/`: paged, never acted on."""


class Kubernetes(Strict):
    """The cluster that is looked at and, in these namespaces, acted in."""

    kubeconfig: Path | None = None
    """None: the pod's own service account."""
    context: str = ""
    """Of the kubeconfig; empty: its current one."""
    namespaces: tuple[Namespace, ...] = ()
    """The only ones that are ever written to; empty: none."""
    opt_in: OptIn = OptIn.annotation
    """`annotation`: a workload or its namespace says yes itself. `namespace`: its place in the list above is enough; then every workload
    in it may be acted on."""
    nodes: Flag = False
    """True: a node may be cordoned, and uncordoned where we cordoned it. Needs rights on the whole cluster's nodes; without need it only
    widens what a stolen token can do."""
    undo_token_file: Path | None = None
    """Token of the second identity that undo runs with, read again when it changes. None: every undo is refused."""


class Prometheus(Strict):
    """Where verification and breadth ask."""

    url: Address
    token: VendorSecret | None = None
    token_file: Path | None = None
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=1))] = timedelta(seconds=5)
    """Of one query. Too short: cures cannot be proved and are paged."""


class PagerDuty(Strict):
    """Who is woken."""

    routing_key: VendorSecret
    """Integration key of Events API v2; or `routing_key_file`. A wrong one is refused by PagerDuty, and that is logged and shown."""
    routing_key_file: Path | None = None
    events_url: Address = "https://events.pagerduty.com"
    webhook_secret: VendorSecret | None = None
    """Of webhooks v3; or `webhook_secret_file`."""
    webhook_secret_file: Path | None = None


class Slack(Strict):
    """Where people are told."""

    bot_token: VendorSecret
    bot_token_file: Path | None = None
    signing_secret: VendorSecret | None = None
    signing_secret_file: Path | None = None
    channel: Text
    approvers: tuple[Text, ...] = ()
    """User ids that may approve; empty: nobody."""
    api_url: Address = "https://slack.com/api"


class Configuration(Strict):
    """The top of the file."""

    listen: ListenAddress = Listen("127.0.0.1", 8080)
    """Where webhooks, API and console are served. Loopback until somebody decides otherwise; `0.0.0.0:8080` in a pod."""
    admin_listen: ListenAddress | None = None
    """A listener of its own for /metrics, /healthz and /readyz; empty: the same one."""
    store: StoreAddress = "sqlite:///receiver.db"
    """A relative path is below the working directory. SQLite serves one process, PostgreSQL several replicas."""
    store_password: VendorSecret | None = None
    """Of PostgreSQL; or `store_password_file`."""
    store_password_file: Path | None = None
    rules: Annotated[tuple[Path, ...], Field(min_length=1)] = (Path("rules/"),)
    """Rule files, and directories of them. One that is missing stops the start."""
    mode: Mode = Mode.observe
    """The ceiling for every rule: observe says what it would do, approve asks, auto acts."""
    locale: Locale = Locale.fr
    priorities: Naming = Naming.p1_p4
    """How priorities are shown and read, in the rules and here. Wrong: a team's P1 is taken for our P1 though it means P2."""
    cluster: Text = "default"
    """Our own name. An alert whose label `cluster` says otherwise is paged, never acted on."""
    page_after: dict[str, Duration] = Field(default_factory=dict)
    """How long a page may be held while an action is tried, by priority; those not named keep 0s, 5m, 15m and 60m."""
    bounds: dict[str, Any] = Field(default_factory=dict)
    """Any field of `core.model.Bounds`; those not named keep the product's value."""
    limits: Limits = Limits()
    reconcile_every: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(days=1))] = timedelta(minutes=5)
    """How often the senders that can be asked are asked what is firing. Too short: load for them; too long: what was lost is heard late."""
    actions_file: Path | None = None
    """If set, it must hold exactly the word `allowed`; anything else, or unreadable, holds all actions."""
    api: Api = Api()
    sources: Sources = Sources()
    kubernetes: Kubernetes | None = None
    """None: nothing is looked at, and everything is paged."""
    ecs: Ecs | None = None
    """None: no service of ECS is looked at."""
    evidence: Evidence = Evidence()
    aws: Aws | None = None
    """None: the default credentials, in their own account."""
    cloudwatch: CloudWatch | None = None
    """None: never asked; an alarm whose delivery was lost is not known, and one whose OK nobody sent stays open."""
    prometheus: Prometheus | None = None
    pagerduty: PagerDuty | None = None
    """None: pages go to the log only."""
    slack: Slack | None = None

    @property
    def source_namespaces(self) -> Mapping[str, frozenset[str]]:
        """Source of alerts to the places (`Target.place`) that it may aim at. An alarm of CloudWatch is the same one whichever way it
        comes, so it may aim where all of the configured ways may."""
        configured = {name: getattr(self.sources, name) for name in Sources.model_fields}
        found = {name: _places(each) for name, each in configured.items() if each is not None and name != "generic"}
        ways = [found.pop(name) for name in CLOUDWATCH_WAYS if name in found]
        return {**found, ALERT_SOURCE: frozenset.intersection(*ways)} if ways else found


def _places(source: Sender | Sns | Sqs) -> frozenset[str]:
    return frozenset((*source.namespaces, *(f"ecs/{each}" for each in source.clusters)))
