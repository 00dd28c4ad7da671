"""`make run`: a receiver on its embedded defaults, on a fresh machine.

Makes tokens under `var/` (mode 0600, outside git), starts in observe mode on SQLite with the shipped rules, and prints the address and an
Alertmanager receiver block ready to paste. Called by the CLI.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from receiver.settings import Settings, load_settings

TOKENS = ("alertmanager", "admin")


def prepare(directory: Path, variables: dict[str, str]) -> Settings:
    """The settings of a local run; anything in the environment wins over them. Existing tokens and data are kept."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in TOKENS:
        _token(directory / f"{name}.token")
    config = directory / "config.yaml"
    if not config.exists():
        config.write_text(_config(directory), encoding="utf-8")
    return load_settings(config, variables)


def shipped_rules() -> Path:
    """`rules/` of the checkout, or those inside the installed package."""
    package = Path(__file__).resolve().parent
    installed = package / "_shipped_rules"
    return installed if installed.is_dir() else package.parent / "rules"


def greeting(directory: Path, address: str, mode: str) -> str:
    """What a person sees first."""
    token = directory / "alertmanager.token"
    return f"""
  alert-receiver listens on http://{address}   ({mode})

  console   http://{address}/   log in with the token in {directory / "admin.token"}
  health    http://{address}/readyz      metrics   http://{address}/metrics

  Paste into alertmanager.yml:

    receivers:
      - name: alert-receiver
        webhook_configs:
          - url: http://{address}/webhook/alertmanager
            send_resolved: true
            max_alerts: 0
            http_config:
              authorization:
                credentials_file: {token.resolve()}

  Or try it at once:

    curl -H "Authorization: Bearer $(cat {token})" -H "Content-Type: application/json" \\
      --data '{{"version":"4","alerts":[{{"status":"firing",
        "labels":{{"alertname":"KubePodCrashLooping","namespace":"shop","pod":"web-1"}}}}]}}' \\
      http://{address}/webhook/alertmanager

  Pages are written to this log while no PagerDuty key is set. Ctrl-C ends it.
"""


def _token(path: Path) -> None:
    """Made once, readable by its owner only from the first byte on."""
    if path.exists():
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def _config(directory: Path) -> str:
    here = directory.resolve()
    return f"""# Made by the first `make run`; yours to change. The reference is docs/configuration.md.
listen: 127.0.0.1:8080
store: sqlite:///{here / "receiver.db"}
rules: [{shipped_rules()}]
mode: observe
locale: en
api:
  tokens: [{{name: admin, scope: admin, token_file: {here / "admin.token"}}}]
sources:
  alertmanager: {{token_file: {here / "alertmanager.token"}, namespaces: []}}
"""
