"""Which files are meant by the paths of the configuration, in the order in which their rules stand.

Law: a directory gives its own `*.yaml` and `*.yml` in name order, not those of its directories (`tests/`); nothing outside of a named
directory is read, whatever a link says. A ConfigMap's links stay inside and are followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from receiver.yamlfile import Problem

SUFFIXES = (".yaml", ".yml")


def find_files(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """Each file once, and what is wrong with the paths."""
    found: dict[Path, Path] = {}
    problems: list[Problem] = []
    for named in map(Path, paths):
        if not named.exists():
            problems.append(Problem(str(named), 0, 0, "does not exist; name a rule file or a directory of them"))
            continue
        root = named if named.is_dir() else named.parent
        for path in _listed(named) if named.is_dir() else [named]:
            real = path.resolve()
            if not real.is_relative_to(root.resolve()):
                problems.append(Problem(str(path), 0, 0, f"is a link out of {root}: rules are read from inside only"))
            elif not real.is_file():
                problems.append(Problem(str(path), 0, 0, "is not a regular file"))
            else:
                found.setdefault(real, path)
    return list(found.values()), problems


def _listed(directory: Path) -> list[Path]:
    visible = (each for each in directory.iterdir() if each.suffix in SUFFIXES and not each.name.startswith("."))
    return sorted((each for each in visible if not each.is_dir()), key=lambda each: each.name)
