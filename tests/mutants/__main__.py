"""Take each guard out of a copy of the code and see that the tests named with it fail.

    python -m tests.mutants [-j N] [part of a name ...]

Exit code 1 where a mutant lives, that is where a test named with it does not fail on it, and where one of
these tests fails on the code as it is: that one would catch anything. A test that does not end within a
minute on a mutant has noticed it, too (`endless`). A mutant that needs a database server which does not
answer is said to be not tried, and is an error where KOHORT_REQUIRE_SERVICES is set.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import services
from tests.mutants import trials
from tests.mutants.catalogue import mutants
from tests.mutants.mutant import Database, Mutant
from tests.mutants.trials import Ended, Trial

SERVERS: dict[Database, services.Service] = {
    "postgresql": services.POSTGRESQL,
    "mariadb": services.MARIADB,
}
_PASSED, _FAILED = 0, 1
# A name that is not there is a mutant that was written wrongly: whatever runs into it fails.
_NO_PROGRAM = re.compile(r"\b(?:NameError|UnboundLocalError|ImportError|ModuleNotFoundError): ")
_MUTANT_SECONDS = 60
_ALL_SECONDS = 900


def main() -> int:
    """Try the mutants that are asked for, or all; return a shell's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at once")
    parser.add_argument("names", nargs="*", help="parts of names; all mutants without one")
    options = parser.parse_args()
    asked = [one for one in mutants() if not options.names or any(part in one.name for part in options.names)]
    missing = {database: problem for database, server in SERVERS.items() if (problem := server.problem())}
    ready = [mutant for mutant in asked if mutant.database not in missing]
    left = [mutant for mutant in asked if mutant.database in missing]
    wrong = _tried(ready, at_once=options.j)
    print()
    for database, problem in missing.items():
        for mutant in left:
            if mutant.database == database:
                print(f"not tried: {mutant.name}: {problem}")
    for line in wrong:
        print(line)
    print(f"{len(ready)} mutants tried, {len(left)} not; {len(wrong)} faults")
    required = bool(os.environ.get("KOHORT_REQUIRE_SERVICES"))
    return int(bool(wrong) or not ready or (required and bool(left)))


def _tried(ready: Sequence[Mutant], *, at_once: int) -> list[str]:
    """Try mutants and print a table as they end; return what is wrong."""
    wrong = []
    width = max((len(mutant.name) for mutant in ready), default=0)
    # Those that take longest begin first.
    planned = [_as_it_is(group) for group in _grouped(ready)]
    planned += [_on_the_mutant(mutant, node) for mutant in ready for node in mutant.caught_by]
    with tempfile.TemporaryDirectory(prefix="kohort-mutants-") as folder:
        for ended in trials.run(planned, folder=Path(folder), at_once=at_once):
            mutant = ended.trial.mutant
            title, tiers = (mutant.name, mutant.tiers) if mutant else ("(the code as it is)", "all of these")
            problem = _problem(ended)
            word = _word(ended, problem)
            where = f"{tiers} ({mutant.database})" if mutant and mutant.database else tiers
            print(f"{word:7}  {title:{width}}  {where:24}  {ended.seconds:4.0f} s", flush=True)
            if problem:
                wrong.append(f"{word}: {title}: {problem}")
    return wrong


def _word(ended: Ended, problem: str) -> str:
    if ended.trial.mutant is None:
        return "FAILS" if problem else "passes"
    if problem:
        return "ALIVE"
    return "caught" if ended.code is not None else "endless"


def _grouped(ready: Sequence[Mutant]) -> list[list[Mutant]]:
    """Put those together whose tests can run in one process."""
    groups = dict.fromkeys(mutant.group for mutant in ready)
    return [[mutant for mutant in ready if mutant.group == group] for group in groups]


def _as_it_is(group: Sequence[Mutant]) -> Trial:
    named = dict.fromkeys(node for mutant in group for node in mutant.caught_by)
    return _trial(group[0].group, [*named], seconds=_ALL_SECONDS)


def _on_the_mutant(mutant: Mutant, node: str) -> Trial:
    return _trial(mutant.group, ["-x", node], seconds=_MUTANT_SECONDS, mutant=mutant)


def _trial(
    group: tuple[Database | None, bool],
    arguments: Sequence[str],
    *,
    seconds: int,
    mutant: Mutant | None = None,
) -> Trial:
    database, migrated = group
    # To make the tables by migrations takes longer than most of these tests.
    tables = [] if migrated else ["--nomigrations"]
    return Trial(
        arguments=(*tables, *arguments),
        mutant=mutant,
        environment=_environment(database),
        seconds=seconds,
    )


def _environment(database: Database | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if database is not None:
        # Each process has a database of its own there: see tests/settings.py.
        environment["DATABASE_URL"] = SERVERS[database].url
    return environment


def _problem(ended: Ended) -> str:
    """Say what is not as it has to be; empty where everything is."""
    said = f"pytest ended with {ended.code}"
    if ended.trial.mutant is None:
        return "" if ended.code == _PASSED else f"{said}, so what fails here catches nothing\n{ended.said}"
    if ended.code is None or (ended.code == _FAILED and not _NO_PROGRAM.search(ended.said)):
        return ""  # a mutant that does not end is noticed, too
    last = " ".join(ended.said.strip().splitlines()[-1:])
    return f"{ended.trial.arguments[-1]}: {said}: {last}"


if __name__ == "__main__":
    sys.exit(main())
