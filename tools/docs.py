"""Check that the documentation is true: its links, the output and the code that it shows, the names it lists.

    python -m tools.docs            fail where a page says what is not so
    python -m tools.docs --write    first put the real output and code into the blocks that show some

A block whose output is checked has the command in a comment above it, and one that shows a file its path:

    <!-- output: python manage.py kohort_sync --help -->
    <!-- code: project/urls.py -->
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kohort_sync import conf, reasons

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REQUIRED = (ROOT / "README.md", ROOT / "CHANGELOG.md")

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_TARGETS = (
    re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)"),
    re.compile(r"^\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE),
    re.compile(r"<(?:img|a|source)\b[^>]*\b(?:src|href|srcset)=\"([^\"]+)\""),
)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\b[^>]*\b(?:id|name)=\"([^\"]+)\"")
_OUTPUT = re.compile(
    r"(?P<head><!-- output: (?P<command>[^\n]+?) -->\n+```(?P<kind>text|console)\n)(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SOURCE = re.compile(
    r"(?P<head><!-- code: (?P<path>[^\n]+?) -->\n+```python\n)(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SETTING = re.compile(r"^### `([A-Z_]+)`\n+Default: `([^`\n]+)`", re.MULTILINE)
_CHECK_ID = re.compile(r"^## `(kohort_sync\.[EWI]\d{3})`", re.MULTILINE)
_CHECK_IN_CODE = re.compile(r'id="(kohort_sync\.[EWI]\d{3})"')
_CODE_IN_TABLE = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)
_VERB = re.compile(r"^ {4}([a-z]+)(?: |$)", re.MULTILINE)
_COMMAND = "python manage.py kohort_sync"
_SECONDS = 60


def main(arguments: list[str] | None = None) -> int:
    """Check every page; return a shell's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.docs", description="Check that the documentation is true."
    )
    parser.add_argument(
        "--write", action="store_true", help="first refresh the blocks that show output or code"
    )
    options = parser.parse_args(arguments)
    files = [file for file in (*REQUIRED, *sorted(DOCS.rglob("*.md"))) if file.exists()]
    _run_all(files)
    if options.write:
        for file in files:
            _refresh(file)
    found = [f"{file.name} does not exist." for file in REQUIRED if not file.exists()]
    for file in files:
        found += [f"{file.relative_to(ROOT)}: {problem}" for problem in (*_dead_links(file), *_stale(file))]
    found += _settings()
    found += _differences("docs/checks.md", _CHECK_ID, _ids_in_code())
    found += _differences("docs/states.md", _CODE_IN_TABLE, _codes())
    found += _verbs()
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print(
            f"{len(found)} problems. 'python -m tools.docs --write' refreshes what is shown.", file=sys.stderr
        )
        return 1
    print(f"Docs: {len(files)} pages, links, output and names are true.")
    return 0


# Links


def _dead_links(file: Path) -> Iterator[str]:
    text = _CODE.sub("", _FENCE.sub("", file.read_text(encoding="utf-8")))
    for target in (target for pattern in _TARGETS for target in pattern.findall(text)):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue  # addresses elsewhere come and go without us
        path = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        if not path.exists():
            yield f"the link to {target} leads nowhere."
        elif parts.fragment and path.suffix == ".md" and parts.fragment not in _anchors(path):
            yield f"the link to {target} names a heading that is not there."


@cache
def _anchors(file: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings, and those that the page sets itself."""
    text = _FENCE.sub("", file.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    anchors = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(text):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(anchors)


# Output and code


def _stale(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    for block in _OUTPUT.finditer(text):
        if block["body"] != _shown(block["kind"], block["command"]):
            yield f"the shown output of '{block['command']}' is not the real one."
    for block in _SOURCE.finditer(text):
        real = _page(block["path"])
        if not real or block["body"] != real:
            yield f"the shown code of {block['path']} is not the real one."


def _refresh(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    fresh = _OUTPUT.sub(lambda block: f"{block['head']}{_shown(block['kind'], block['command'])}```", text)
    fresh = _SOURCE.sub(lambda block: f"{block['head']}{_page(block['path'])}```", fresh)
    if fresh != text:
        file.write_text(fresh, encoding="utf-8")
        _anchors.cache_clear()


def _shown(kind: str, command: str) -> str:
    output = _output(command).strip("\n") + "\n"
    return f"$ {command}\n{output}" if kind == "console" else output


def _run_all(files: Iterable[Path]) -> None:
    """Ask for all outputs side by side; each costs the start of Django."""
    commands = {
        block["command"] for file in files for block in _OUTPUT.finditer(file.read_text(encoding="utf-8"))
    }
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_output, commands | {f"{_COMMAND} --help"}))


@cache
def _output(command: str) -> str:
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [sys.executable if program == "python" else program, *arguments],
        cwd=ROOT,
        env=_plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def _plain_environment() -> dict[str, str]:
    """Return an environment in which output is the same everywhere: one width, no colours, no key."""
    ours = ("KOHORT_", "DATABASE_URL", "DJANGO_", "CELERY_", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"COLUMNS": "100", "NO_COLOR": "1", "DJANGO_COLORS": "nocolor", "PYTHONWARNINGS": "ignore"}


# Names


def _settings() -> Iterator[str]:
    documented = dict(_SETTING.findall(_page("docs/settings.md")))
    yield from _differences("docs/settings.md", _SETTING, conf.DEFAULTS)
    for name, value in conf.DEFAULTS.items():
        if documented.get(name, repr(value)) != repr(value):
            yield f"docs/settings.md: the default of {name} is {value!r}, not {documented[name]}."


def _ids_in_code() -> set[str]:
    return set(_CHECK_IN_CODE.findall((ROOT / "kohort_sync" / "checks.py").read_text(encoding="utf-8")))


def _codes() -> set[str]:
    return {*reasons.STATES, *reasons.CODES, *reasons.GATES}


def _verbs() -> Iterator[str]:
    shown = {block["command"] for block in _OUTPUT.finditer(_page("docs/commands.md"))}
    for verb in _VERB.findall(_output(f"{_COMMAND} --help")):
        if f"{_COMMAND} {verb} --help" not in shown:
            yield f"docs/commands.md: the verb {verb} is missing; show the output of its --help."


def _differences(page: str, pattern: re.Pattern[str], real: Iterable[str]) -> Iterator[str]:
    found = {match[1] for match in pattern.finditer(_page(page))}
    yield from (f"{page}: {name} is missing." for name in sorted(set(real) - found))
    yield from (f"{page}: {name} does not exist." for name in sorted(found - set(real)))


def _page(name: str) -> str:
    file = ROOT / name
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
