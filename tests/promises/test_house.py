"""What must hold in every file, read from the source itself. Each check stands in `CHECKS` beside a snippet that it must refuse.

A check yields one sentence a fault. New promises are one function and one row. Split when it passes 400 lines.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FUNCTION = 60
LONGEST_FILE = 400

# Where a handler may catch everything: the five kinds of places of the error policy (docs/architecture.md), and nowhere else.
BOUNDARIES = {
    "receiver/tasks.py": "a worker's loop",
    "receiver/core/bounds.py": "the evaluation of one bound",
    "receiver/engine/folder.py": "the folding of one inbox row",
    "receiver/engine/responder.py": "the run of an action or a look, and the loop of one incident",
    "receiver/engine/outbox.py": "the delivery of one message",
    "receiver/engine/agenda.py": "a worker's loop",
    "receiver/engine/auditor.py": "a worker's loop",
    "receiver/remediate/kubernetes/carry_out.py": "the run of an action",
    "receiver/remediate/ecs/carry_out.py": "the run of an action",
    "receiver/ingest/http.py": "the HTTP error middleware",
    "receiver/observe/runner.py": "the run of one look",
    "receiver/store/engine.py": "the work of one caller among those that share a commit",
    "receiver/observe/evidence/runner.py": "the run of one collector",
    "receiver/engine/gathering.py": "the collection of one page's evidence",
}
PRINTERS = ("receiver/cli.py", "receiver/cli/", "receiver/__main__.py")
SETTINGS = ("receiver/settings.py", "receiver/settings/")
CATCH_ALL = {"Exception", "BaseException"}
WALL_CLOCK = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"), ("time", "time_ns")}
ENVIRONMENT = {("os", "environ"), ("os", "environb"), ("os", "getenv")}
SQL_CALLS = {"text", "execute", "executemany", "executescript", "exec_driver_sql", "scalar", "scalars"}


@dataclass(frozen=True)
class Source:
    """One Python file; `path` as in the repository."""

    path: str
    code: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.code)

    def line(self, number: int) -> str:
        return self.code.splitlines()[number - 1]


Check = Callable[[Source], Iterator[str]]


def permits_are_made_by_the_bounds_only(source: Source) -> Iterator[str]:
    if source.path != "receiver/core/bounds.py":
        for call in _calls(source):
            if _last_name(call.func) == "Permit":
                yield f"{source.path}:{call.lineno} makes a Permit: only core/bounds.py may"


def only_the_clock_reads_the_time(source: Source) -> Iterator[str]:
    if source.path != "receiver/clock.py":
        yield from _mentions(source, WALL_CLOCK, "take `now` as an argument or ask the Clock")


def only_settings_read_the_environment(source: Source) -> Iterator[str]:
    if not source.path.startswith(SETTINGS):
        yield from _mentions(source, ENVIRONMENT, "only settings read the environment")


def functions_are_short(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{source.path}:{node.lineno} {node.name} has {length} lines: at most {LONGEST_FUNCTION}"


def long_files_say_why(source: Source) -> Iterator[str]:
    length = len(source.code.splitlines())
    if length > LONGEST_FILE and "split" not in (ast.get_docstring(source.tree) or "").lower():
        yield f"{source.path} has {length} lines: split it, or say in its docstring why it is not split"


def catching_everything_is_a_named_boundary(source: Source) -> Iterator[str]:
    for line in _catch_alls(source):
        if source.path not in BOUNDARIES:
            yield f"{source.path}:{line} catches everything: only {', '.join(sorted(BOUNDARIES))} may"
        if not re.search(r"# boundary: \w+", source.line(line)):
            yield f"{source.path}:{line} catches everything without its reason: `# boundary: …` on the same line"


def tasks_have_an_owner_and_a_name(source: Source) -> Iterator[str]:
    if source.path == "receiver/tasks.py":
        return
    for call in _calls(source):
        name = _last_name(call.func)
        owner = _last_name(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if name == "ensure_future" or (name == "create_task" and owner in {"", "asyncio", "loop", "get_running_loop", "get_event_loop"}):
            yield f"{source.path}:{call.lineno} starts a task without an owner: use a TaskGroup or receiver.tasks"
        elif name == "create_task" and not any(keyword.arg == "name" for keyword in call.keywords):
            yield f"{source.path}:{call.lineno} starts a task without a name"


def only_the_command_line_prints(source: Source) -> Iterator[str]:
    if not source.path.startswith(PRINTERS):
        for call in _calls(source):
            if isinstance(call.func, ast.Name) and call.func.id == "print":
                yield f"{source.path}:{call.lineno} prints: log, or return it to cli.py"


def sql_is_never_put_together_from_strings(source: Source) -> Iterator[str]:
    for call in _calls(source):
        if _last_name(call.func) in SQL_CALLS and call.args and _is_built_string(call.args[0]):
            yield f"{source.path}:{call.lineno} builds SQL from strings: use bound parameters or SQLAlchemy expressions"


def our_own_modules_are_never_patched(source: Source) -> Iterator[str]:
    ours = _names_imported_from_receiver(source)
    for call in _calls(source):
        target = call.args[0] if call.args else None
        if target is None or not _is_patch(call.func):
            continue
        named = target.value if isinstance(target, ast.Constant) and isinstance(target.value, str) else _first_name(target)
        if named.split(".")[0] == "receiver" or named in ours:
            yield f"{source.path}:{call.lineno} patches {named}: give the code a fake through its port"


def kubernetes_is_changed_by_patch_and_eviction_only(source: Source) -> Iterator[str]:
    """aiohttp sends PUT and DELETE twice by itself, and a DELETE with a body ignores its dry run. No vendor's typed call either."""
    if not source.path.startswith(("receiver/clients/kubernetes", "receiver/remediate/", "receiver/observe/")):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and node.value in {"PUT", "DELETE", "put", "delete", "deletecollection", "update"}:
            yield f"{source.path}:{node.lineno} says {node.value}: Kubernetes is changed by PATCH and eviction only"
        if isinstance(node, ast.Attribute) and re.match(r"(delete|replace|create)_(namespaced|node|collection)|(put|delete)$", node.attr):
            yield f"{source.path}:{node.lineno} calls {node.attr}: Kubernetes is changed by PATCH and eviction only"
    if source.path != "receiver/clients/kubernetes_changes.py":
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node.attr == "post":
                yield f"{source.path}:{node.lineno} posts: only kubernetes_changes.py makes requests that do"


BIG_FUNCTION = "def long():\n" + "    pass\n" * LONGEST_FUNCTION
BIG_FILE = '"""Long."""\n' + "x = 1\n" * LONGEST_FILE

# The check, where it looks, and a file that it must refuse.
CHECKS: list[tuple[Check, str, Source]] = [
    (permits_are_made_by_the_bounds_only, "receiver", Source("receiver/engine/x.py", "permit = case.Permit(action='scale')")),
    (only_the_clock_reads_the_time, "receiver", Source("receiver/engine/x.py", "from datetime import datetime\nnow = datetime.now()")),
    (only_the_clock_reads_the_time, "receiver", Source("receiver/settings.py", "import time\nread = time.time")),
    (only_the_clock_reads_the_time, "receiver", Source("receiver/web/x.py", "from time import time")),
    (only_settings_read_the_environment, "receiver", Source("receiver/app.py", "import os\nhome = os.environ['HOME']")),
    (only_settings_read_the_environment, "receiver", Source("receiver/app.py", "from os import getenv")),
    (functions_are_short, "receiver", Source("receiver/web/x.py", BIG_FUNCTION)),
    (functions_are_short, "receiver", Source("receiver/web/x.py", "async " + BIG_FUNCTION)),
    (long_files_say_why, "receiver", Source("receiver/web/x.py", BIG_FILE)),
    (
        catching_everything_is_a_named_boundary,
        "receiver",
        Source("receiver/web/x.py", "try: f()\nexcept Exception: pass  # boundary: here"),
    ),
    (catching_everything_is_a_named_boundary, "receiver", Source("receiver/tasks.py", "try: f()\nexcept Exception: pass")),
    (catching_everything_is_a_named_boundary, "receiver", Source("receiver/tasks.py", "try: f()\nexcept: pass")),
    (catching_everything_is_a_named_boundary, "receiver", Source("receiver/tasks.py", "try: f()\nexcept (OSError, BaseException): pass")),
    (catching_everything_is_a_named_boundary, "receiver", Source("receiver/tasks.py", "with contextlib.suppress(Exception): f()")),
    (tasks_have_an_owner_and_a_name, "receiver", Source("receiver/app.py", "asyncio.create_task(f(), name='x')")),
    (tasks_have_an_owner_and_a_name, "receiver", Source("receiver/app.py", "asyncio.get_running_loop().create_task(f(), name='x')")),
    (tasks_have_an_owner_and_a_name, "receiver", Source("receiver/app.py", "group.create_task(f())")),
    (only_the_command_line_prints, "receiver", Source("receiver/app.py", "print('here')")),
    (sql_is_never_put_together_from_strings, "receiver", Source("receiver/store/x.py", "text(f'select {column}')")),
    (sql_is_never_put_together_from_strings, "receiver", Source("receiver/store/x.py", "connection.execute('select %s' % column)")),
    (sql_is_never_put_together_from_strings, "receiver", Source("receiver/store/x.py", "cursor.execute('select ' + column)")),
    (sql_is_never_put_together_from_strings, "receiver", Source("receiver/store/x.py", "sa.text('select {}'.format(column))")),
    (
        kubernetes_is_changed_by_patch_and_eviction_only,
        "receiver",
        Source("receiver/clients/kubernetes.py", "Request('DELETE', path)"),
    ),
    (
        kubernetes_is_changed_by_patch_and_eviction_only,
        "receiver",
        Source("receiver/remediate/x.py", "Permission('pods', ('delete',))"),
    ),
    (kubernetes_is_changed_by_patch_and_eviction_only, "receiver", Source("receiver/observe/x.py", "api.delete_namespaced_pod(name)")),
    (kubernetes_is_changed_by_patch_and_eviction_only, "receiver", Source("receiver/clients/kubernetes.py", "session.put(url)")),
    (kubernetes_is_changed_by_patch_and_eviction_only, "receiver", Source("receiver/clients/kubernetes.py", "Request(Method.post, p)")),
    (our_own_modules_are_never_patched, "tests", Source("tests/x.py", "mock.patch('receiver.engine.outbox.send')")),
    (our_own_modules_are_never_patched, "tests", Source("tests/x.py", "from receiver import app\nmonkeypatch.setattr(app, 'serve', None)")),
    (our_own_modules_are_never_patched, "tests", Source("tests/x.py", "from receiver.app import App\npatch.object(App, 'serve')")),
]


@pytest.mark.parametrize("check,room", dict.fromkeys((check, room) for check, room, _ in CHECKS))
def test_it_holds_in_the_whole_house(check: Check, room: str) -> None:
    sources = [Source(str(path.relative_to(ROOT)), path.read_text()) for path in sorted((ROOT / room).rglob("*.py"))]
    assert sources
    faults = [fault for source in sources for fault in check(source)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("check,source", [(check, bad) for check, _, bad in CHECKS])
def test_the_check_can_fail(check: Check, source: Source) -> None:
    assert list(check(source))


def test_a_boundary_with_its_reason_is_allowed() -> None:
    code = "try: f()\nexcept Exception as error:  # boundary: one worker must not end the others\n    tell(error)"
    assert list(catching_everything_is_a_named_boundary(Source("receiver/tasks.py", code))) == []


# --- the import direction ------------------------------------------------------------------------------------------------


def test_rooms_import_downwards_only() -> None:
    checked = _lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "path,code",
    [
        ("receiver/core/plan.py", "import asyncio"),
        ("receiver/core/model.py", "import receiver.core.plan"),
        ("receiver/web/page.py", "import receiver.store"),
        ("receiver/brand_new.py", ""),
    ],
)
def test_the_import_check_can_fail(path: str, code: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file in ("__init__", "tasks", "secret", "clock", "core/__init__", "core/plan", "core/model", "store/__init__", "web/__init__"):
        (tmp_path / f"receiver/{file}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"receiver/{file}.py").touch()
    assert _lint_imports(tmp_path).returncode == 0
    (tmp_path / path).write_text(f"{code}\n")
    assert _lint_imports(tmp_path).returncode != 0


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


# --- nothing of one machine in the repository ----------------------------------------------------------------------------

# Written in pieces, so that this file does not hold what it forbids.
REGISTRIES = "|".join(
    re.escape(host.replace(" ", "."))
    for host in (
        *("pypi org", "pythonhosted org", "registry npmjs org", "registry yarnpkg com", "proxy golang org", "sum golang org"),
        *("static crates io", "index crates io", "repo maven", "repo1 maven", "deb debian org", "security debian org"),
    )
)
OF_ONE_MACHINE = {
    "a registry's host": re.compile(REGISTRIES),
    "an index's address": re.compile(r"--(?:extra-)?(?:index-url|find-links)|(?:PIP|UV)_\w*INDEX"),
    "a path of one machine": re.compile(r"(?<![\w.:/-])/(?:work|root|home|Users)/\w|[.]pyenv\b"),
}


def machine_words(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in OF_ONE_MACHINE.items():
            if found := pattern.search(line):
                yield f"{number} holds {what}: {found.group()}"


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    faults = [f"{path.relative_to(ROOT)}:{fault}" for path in _tracked() for fault in machine_words(_text(path))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "line",
    [
        "https://files.python" + "hosted.org/x.whl",
        "--index" + "-url https://mirror",
        "see /wo" + "rk/main/x",
        "# from /ro" + "ot/x",
        "~/.py" + "env",
    ],
)
def test_the_machine_check_can_fail(line: str) -> None:
    assert list(machine_words(line))


def _tracked() -> list[Path]:
    """What is committed, or would be."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


# --- reading the tree ----------------------------------------------------------------------------------------------------


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _mentions(source: Source, names: set[tuple[str, str]], advice: str) -> Iterator[str]:
    """Uses of `module.name`, called or not, and imports that would hide them."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and (_last_name(node.value), node.attr) in names:
            yield f"{source.path}:{node.lineno} uses {_last_name(node.value)}.{node.attr}: {advice}"
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (node.module, alias.name) in names:
                    yield f"{source.path}:{node.lineno} imports {node.module}.{alias.name}: {advice}"


def _catch_alls(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or _last_name(kind) in CATCH_ALL for kind in caught):
                yield node.lineno
        if isinstance(node, ast.Call) and _last_name(node.func) == "suppress" and any(_last_name(kind) in CATCH_ALL for kind in node.args):
            yield node.lineno


def _is_built_string(node: ast.expr) -> bool:
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(left=left, op=ast.Mod() | ast.Add(), right=right):
            return any(isinstance(side, ast.JoinedStr | ast.BinOp) or _is_text(side) for side in (left, right))
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join")):
            return _is_text(value)
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_patch(function: ast.expr) -> bool:
    """`patch`, `mock.patch`, `patch.object`, `mocker.patch`, `monkeypatch.setattr` and their relatives."""
    words = set(ast.unparse(function).split("."))
    return "patch" in words or bool("monkeypatch" in words and words & {"setattr", "delattr", "setitem", "delitem"})


def _names_imported_from_receiver(source: Source) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "receiver":
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.asname or "receiver" for alias in node.names if alias.name.split(".")[0] == "receiver"}
    return names


def _last_name(node: ast.expr) -> str:
    """`c` of a.b.c, of a.b.c() and of c."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return _last_name(function)
        case _:
            return ""


def _first_name(node: ast.expr) -> str:
    """`a` of a.b.c, of a.b() and of a."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner) | ast.Call(func=inner):
            return _first_name(inner)
        case _:
            return ""
