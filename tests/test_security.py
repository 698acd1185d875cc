"""The security checklist: each line is kept by tests that say so, or has its reason here.

A test says so with `@pytest.mark.security(line, ...)`. A line is kept only as well as those tests keep it.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LINES: Mapping[int, str] = {
    # Secrets
    1: "The key comes from the settings and is in no table, migration or page.",
    2: "The key is held by an object that prints a mask, and Django's debug page masks the setting.",
    3: "A key of another form is refused, a publishable one too, and no message repeats it.",
    4: "The key goes to the configured address alone, whatever the machine's environment says.",
    5: "A new key of the same organization is taken over, any other is not; only a fingerprint is kept.",
    6: "What is published holds no key, no recording and nobody's data.",
    # Logs, error trackers, messages
    7: "Our errors tell a code, a status and a row; they have no cause and repeat nothing that is secret.",
    8: "What carries a person's data prints nothing of it.",
    9: "Of what leaves the engine no frame holds a secret or a person among its variables.",
    10: "A message names the account and nothing else, and no result is kept.",
    11: "No address is in a URL, and so in no library's log, unless the site wants to adopt.",
    12: "Canaries of the key, an address, a name and a number are in nothing that a journey prints.",
    # The line
    13: "The base address is https, or this machine with a test key.",
    14: "No redirect is followed.",
    15: "TLS is 1.2 or newer and always verified; the bundle may be another.",
    16: "An id has the form of an id before it gets into a path.",
    17: "An answer is bounded in size and time, and never decompressed.",
    18: "No header can be broken by what is written into it.",
    # The admin
    19: "Rows are read-only, and each button has a permission of its own that is declared.",
    20: "Only a POST with the site's token changes anything.",
    21: "Actions and searches reach no row that the page would not show.",
    22: "Each decision is in Django's log of who did what.",
    23: "What comes from outside is escaped, and no page leads away from the site.",
    24: "No cell of a spreadsheet runs as a formula.",
    25: "The REST endpoint shows people their own alone, without the mirror, and not too often.",
    26: "What staff search for gets into no URL.",
    # People's data
    27: "What is sent of a person is the address and the name; the site adds to it, nobody else does.",
    28: "What is kept of an answer is what was agreed on, and no body as it came.",
    29: "An erasure leaves a tombstone with a reference, an id and dates, and a proof.",
    30: "History goes after its time; a conflict holds ids, and no reason an address.",
    31: "Whoever was erased may sign up again.",
    32: "What is held about a user can be exported.",
    # What it is made of
    33: "Requirements have lower bounds, above the versions with known holes.",
    34: "Builds are pinned, audited and published from a trusted place.",
    35: "No text is run, no pickle is read, no shell is started.",
    # Abuse
    36: "A flood of sign-ups costs a row each, and a message a second.",
    37: "A customer is adopted by its address only where the user has shown that it is theirs.",
    38: "A reference cannot be guessed, and nobody chooses one.",
    39: "Blocking has a permission of its own, may be repeated, and is believed when it is shown.",
}

# Why a line has no test, and what has to be so for the reason to hold.
NO_REST_YET = not (ROOT / "kohort_sync" / "rest").exists()
WITHOUT_A_TEST: Mapping[int, str] = {
    34: "It is about whoever publishes the package, not about a program that a test could run.",
} | ({25: "It comes with the REST endpoint, and this line ends with it."} if NO_REST_YET else {})


def marked() -> Iterator[tuple[int, str]]:
    """Give each line that a test says it keeps, with the test; a mark of a whole module counts too."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("pytest.mark.security"):
                for argument in node.args:
                    yield ast.literal_eval(argument), f"{file.relative_to(ROOT)}:{node.lineno}"


KEPT: Mapping[int, list[str]] = defaultdict(list)
for _line, _where in marked():
    KEPT[_line].append(_where)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_checklist_is_kept_by_a_test_or_has_its_reason(line: int) -> None:
    assert bool(KEPT.get(line)) != (line in WITHOUT_A_TEST), LINES[line]


def test_every_line_is_there_and_no_test_keeps_another() -> None:
    assert [*LINES] == [*range(1, 40)]
    assert {line: where for line, where in KEPT.items() if line not in LINES} == {}
