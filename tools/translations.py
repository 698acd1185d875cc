"""Keep the French catalogue in step with the code.

    python -m tools.translations            extract every string, keep what is translated, compile
    python -m tools.translations --check    change nothing; fail where something is missing or stale

No gettext programs are needed: Babel reads the strings, polib reads and writes the catalogue.
"""

import argparse
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polib
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from django.utils.translation.template import templatize

APP = Path(__file__).parent.parent / "kohort_sync"
CATALOGUE = APP / "locale" / "fr" / "LC_MESSAGES" / "django.po"

_LAZY: dict[str, Any] = {
    f"{name}_lazy": DEFAULT_KEYWORDS[name] for name in ("gettext", "ngettext", "pgettext", "npgettext")
}
KEYWORDS: Mapping[str, Any] = {**DEFAULT_KEYWORDS, **_LAZY}

# No dates and no names: they would change with every run and tell nothing that git does not.
_METADATA = {
    "Project-Id-Version": "django-kohort-sync",
    "Language": "fr",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
    "Plural-Forms": "nplurals=2; plural=(n > 1);",
}
_FORMS = 2
_NOTHING = dict.fromkeys(range(_FORMS), "")
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa%]|\{\w*\}")


@dataclass(frozen=True, order=True)
class Message:
    """Hold one string of the code; two with one text and one context are the same."""

    text: str
    plural: str = ""
    context: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Refresh or check the catalogue; return a shell's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.translations", description="Keep the French catalogue in step with the code."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail where something is stale")
    options = parser.parse_args(arguments)
    messages = set(strings_of(APP))
    if not options.check:
        refresh(CATALOGUE, messages)
    found = problems(CATALOGUE, messages)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print(
            f"{len(found)} problems. Run 'python -m tools.translations', then translate what is empty in"
            f" {CATALOGUE.relative_to(APP.parent)} and run it again.",
            file=sys.stderr,
        )
        return 1
    print(f"Translations: {len(messages)} strings, all in French.")
    return 0


def strings_of(package: Path) -> Iterator[Message]:
    """Yield every string that the package's code and templates mark for translation."""
    for file in sorted(package.rglob("*.py")):
        yield from _strings(io.BytesIO(file.read_bytes()))
    for file in sorted(package.rglob("*.html")):
        # Django writes a template as calls of gettext; the indentation that is left means nothing.
        calls = templatize(file.read_text(encoding="utf-8"), origin=str(file))
        text = "\n".join(line.strip() for line in calls.splitlines())
        yield from _strings(io.BytesIO(text.encode()))


def refresh(file: Path, messages: set[Message]) -> None:
    """Write the catalogue anew, with every translation that still has its string, and compile it."""
    present = polib.pofile(str(file)) if file.exists() else []
    known = {_message(entry): entry for entry in present if not entry.obsolete}
    catalogue = polib.POFile(wrapwidth=100)
    catalogue.metadata = _METADATA
    for message in sorted(messages):
        catalogue.append(known.get(message) or _empty(message))
    file.parent.mkdir(parents=True, exist_ok=True)
    catalogue.save(str(file))
    catalogue.save_as_mofile(str(file.with_suffix(".mo")))


def problems(file: Path, messages: set[Message]) -> list[str]:
    """Return one sentence for each thing that is wrong with the catalogue."""
    compiled = file.with_suffix(".mo")
    if not file.exists() or not compiled.exists():
        return [f"{(compiled if file.exists() else file).name} does not exist."]
    catalogue = polib.pofile(str(file))
    entries = {_message(entry): entry for entry in catalogue if not entry.obsolete}
    found = [f"missing: {message.text!r}" for message in sorted(messages - entries.keys())]
    found += [f"not in the code any more: {message.text!r}" for message in sorted(entries.keys() - messages)]
    found += [f"obsolete, delete it: {entry.msgid!r}" for entry in catalogue.obsolete_entries()]
    for message, entry in entries.items():
        found += [f"{fault}: {message.text!r}" for fault in _faults(message, entry)]
    if _translations(catalogue) != _translations(polib.mofile(str(compiled))):
        found.append("django.mo is not what django.po says; compile it.")
    return found


def _strings(source: io.BytesIO) -> Iterator[Message]:
    for _line, texts, _comments, context in extract("python", source, keywords=KEYWORDS):
        singular, plural = (texts, "") if isinstance(texts, str) else (texts[0], texts[-1])
        yield Message(singular, plural, context or "")


def _message(entry: polib.POEntry | polib.MOEntry) -> Message:
    return Message(entry.msgid, entry.msgid_plural or "", entry.msgctxt or "")


def _empty(message: Message) -> polib.POEntry:
    entry = polib.POEntry(msgid=message.text, msgctxt=message.context or None)
    if message.plural:
        entry.msgid_plural = message.plural
        entry.msgstr_plural = dict(_NOTHING)
    return entry


def _faults(message: Message, entry: polib.POEntry) -> Iterator[str]:
    forms = list(entry.msgstr_plural.values()) if message.plural else [entry.msgstr]
    if entry.fuzzy:
        yield "fuzzy"
    if not all(forms) or (message.plural and len(forms) != _FORMS):
        yield "not translated"
        return
    wanted = _placeholders(message.plural or message.text)
    if any(_placeholders(form) != wanted for form in forms):
        yield f"the translation needs the placeholders {', '.join(wanted) or '(none)'}"


def _placeholders(text: str) -> Counter[str]:
    return Counter(_PLACEHOLDER.findall(text))


def _translations(catalogue: polib.POFile | polib.MOFile) -> dict[Message, object]:
    told = (
        (_message(entry), entry.msgstr or entry.msgstr_plural) for entry in catalogue if not entry.obsolete
    )
    translated = {message: words for message, words in told if words and words != _NOTHING}
    return {**translated, Message(""): dict(catalogue.metadata)}


if __name__ == "__main__":
    sys.exit(main())
