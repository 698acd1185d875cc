"""What the sources must not hold, whatever they do: read as syntax trees and as text."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
APP = ROOT / "kohort_sync"
SHIPPED = sorted(APP.rglob("*.py"))
RUNNING = [*SHIPPED, *sorted((ROOT / "project").rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

TREES = {file: ast.parse(file.read_text()) for file in RUNNING}

_RUN_TEXT = {"eval", "exec", "compile", "__import__"}
_READ_PROGRAMS = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
_START_SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Name each module that a file imports, with each name that it takes from there."""
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module or "", alias.name) for alias in node.names)


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Name each function that a file calls, as it is written."""
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@pytest.mark.security(35)
@pytest.mark.parametrize("file", RUNNING, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_text_is_run_no_program_is_read_and_no_shell_is_started(file: Path) -> None:
    found = [module for module, _ in imports(file) if module.partition(".")[0] in _READ_PROGRAMS]
    for name, call in calls(file):
        shell = any(each.arg == "shell" for each in call.keywords)
        if name in _RUN_TEXT | _START_SHELLS or name == "yaml.load" or shell:
            found.append(where(file, call))

    assert found == []


@pytest.mark.security(35)
def test_the_app_starts_no_process() -> None:
    starting = {"subprocess", "multiprocessing", "pty", "commands"}

    found = [(file, module) for file in SHIPPED for module, _ in imports(file) if module in starting]

    assert found == []


@pytest.mark.security(23)
def test_nothing_is_called_safe_html_that_was_not_built_with_escaping() -> None:
    trusting = {"mark_safe", "SafeText"}
    in_code = [
        where(file, node)
        for file in RUNNING
        for node in ast.walk(TREES[file])
        if (isinstance(node, ast.Name) and node.id in trusting)
        or (isinstance(node, ast.Attribute) and node.attr in trusting)
        # What is put together before escaping is not escaped any more.
        or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"format_html", "format_html_join", "SafeString"}
            and not all(isinstance(each, ast.Constant) for each in node.args[:1])
        )
    ]
    in_templates = [
        template.relative_to(ROOT)
        for template in [*APP.rglob("*.html"), *(ROOT / "project").rglob("*.html")]
        # Django writes its rules for passwords as HTML, and nobody else writes the help of a field.
        if re.search(r"(?<!field\.help_text)\|\s*safe(?:seq)?\b|autoescape\s+off", template.read_text())
    ]

    assert in_code == []
    assert in_templates == []


@pytest.mark.security(24)
def test_tables_for_a_spreadsheet_are_written_in_one_place() -> None:
    """A cell that begins with = + - @ or a blank runs as a formula; the verb's tests see that none does."""
    importing = [file for file in RUNNING for module, _ in imports(file) if module in {"csv", "openpyxl"}]
    speaking = [file for file in RUNNING if "text/csv" in file.read_text()]

    assert ([file.relative_to(APP).as_posix() for file in importing], speaking) == (
        ["management/verbs/reconcile.py"],
        [],
    )


@pytest.mark.security(38)
def test_a_reference_comes_from_one_place_alone() -> None:
    """Nowhere else may a link get one: not from a form, not from an answer, not from the site's functions."""
    given = {
        where(file, call)
        for file in SHIPPED
        for name, call in calls(file)
        if name.rpartition(".")[2]
        in {"CustomerLink", "create", "get_or_create", "update", "update_or_create"}
        for each in call.keywords
        if each.arg == "client_reference_id"
    }

    makers = {
        file.name
        for file in SHIPPED
        for name, _ in calls(file)
        if name in {"references.new", "references.MadeByDatabase"}
    }

    assert given == set()
    # A probe looks up a reference that nobody has.
    assert makers == {"recording.py", "storing.py", "line.py"}


@pytest.mark.security(33)
def test_requirements_name_the_lowest_version_and_no_highest() -> None:
    every = [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]

    assert [one for one in every if re.fullmatch(r"[A-Za-z0-9_-]+>=[\d.]+", one) is None] == []


@pytest.mark.security(33)
@pytest.mark.parametrize(("name", "least"), [("requests", (2, 32, 4)), ("urllib3", (2, 6, 3))])
def test_the_libraries_that_read_from_the_network_are_not_those_with_known_holes(
    name: str, least: tuple[int, ...]
) -> None:
    bounds = dict(one.split(">=") for one in PROJECT["dependencies"])

    assert tuple(map(int, bounds[name].split("."))) >= least


@pytest.mark.security(33)
def test_what_the_app_imports_is_required() -> None:
    required = {re.split(r">=", one)[0].lower() for one in PROJECT["dependencies"]}
    # Of a driver only what a site with that driver has is imported, where it is used.
    optional = {"phonenumbers", "psycopg"}
    imported = {module.partition(".")[0] for file in SHIPPED for module, _ in imports(file)}

    assert imported - sys.stdlib_module_names - {"kohort_sync"} - optional == {
        "celery", "django", "requests", "urllib3",
    }  # fmt: skip
    assert {"celery", "django", "requests", "urllib3"} <= required


# Secrets and people in the repository


def tracked() -> list[Path]:
    """List what would be published: what git knows, and what it would take up."""
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


# Every invented key says so by a word in it. One that comes from KohortPay has none.
_INVENTED = re.compile(
    r"sandbox|canary|staging|another|orphan|other|rotated|nobody|abcdef|invented|example|dummy", re.IGNORECASE
)
_KEY = re.compile(r"[sp]k_(?:test|live)_([A-Za-z0-9]{8,})")


@pytest.mark.security(1, 6)
def test_no_key_in_the_repository_is_a_real_one() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {key.group()[:12]}…"
        for file in tracked()
        for key in _KEY.finditer(file.read_text(errors="replace"))
        if _INVENTED.search(key.group(1)) is None
    }

    assert found == set(), "Take the key out and have it replaced; an invented one says so: sk_test_canary…"


_ADDRESS = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,})\b")
_NOBODY = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|org|net))?|invalid|test|localhost)", re.IGNORECASE)


@pytest.mark.security(6)
def test_what_is_shipped_and_shown_names_nobody_who_exists() -> None:
    published = [
        file for file in tracked() if file.relative_to(ROOT).parts[0] in ("kohort_sync", "project", "docs")
    ]
    texts = [file for file in [*published, *ROOT.glob("*.md")] if file.suffix not in {".png", ".mo"}]

    found = {
        f"{file.relative_to(ROOT)}: {address.group()}"
        for file in texts
        for address in _ADDRESS.finditer(file.read_text(errors="replace"))
        if _NOBODY.fullmatch(address.group(1)) is None
    }

    assert found == set()


@pytest.mark.security(6)
def test_the_package_holds_neither_data_nor_recordings() -> None:
    kinds = {file.suffix for file in tracked() if file.is_relative_to(APP)}

    assert kinds <= {".py", ".typed", ".html", ".css", ".po", ".mo"}


# The key


@pytest.mark.security(1)
def test_no_table_and_no_migration_has_a_place_for_the_key() -> None:
    columns = {
        node.value
        for file in SHIPPED
        if file.parent.name in {"models", "migrations"}
        for node in ast.walk(TREES[file])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert {each for each in columns if re.search(r"api_?key|secret", each, re.IGNORECASE)} == set()


@pytest.mark.security(2)
def test_the_key_is_shown_to_nobody_but_the_line_that_sends_it() -> None:
    revealing = sorted(
        {
            f"{file.relative_to(APP)}"
            for file in SHIPPED
            for name, _ in calls(file)
            if name.endswith(".reveal")
        }
    )

    # `customers` hides an address to be searched for; `transport` looks at the key's form and sends it.
    assert revealing == ["client/customers.py", "client/transport.py"]
