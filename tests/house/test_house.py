"""The layout is the architecture: who may import whom, and who may import what."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vpnctl"
BOT = ROOT / "bot"
FILES = sorted([*PACKAGE.rglob("*.py"), *BOT.rglob("*.py")])

ALLOWED = {
    "errors": set(),
    "filelock": set(),
    "rules": {"errors"},
    "payment_settings": {"rules"},
    "payment_values": {"errors", "rules"},
    "serving_settings": {"payment_settings"},
    "serving_values": {"errors", "rules", "serving_settings"},
    "setting_values": {"errors", "rules", "payment_values", "serving_values"},
    "settings": {"errors", "rules", "setting_values", "payment_settings", "serving_settings"},
    "payments": {"errors", "rules", "settings"},
    "app": {"errors", "rules", "settings", "protocols", "remote", "store"},
    "journal": {"errors", "rules"},
    "protocols": {"errors", "rules"},
    "remote": {"errors", "rules", "protocols"},
    "store": {"errors", "filelock", "rules"},
    "texts": {"errors", "rules", "protocols"},
    "reports": {"errors", "rules", "store", "texts"},
    "actions": {
        *("errors", "filelock", "rules", "settings", "app", "protocols", "payments", "remote", "store", "texts"),
        "reports",
    },
    "jobs": {"errors", "rules", "settings", "app", "store", "reports", "actions"},
    "bus": {"errors", "rules", "settings", "app", "store", "reports"},
    "worker": {"bus", "errors", "filelock", "rules", "settings", "app", "remote", "store", "actions", "jobs"},
    "web": {
        *(
            "errors",
            "rules",
            "settings",
            "serving_settings",
            "app",
            "protocols",
            "payments",
            "store",
            "texts",
            "reports",
        ),
        *("actions", "jobs"),
    },
    "cli": {
        *("errors", "rules", "settings", "app", "journal", "remote", "store", "texts", "reports", "actions", "jobs"),
        *("worker", "web", "bus"),
    },
    "bot": {"errors", "rules", "settings", "app", "remote", "store", "texts", "reports", "actions", "worker"},
}
OWNERS = {
    "paramiko": {"remote", "actions"},
    "typer": {"cli"},
    "rich": {"cli"},
    "stripe": {"payments"},
    "telebot": {"bot"},
    "requests": {"bot"},
    "bot": {"bot", "cli"},
    "click": {"cli"},
    "sqlalchemy": {"store", "actions", "reports", "bus"},
    "nats": {"bus", "worker"},
    "alembic": {"store"},
    "pydantic": {"actions", "web"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "prometheus_client": {"reports"},
    "PIL": {"cli", "handout"},
}
"""`actions/fleet/hostkeys.py` reads hashed known_hosts names with paramiko's parser; no connection is made there."""


def room(path):
    if path.is_relative_to(BOT):
        return "bot"
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "vpnctl":
                yield from (f"vpnctl.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room(path) not in ("__init__", "__main__")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_room_imports_only_the_rooms_it_may(path):
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "vpnctl" and len(parts) > 1 and parts[1] not in (here, "__version__"):
            assert parts[1] in ALLOWED[here], f"{here} imports {name}"
        if parts[0] in OWNERS:
            assert here in OWNERS[parts[0]], f"{here} imports {parts[0]}"


def running_imports(path):
    """Return all that a module imports when it runs, also inside a function; no imports for types only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typing_only:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def graph():
    """Module -> the modules of ours that it imports."""
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    return {
        name: {each for each in running_imports(path) if each in named and each != name} for name, path in named.items()
    }


def test_no_modules_import_each_other_in_a_circle():
    todo = graph()
    for target in todo.values():  # a package's own contents are not imported by importing the package
        target -= {each for each in target if any(other.startswith(f"{each}.") for other in target)}
    while free := {name for name, needs in todo.items() if not needs & todo.keys()}:
        todo = {name: needs for name, needs in todo.items() if name not in free}
    while above := todo.keys() - {each for needs in todo.values() for each in needs}:
        todo = {name: needs for name, needs in todo.items() if name not in above}
    assert sorted(todo) == []


def test_no_package_imports_its_own_modules():
    # Two threads, one importing the package and one a module in it, then wait for each other: see `load_everything`.
    found = {}
    for path in FILES:
        if path.name == "__init__.py":
            package = ".".join(path.parent.relative_to(ROOT).parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
                    found[package] = node.module
    assert found == {}


def test_people_and_sales_do_not_import_each_others_verbs():
    people, sales = "vpnctl.actions.people", "vpnctl.actions.sales"
    wrong = [
        (name, each)
        for name, needs in graph().items()
        for each in needs
        for one, other in ((people, sales), (sales, people))
        if name.startswith(one) and each.startswith(other)
    ]
    assert wrong == []


def test_only_settings_and_the_edge_read_the_environment():
    readers = {
        path.relative_to(ROOT).as_posix().removeprefix("vpnctl/")
        for path in FILES
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    # app: SUDO_USER for the actor; cli/output: NO_COLOR; cli/jobs: HOME for the default config path
    assert readers <= {"settings.py", "app.py", "cli/output.py", "cli/jobs.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_importing_a_module_does_nothing(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and path.name != "__main__.py":
            pytest.fail(f"{path}:{node.lineno} does something on import")


@pytest.mark.parametrize("banned", ["utils", "helpers", "manager", "service", "common", "base", "data", "info"])
def test_no_module_has_a_name_that_says_nothing(banned):
    assert not [path for path in FILES if path.stem == banned]


def test_files_stay_small():
    counts = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): count for path, count in counts.items() if count > 300} == {}


def test_the_bots_handlers_are_thin():
    long = {}
    for path in (BOT / "handlers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                long[f"{path.name}:{node.name}"] = node.body[-1].end_lineno - first.lineno + 1
    assert len(long) > 40
    assert {name: count for name, count in long.items() if count > 15} == {}


def test_the_bot_reaches_no_node():
    for path in BOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "settle import" not in text, path
        assert "app.connect" not in text, path


def test_locks_between_processes_are_taken_in_one_place():
    takers = {path.name for path in FILES if "flock(" in path.read_text(encoding="utf-8")}
    assert takers == {"filelock.py"}


def test_no_shell_strings_and_no_way_around_host_keys():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for word in (
            "shell=True",
            "os.system",
            "AutoAddPolicy",
            "WarningPolicy",
            "yaml.load(",
            "random.choice",
            "pickle.load",
        ):
            assert word not in text, f"{word} in {path}"


def test_no_two_public_classes_bear_one_name():
    found: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}, "rename one of them"
