"""The rules of the house that a reader cannot check by eye: who may import whom, and the like.

Every rule is read from the source by `ast`, so it also holds in code that no test runs.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"

LAYERS = (
    {
        "cli",
        "checks",
        "serving",
        "development",
        "mount",
        "terminal",
        "observation",
        "top",
        "__main__",
    },
    {"web", "stack", "process", "release"},
    {"planning"},
    {"server", "store", "calculator", "dispatch"},
    {"identity", "log", "payload"},
    {"telemetry"},
    {"config", "errors", "files", "prctl", "proc"},
    {"__init__"},
)
"""From top to bottom; a part may import what stands below it."""

BESIDE = {
    ("__main__", "cli"), ("cli", "checks"), ("cli", "serving"), ("cli", "development"),
    ("cli", "mount"), ("cli", "terminal"), ("mount", "top"), ("top", "terminal"),
    ("checks", "serving"), ("checks", "observation"), ("serving", "observation"),
    ("development", "serving"), ("stack", "process"), ("config", "errors"), ("proc", "prctl"),
}  # fmt: skip
"""What may be imported although it stands beside."""

NEVER = {("web", "store"), ("process", "web"), ("stack", "web")}
ONLY_ERRORS = {"calculator", "dispatch"}
READS_ENVIRONMENT = {
    "app/config.py", "app/cli.py", "app/identity.py", "app/mount.py", "app/terminal.py",
}  # fmt: skip
BLOCKING = (
    "time.sleep", "subprocess.", "os.system", "os.wait", "urllib.request.", "open", "input",
    "socket.create_connection", "socket.getaddrinfo",
)  # fmt: skip
STANDARD = sys.stdlib_module_names | {"__future__"}


@dataclass(frozen=True)
class Module:
    """One source file: its path below the root, the part of the house it is in, its tree."""

    path: str
    part: str
    tree: ast.Module

    def imports(self) -> Iterator[tuple[int, str]]:
        """The line and the full name of each module that is imported, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                assert node.module is not None
                if node.module == "app":
                    for alias in node.names:
                        yield node.lineno, f"app.{alias.name}"
                else:
                    yield node.lineno, node.module

    def parts_imported(self) -> Iterator[tuple[int, str]]:
        for line, name in self.imports():
            top, _, rest = name.partition(".")
            if top == "app":
                part = rest.partition(".")[0]
                yield line, part if is_part(part) else "__init__"


def is_part(name: str) -> bool:
    return (APP / name).is_dir() or (APP / f"{name}.py").is_file()


def read(path: Path) -> Module:
    below = path.relative_to(APP)
    part = below.parts[0].removesuffix(".py")
    return Module(str(path.relative_to(ROOT)), part, ast.parse(path.read_text()))


@lru_cache(maxsize=1)
def modules() -> tuple[Module, ...]:
    found = tuple(read(path) for path in sorted(APP.rglob("*.py")))
    assert len(found) > 40
    return found


def layer(part: str) -> int:
    (found,) = [number for number, parts in enumerate(LAYERS) if part in parts]
    return found


def name_of(node: ast.expr) -> str:
    """`a.b.c` of a name or an attribute; empty for what is neither."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, name_of(node.func)


# ---- who imports whom


def test_every_part_has_its_layer() -> None:
    known = set().union(*LAYERS)
    assert {module.part for module in modules()} <= known


def test_imports_point_down_only() -> None:
    wrong = [
        f"{module.path}:{line} imports app.{part}"
        for module in modules()
        for line, part in module.parts_imported()
        if part != module.part
        and (module.part, part) not in BESIDE
        and layer(part) <= layer(module.part)
    ]
    assert wrong == []


def test_parts_that_must_not_know_each_other_do_not() -> None:
    wrong = [
        f"{module.path}:{line} imports app.{part}"
        for module in modules()
        for line, part in module.parts_imported()
        if (module.part, part) in NEVER
    ]
    assert wrong == []


def test_calculator_and_dispatch_import_only_errors_and_the_standard_library() -> None:
    wrong = [
        f"{module.path}:{line} imports {name}"
        for module in modules()
        if module.part in ONLY_ERRORS
        for line, name in module.imports()
        if name.partition(".")[0] not in STANDARD
        and name != "app.errors"
        and not f"{name}.".startswith(f"app.{module.part}.")
    ]
    assert wrong == []


def test_only_the_store_imports_the_client_of_redis() -> None:
    wrong = [
        f"{module.path}:{line}"
        for module in modules()
        for line, name in module.imports()
        if name.partition(".")[0] in {"redis", "hiredis"} and module.part != "store"
    ]
    assert wrong == []


def test_nothing_private_is_imported_from_another_module() -> None:
    wrong = [
        f"{module.path}:{node.lineno} imports {alias.name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.endswith("__")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("app.cli", ("tornado", "redis", "supervisor")),
        ("app.process", ("app.web", "app.store", "app.server", "tornado", "redis")),
        ("app.stack.lifecycle", ("app.web", "app.store", "tornado.web", "tornado.ioloop")),
        ("app.calculator, app.dispatch", ("app.config", "tornado", "msgspec", "numpy", "socket")),
    ],
)
def test_import_brings_only_what_it_needs(imported: str, absent: tuple[str, ...]) -> None:
    done = subprocess.run(
        (sys.executable, "-c", f"import sys, {imported}; print(*sys.modules)"),
        capture_output=True, text=True, check=True, timeout=30, cwd=ROOT,
        # What measures coverage in a child process imports much by itself.
        env={name: text for name, text in os.environ.items() if not name.startswith("COV")},
    )  # fmt: skip
    loaded = done.stdout.split()
    assert [name for name in absent if name in loaded] == []


# ---- the edges


def test_environment_is_read_at_the_edge_only() -> None:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            attribute = isinstance(node, ast.Attribute) and name_of(node) in {
                f"os.{name}" for name in names
            }
            imported = (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and any(alias.name in names for alias in node.names)
            )
            if attribute or imported:
                wrong.append(module.path)
    assert set(wrong) <= READS_ENVIRONMENT


def test_no_command_is_a_shell_string() -> None:
    shells = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
    wrong = [
        f"{module.path}:{call.lineno}"
        for module in modules()
        for call, name in calls(module.tree)
        if name in shells
        or name.endswith("create_subprocess_shell")
        or any(keyword.arg == "shell" for keyword in call.keywords)
    ]
    assert wrong == []


def test_every_command_that_is_waited_for_has_a_deadline() -> None:
    waiting = {"subprocess.run", "subprocess.call", "subprocess.check_call",
               "subprocess.check_output", "urllib.request.urlopen",
               "socket.create_connection"}  # fmt: skip
    wrong = [
        f"{module.path}:{call.lineno} {name}"
        for module in modules()
        for call, name in calls(module.tree)
        if name in waiting and not any(keyword.arg == "timeout" for keyword in call.keywords)
    ]
    assert wrong == []


# ---- the event loop


def _own_calls(function: ast.AsyncFunctionDef) -> Iterator[tuple[ast.Call, str]]:
    """The calls of a coroutine itself, not of functions that are only defined in it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Call):
            yield node, name_of(node.func)
        waiting.extend(ast.iter_child_nodes(node))


def _is_blocking(name: str) -> bool:
    return any(
        name.startswith(entry) if entry.endswith(".") else name == entry for entry in BLOCKING
    )


def test_no_coroutine_blocks_the_event_loop() -> None:
    coroutines = [
        (module, node)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    assert len(coroutines) > 5
    wrong = [
        f"{module.path}:{call.lineno} {name} in {function.name}"
        for module, function in coroutines
        for call, name in _own_calls(function)
        if _is_blocking(name)
    ]
    assert wrong == []


def test_handlers_and_the_engine_never_sleep_nor_start_processes() -> None:
    """They may read the clock by `time.time()`; `from time import` would hide the rest."""
    inside = [module for module in modules() if module.part in {"web", "server", "store"}]
    imports = [
        f"{module.path}:{line} imports {name}"
        for module in inside
        for line, name in module.imports()
        if name.partition(".")[0] in {"subprocess", "requests", "urllib3"}
    ]
    sleeps = [
        f"{module.path}:{node.lineno}"
        for module in inside
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and name_of(node) == "time.sleep")
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    assert imports == []
    assert sleeps == []


# ---- names, and the tests themselves


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [m.path for m in modules() if drawers & set(Path(m.path).with_suffix("").parts)] == []


def test_every_module_with_code_says_what_it_owns() -> None:
    silent = [m.path for m in modules() if m.tree.body and not ast.get_docstring(m.tree)]
    assert silent == []


def test_tests_use_real_parts_and_no_mocks() -> None:
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            wrong += [f"{path.name}: {name}" for name in names if name.startswith("unittest")]
    assert wrong == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
    assert not list((ROOT / "tests").rglob("__init__.py"))
