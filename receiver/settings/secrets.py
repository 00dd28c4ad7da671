"""Secrets of the configuration: what counts as one, and their `<key>_file` twins.

Law: no message repeats a secret or a part of it. A trailing newline belongs to the editor, not to the secret.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from receiver.secret import Secret
from receiver.yamlfile import Document, Path, Problem, inner, model_in

FILE_LIMIT_BYTES = 64 << 10
SHORTEST = 16
"""Characters of a token that guards a door of ours: 16 random ones cannot be guessed over the network."""

SAMPLES = ("changeme", "change-me", "change_me", "example", "placeholder", "replace", "your-", "your_", "xxxx", "<", "…")
FEWEST_DISTINCT = 6

LISTS = {"token_files": "tokens", "secret_files": "secrets", "hmac_secret_files": "hmac_secrets"}
"""Twins that hold several: the key of the files, and that of their content."""


def _read_vendor(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("is not text; put the secret in quotes, or into a file named by the key with _file")
    return Secret(value)


def _read_api(value: object) -> Secret:
    secret = _read_vendor(value)
    text = secret.reveal()
    if len(text) < SHORTEST:
        raise ValueError(f"is shorter than {SHORTEST} characters; make one with: openssl rand -hex 32")
    if any(each in text.lower() for each in SAMPLES) or len(set(text)) < FEWEST_DISTINCT:
        raise ValueError("looks like a sample, not a secret; make one with: openssl rand -hex 32")
    return secret


VendorSecret = Annotated[Secret, BeforeValidator(_read_vendor)]
"""Given by a vendor: taken as it is."""
ApiSecret = Annotated[Secret, BeforeValidator(_read_api)]
"""Guards a door of ours: long, and no sample out of a document."""


@dataclass(slots=True)
class Filled:
    """What reading the files came to."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    twins: dict[Path, Path] = field(default_factory=dict)
    """A secret's path to that of the key that names its file: where a problem of the secret is to be shown."""


def fill_from_files(model: type[BaseModel], document: Document, raw: Any) -> Filled:
    """Puts the content of every `<key>_file` of `raw` beside it, in place."""
    filling = _Filling(document)
    filling.section(model, raw, ())
    return filling.result


class _Filling:
    """The walk over one configuration."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.result = Filled()

    def section(self, model: type[BaseModel], raw: Any, path: Path) -> None:
        if not isinstance(raw, dict):
            return
        fields = model.model_fields
        for key in [each for each in raw if isinstance(each, str) and each in fields]:
            stem = LISTS.get(key, key.removesuffix("_file"))
            annotation = fields[key].annotation
            if stem != key and stem in fields and raw[key] is not None:
                self._twin(raw, key, stem, path)
            elif (section := model_in(annotation)) is not None:
                self.section(section, raw[key], (*path, key))
            elif (section := model_in(inner(annotation))) is not None and isinstance(raw[key], list):
                for at, each in enumerate(raw[key]):
                    self.section(section, each, (*path, key, at))
            elif section is not None and isinstance(raw[key], dict):
                for name, each in raw[key].items():
                    self.section(section, each, (*path, key, name))

    def _twin(self, raw: dict[str, Any], key: str, stem: str, path: Path) -> None:
        if stem in raw:
            self._say((*path, key), f"{stem} is given too; keep one of them")
        elif key in LISTS:
            files = raw[key] if isinstance(raw[key], list) else []
            raw[stem] = [self._read(each, (*path, key, at)) for at, each in enumerate(files)]
            self.result.twins.update({(*path, stem, at): (*path, key, at) for at in range(len(files))})
        else:
            raw[stem] = self._read(raw[key], (*path, key))
            self.result.twins[(*path, stem)] = (*path, key)

    def _read(self, named: object, path: Path) -> Secret:
        if not isinstance(named, str) or not named:
            return UNREAD  # the model says so
        try:
            return self._open(FilePath(named))
        except OSError as error:
            self._say(path, f"{named[:256]!r} cannot be read: {error.strerror or type(error).__name__}")
        except ValueError as error:
            self._say(path, f"{named[:256]!r}: {error}")
        return UNREAD

    def _open(self, file: FilePath) -> Secret:
        if not file.is_file():
            raise OSError(0, "no such file" if not file.exists() else "not a regular file")
        with file.open("rb") as opened:
            raw = opened.read(FILE_LIMIT_BYTES + 1)
        if len(raw) > FILE_LIMIT_BYTES:
            raise ValueError("is larger than 64 KiB, so it is no secret")
        if file.stat().st_mode & stat.S_IROTH:
            self.result.warnings.append(f"{file} can be read by everybody on this machine: chmod 600 {file}")
        return Secret(raw.removesuffix(b"\n").removesuffix(b"\r"))

    def _say(self, path: Path, message: str) -> None:
        self.result.problems.append(self._document.problem(path, message))


UNREAD = Secret("a file not read, and reported as such")
"""Stands for a secret whose file could not be read, so that its absence is not reported a second time."""
