"""AWS, Terraform and the hosting provider.

Law: what stands is kept before it is changed, a SecureString is never read, a plan is applied from its very file, and moments are filled
in by us: no `date` that only one system understands.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from receiver.core.prepared.recipe import Both, Draft, Recipe
from receiver.core.prepared.shell import Part, Word, as_it_is, chain, filled, in_json, joined, keep, run, unless, write
from receiver.core.prepared.values import Subject

CHANGES_WITHIN = timedelta(hours=24)
CPU_WITHIN = timedelta(hours=1)


def _aws(s: Subject, *words: Word) -> str:
    region = s.maybe("aws_region")
    return run("aws", *words, *(() if region is None else ("--region", region)))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def purge_sqs(s: Subject) -> Draft:
    """Looks first."""
    url = s.value("queue_url")
    counted = _aws(s, "sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "ApproximateNumberOfMessages")
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html: up to 60 s, once in 60 s
    note: Both = (
        "It takes up to 60 s, and is accepted once in 60 s.",
        "Cela prend jusqu'à 60 s, et n'est accepté qu'une fois par 60 s.",
    )
    return Draft((counted, _aws(s, "sqs", "purge-queue", "--queue-url", url)), notes=(note,))


def promote_rds(s: Subject) -> Draft:
    """Looks at the replica first."""
    name = ("--db-instance-identifier", s.value("rds_replica"))
    wanted = "DBInstances[0].[DBInstanceStatus,ReadReplicaSourceDBInstanceIdentifier,Endpoint.Address]"
    look = _aws(s, "rds", "describe-db-instances", *name, "--query", wanted, "--output", "text")
    note: Both = (
        "Stop all writes to the old primary first: two primaries lose data. Then put_parameter with its address.",
        "Arrêter d'abord toute écriture sur l'ancien primaire : deux primaires perdent des données. Puis put_parameter.",
    )
    return Draft((look, _aws(s, "rds", "promote-read-replica", *name)), notes=(note,))


def put_parameter(s: Subject) -> Draft:
    """Plain parameters only: the old value of a SecureString would have to be read in clear to be put back.

    Values travel as JSON: `$(...)` would take the newlines at the end of a text, and `--value` would fetch a `file://` or `http://`:
    https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters-file.html
    """
    name, file = joined("--name=", s.value("parameter")), s.file("json")
    kind = _aws(s, "ssm", "get-parameter", name, "--query", "Parameter.Type", "--output", "text")
    old = _aws(s, "ssm", "get-parameter", name, "--query", "Parameter.{Value:Value}", "--output", "json")
    put = ("ssm", "put-parameter", name, "--overwrite", "--cli-input-json")
    new = filled('{"Value":"@value@"}', in_json, value=s.value("parameter_value"))
    plain = unless(
        f'[ "$({kind})" = String ]', s.say("nothing was changed: it is no String", "rien n'a été changé : ce n'est pas un String")
    )
    line = chain(plain, keep("SAVED", old), write("SAVED", file), _aws(s, *put, new))
    reverse = _aws(s, *put, f"file://{file}")
    note: Both = (
        "Refuses a SecureString. Who read it at start sees it after a new deployment only.",
        "Refuse un SecureString. Qui l'a lu au démarrage ne le voit qu'après un nouveau déploiement.",
    )
    return Draft((line,), (reverse,), (note,))


def route53(s: Subject) -> Draft:
    """One simple record; the record set that stands is wrapped into the change that brings it back."""
    zone, file, kind = ("--hosted-zone-id", s.value("zone_id")), s.file("json"), s.value("record_type")
    name = s.value("record_name")
    full: Part = f"{name.rstrip('.').lower()}." if isinstance(name, str) else name
    query = filled(
        "ResourceRecordSets[?Name=='@name@' && Type=='@kind@' && not_null(SetIdentifier, '')==''] | [0]", as_it_is, name=full, kind=kind
    )
    start = ("--start-record-name", full, "--start-record-type", kind, "--max-items", "5")
    reading = _aws(s, "route53", "list-resource-record-sets", *zone, *start, "--query", query, "--output", "json")
    change = filled(
        '{"Changes":[{"Action":"UPSERT","ResourceRecordSet":{"Name":"@name@","Type":"@kind@","TTL":@ttl@,"ResourceRecords":[{"Value":"@to@"}]}}]}',
        in_json,
        name=full,
        kind=kind,
        ttl=s.value("record_ttl"),
        to=s.value("record_value"),
    )
    line = chain(
        keep("SAVED", reading),
        '[ "$SAVED" != null ]',
        write("SAVED", file, template='{"Changes":[{"Action":"UPSERT","ResourceRecordSet":%s}]}\\n'),
        _aws(s, "route53", "change-resource-record-sets", *zone, "--change-batch", change),
    )
    reverse = _aws(s, "route53", "change-resource-record-sets", *zone, "--change-batch", f"file://{file}")
    note: Both = (
        "Refuses a record that does not exist, and weighted or failover sets. Clients follow after the old TTL.",
        "Refuse un enregistrement absent, et les jeux pondérés ou failover. Les clients suivent après l'ancien TTL.",
    )
    return Draft((line,), (reverse,), (note,))


def terraform(s: Subject) -> Draft:
    """Two lines, and a person reads between them. The second applies the file of the first, which Terraform refuses once it is stale."""
    stem = s.file("").rstrip(".")
    lines = _planned(s, s.value("terraform_var_file"), f"{stem}.tfplan")
    reverse = _planned(s, s.value("terraform_normal_var_file"), f"{stem}-back.tfplan")
    note: Both = (
        "Read the plan before the second line: stop at anything destroyed. The plan file holds secrets in clear: delete it afterwards.",
        "Lire le plan avant la seconde ligne : s'arrêter si quelque chose est détruit. Effacer ensuite le fichier (secrets).",
    )
    return Draft(lines, reverse, (note,))


def _planned(s: Subject, variables: Part, file: str) -> tuple[str, ...]:
    place = joined("-chdir=", s.value("terraform_dir"))
    plan = run("terraform", place, "plan", "-input=false", "-lock-timeout=60s", joined("-var-file=", variables), f"-out={file}")
    return (f"(umask 077; {plan})", run("terraform", place, "apply", "-input=false", "-lock-timeout=60s", file))


def vercel(s: Subject) -> Draft:
    """Names both deployments; never "the one before"."""
    scope = s.maybe("vercel_scope")
    team = () if scope is None else ("--scope", scope)
    # https://vercel.com/docs/instant-rollback: new deployments are not taken live until a promote
    note: Both = (
        "`vercel list --prod` names the deployments. After a rollback, new deployments stay off production until the way back is run.",
        "`vercel list --prod` nomme les déploiements. Après un rollback, les suivants ne passent plus en production avant le retour.",
    )
    line = run("vercel", "rollback", s.value("vercel_deployment"), "--timeout", "3m", *team)
    return Draft((line,), (run("vercel", "promote", s.value("vercel_current"), "--timeout", "3m", *team),), (note,))


def ecs_cpu(s: Subject) -> Draft:
    """The hour before now."""
    cluster, service = _ecs(s)
    dimensions = (joined("Name=ClusterName,Value=", cluster), joined("Name=ServiceName,Value=", service))
    window = ("--start-time", _moment(min(s.since, s.at - CPU_WITHIN)), "--end-time", _moment(s.at))
    figures = ("--period", "60", "--statistics", "Average", "Maximum")
    words = ("cloudwatch", "get-metric-statistics", "--namespace", "AWS/ECS", "--metric-name", "CPUUtilization")
    return Draft((_aws(s, *words, "--dimensions", *dimensions, *window, *figures),))


def ecs_changes(s: Subject) -> Draft:
    """Who updated services since a day before."""
    window = ("--start-time", _moment(s.since - CHANGES_WITHIN), "--end-time", _moment(s.at))
    attribute = ("--lookup-attributes", "AttributeKey=EventName,AttributeValue=UpdateService")
    shown = ("--query", "Events[].[EventTime,Username,EventId]", "--output", "text")
    return Draft((_aws(s, "cloudtrail", "lookup-events", *attribute, *window, *shown),))


def _ecs(s: Subject) -> tuple[Part, Part]:
    ref = s.ref if s.ref is not None and s.ref.platform == "ecs" else None
    return s.value("ecs_cluster", otherwise=ref.namespace if ref else ""), s.value("ecs_service", otherwise=ref.name if ref else "")


_LOOKS: Both = ("it only looks", "lecture seule")

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "ecs_cpu",
        ("CPU of the last hour", "CPU de la dernière heure"),
        ecs_cpu,
        ("ecs_cluster", "ecs_service", "aws_region"),
        _LOOKS,
        changes=False,
    ),
    Recipe("ecs_changes", ("Changes of a day", "Changements sur 24 h"), ecs_changes, ("aws_region",), _LOOKS, changes=False),
    Recipe(
        "purge_sqs",
        ("Purge the SQS queue", "Vider la file SQS"),
        purge_sqs,
        ("queue_url", "aws_region"),
        ("none: purged messages are gone", "aucun : les messages purgés sont perdus"),
    ),
    Recipe(
        "promote_rds",
        ("Promote the RDS replica", "Promouvoir le réplica RDS"),
        promote_rds,
        ("rds_replica", "aws_region"),
        (
            "none: a promoted instance never becomes a replica again; make a new one",
            "aucun : une instance promue ne redevient jamais réplica ; en créer un nouveau",
        ),
    ),
    Recipe(
        "put_parameter",
        ("Set the SSM parameter", "Définir le paramètre SSM"),
        put_parameter,
        ("parameter", "parameter_value", "aws_region"),
    ),
    Recipe(
        "route53_failover",
        ("Lead the DNS record elsewhere", "Basculer l'enregistrement DNS"),
        route53,
        ("zone_id", "record_name", "record_type", "record_value", "record_ttl"),
    ),
    Recipe(
        "terraform_apply",
        ("Plan, read, apply that plan", "Planifier, lire, appliquer ce plan"),
        terraform,
        ("terraform_dir", "terraform_var_file", "terraform_normal_var_file"),
    ),
    Recipe(
        "vercel_rollback",
        ("Roll back at Vercel", "Revenir en arrière chez Vercel"),
        vercel,
        ("vercel_deployment", "vercel_current", "vercel_scope"),
    ),
)
