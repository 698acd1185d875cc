"""The checker finds what was planted, alone and under its name, and nothing where nothing was."""

import ast
import base64
import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos import checker
from tests.chaos.stories import CANARIES, ENDED, HEALED, STARTED, Line, Story, address, link, row, sound

ROOT = Path(__file__).resolve().parent.parent.parent
LONG_AGO = ENDED - 100
"""Twice a lease, a settle window and a sweep are 64 s here."""


def found(story: Story, folder: Path) -> dict[str, int]:
    """Judge a story; return how much was found of each kind of which anything was found."""
    findings = checker.check(story.write(folder)).findings.by_kind()
    return {kind: len(sentences) for kind, sentences in findings.items() if sentences}


def test_nothing_is_found_where_all_ended_well(tmp_path: Path) -> None:
    verdict = checker.check(sound().write(tmp_path))

    assert verdict.sound, str(verdict)


# Lost


def lose_the_link(story: Story) -> None:
    story.links.pop(0)


def lose_the_customer(story: Story) -> None:
    story.works("DELETE", at=HEALED, row=row(1, deleted_at=HEALED))
    story.mirrors(row(1, deleted_at=HEALED))


def refuse_without_a_word(story: Story) -> None:
    story.links[-1]["reason"] = " "


def leave_a_user_out(story: Story) -> None:
    story.commits("created", 8, at=STARTED + 70)


# Duplicate


def create_the_reference_twice(story: Story) -> None:
    story.works("POST", at=HEALED, row=row(1, id="cus_9"))


def create_twice_for_a_moment(story: Story) -> None:
    create_the_reference_twice(story)
    story.works("DELETE", at=HEALED + 0.2, row=row(1, id="cus_9", deleted_at=HEALED + 0.2))


def hide_the_first_by_a_deletion(story: Story) -> None:
    create_the_reference_twice(story)
    story.works("DELETE", at=HEALED + 5, row=row(1, deleted_at=HEALED + 5))
    story.links[0]["kohort_id"] = "cus_9"
    del story.customers["cus_1"]
    story.mirrors(row(1, id="cus_9"))


def create_the_user_twice(story: Story) -> None:
    story.commits("changed", 1, at=HEALED, email="one@example.com")
    story.commits("changed", 1, at=HEALED + 9)
    again = row(1, id="cus_9", client_reference_id="ref_9", email_address="one@example.com")
    story.works("POST", at=HEALED + 1, row=again)


def give_a_user_two_links(story: Story) -> None:
    story.commits("changed", 1, at=HEALED, email=address(2))
    story.commits("changed", 1, at=HEALED + 9)
    again = row(1, id="cus_9", client_reference_id="ref_9", email_address=address(2))
    story.works("POST", at=HEALED + 1, row=again)
    story.links.append(link(1, id=9, client_reference_id="ref_9", state="conflict", kohort_id=None))


# Misbound


def bind_to_another_reference(story: Story) -> None:
    story.links[0]["client_reference_id"] = "ref_lost"


def bind_to_the_address_of_another(story: Story) -> None:
    story.commits("created", 8, at=STARTED + 5)
    story.commits("deleted", 8, at=STARTED + 6)
    story.works("PATCH", at=HEALED, row=row(1, email_address=address(8)))
    story.mirrors(row(1, email_address=address(8)))


def bind_in_another_mode(story: Story) -> None:
    story.works("PATCH", at=HEALED, row=row(1, livemode=True))
    story.mirrors(row(1, livemode=True))


def bind_to_what_never_was(story: Story) -> None:
    story.links[4]["kohort_id"] = "cus_unknown"


def bind_for_a_user_who_never_was(story: Story) -> None:
    story.links[4]["user_pk"] = "99"


# Phantom


def create_who_was_rolled_back(story: Story) -> None:
    story.works("POST", at=HEALED, row=row(9, email_address="nobody@example.com"))


def create_who_was_rolled_back_and_delete(story: Story) -> None:
    create_who_was_rolled_back(story)
    story.works("DELETE", at=HEALED, row=row(9, email_address="a@erased.invalid", deleted_at=HEALED))


def create_who_never_was(story: Story) -> None:
    story.works("POST", at=HEALED, row=row(9, email_address="stranger@example.com"))


def create_before_the_commit(story: Story) -> None:
    story.becomes_customer(8, at=HEALED)
    story.service[-1] |= {"at": HEALED - 0.3, "ended": HEALED - 0.2}


# Stuck


def leave_due(story: Story) -> None:
    story.links[0]["next_attempt_at"] = LONG_AGO


def leave_leased(story: Story) -> None:
    story.links[0]["lease_until"] = LONG_AGO


def leave_a_listed_one_due(story: Story) -> None:
    story.links[-1]["next_attempt_at"] = LONG_AGO


def leave_pending(story: Story) -> None:
    story.links[4] |= {"state": "pending", "kohort_id": None}


def leave_uncertain(story: Story) -> None:
    story.links[4] |= {"state": "uncertain", "kohort_id": None, "next_attempt_at": ENDED - 1}


# Diverged


def rename_here_alone(story: Story) -> None:
    story.commits("changed", 1, at=HEALED, first_name="Grace")


def change_the_address_here_alone(story: Story) -> None:
    story.commits("changed", 1, at=HEALED, email="one@example.com")


def rename_there_late(story: Story) -> None:
    story.works("PATCH", at=HEALED, row=row(2))
    story.mirrors(row(2))


def rename_past_the_mirror(story: Story) -> None:
    story.mirrors(row(2))


def delete_in_the_mirror_alone(story: Story) -> None:
    story.mirrors(row(1, deleted_at=HEALED))


def forget_the_mirror(story: Story) -> None:
    del story.customers["cus_1"]


# Leaked


def log_a_canary(story: Story) -> None:
    story.logs["logs/web.log"] = f"sent to {CANARIES[0]}.7@example.com".encode()


def log_a_message_as_celery_does(story: Story) -> None:
    body = base64.b64encode(f'[["{CANARIES[0]}.7@example.com"], {{}}]'.encode())
    story.logs["logs/broker.log"] = b'"LPUSH" "celery" "{\\"body\\": \\"' + body + b'\\"}"'


def log_the_key_in_no_text(story: Story) -> None:
    story.logs["logs/worker.log"] = b"\xff\x00" * (1 << 20) + CANARIES[1].encode() + b"\n\xfe"


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("lost", lose_the_link),
        ("lost", lose_the_customer),
        ("lost", refuse_without_a_word),
        ("lost", leave_a_user_out),
        ("duplicate", create_the_reference_twice),
        ("duplicate", create_twice_for_a_moment),
        ("duplicate", hide_the_first_by_a_deletion),
        ("duplicate", create_the_user_twice),
        ("duplicate", give_a_user_two_links),
        ("misbound", bind_to_another_reference),
        ("misbound", bind_to_the_address_of_another),
        ("misbound", bind_in_another_mode),
        ("misbound", bind_to_what_never_was),
        ("misbound", bind_for_a_user_who_never_was),
        ("phantom", create_who_was_rolled_back),
        ("phantom", create_who_was_rolled_back_and_delete),
        ("phantom", create_who_never_was),
        ("phantom", create_before_the_commit),
        ("stuck", leave_due),
        ("stuck", leave_leased),
        ("stuck", leave_a_listed_one_due),
        ("stuck", leave_pending),
        ("stuck", leave_uncertain),
        ("diverged", rename_here_alone),
        ("diverged", change_the_address_here_alone),
        ("diverged", rename_there_late),
        ("diverged", rename_past_the_mirror),
        ("diverged", delete_in_the_mirror_alone),
        ("diverged", forget_the_mirror),
        ("leaked", log_a_canary),
        ("leaked", log_a_message_as_celery_does),
        ("leaked", log_the_key_in_no_text),
    ],
)
def test_what_is_planted_is_found_once_and_under_its_name(
    kind: str, plant: Callable[[Story], None], tmp_path: Path
) -> None:
    story = sound()
    plant(story)

    told = found(story, tmp_path)

    assert told == {kind: 1}


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_canary_in_base64_is_found_wherever_it_begins(before: str, tmp_path: Path) -> None:
    story = sound()
    story.logs["logs/web.log"] = base64.b64encode(f"{before}{CANARIES[0]}.7@example.com".encode())

    assert found(story, tmp_path) == {"leaked": 1}


def test_a_customer_with_two_links_is_found_at_each(tmp_path: Path) -> None:
    story = sound()
    story.links[4] |= {"kohort_id": "cus_1", "client_reference_id": "ref_1"}

    told = found(story, tmp_path)

    assert told == {"misbound": 2}


@pytest.mark.parametrize("values", [{"state": "pending", "kohort_id": None}, {"state": "uncertain"}])
def test_a_user_who_still_waits_at_the_end_is_lost_and_the_row_stuck(values: Line, tmp_path: Path) -> None:
    story = sound()
    story.becomes_customer(8, at=HEALED)
    story.links[-1] |= values

    told = found(story, tmp_path)

    assert told == {"lost": 1, "stuck": 1}


def test_a_customer_of_whom_only_the_service_knows_is_mentioned(tmp_path: Path) -> None:
    story = sound()
    story.links[0] |= {"state": "pending", "kohort_id": None}

    lost = checker.check(story.write(tmp_path)).findings.lost

    assert lost == ("User 1: link 1 is pending, though the service has a living customer of theirs.",)


# What looks wrong and is not


def deactivate(story: Story) -> None:
    story.commits("created", 8, at=HEALED, active=False)


def delete_before_the_link(story: Story) -> None:
    story.commits("created", 8, at=HEALED)
    story.commits("deleted", 8, at=HEALED + 1)


def list_for_a_person(story: Story) -> None:
    story.commits("changed", 1, at=HEALED, email=address(2))
    story.links[0] |= {"state": "conflict", "reason": "The address is taken; decide."}


def erase(story: Story) -> None:
    erased = row(5, email_address="ref_5@erased.invalid", first_name=None, deleted_at=HEALED)
    story.works("PATCH", at=HEALED, row={**erased, "deleted_at": None})
    story.works("DELETE", at=HEALED + 1, row=erased)
    story.mirrors(erased)
    story.links[4]["state"] = "erased"


def verify_soon(story: Story) -> None:
    story.links[0]["next_attempt_at"] = ENDED - 10
    story.links[1]["next_attempt_at"] = ENDED + 86_400


def create_again_after_a_deletion(story: Story) -> None:
    story.works("DELETE", at=HEALED, row=row(1, deleted_at=HEALED))
    story.works("POST", at=HEALED + 1, row=row(1, id="cus_9"))
    story.links[0]["kohort_id"] = "cus_9"
    del story.customers["cus_1"]
    story.mirrors(row(1, id="cus_9"))


@pytest.mark.parametrize(
    "happens",
    [
        deactivate,
        delete_before_the_link,
        list_for_a_person,
        erase,
        verify_soon,
        create_again_after_a_deletion,
    ],
)
def test_what_may_happen_is_not_found(happens: Callable[[Story], None], tmp_path: Path) -> None:
    story = sound()
    happens(story)

    told = found(story, tmp_path)

    assert told == {}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(min_value=0), plant=st.sampled_from([None, create_twice_for_a_moment, leave_due]))
def test_the_order_of_lines_that_have_none_does_not_matter(
    seed: int, plant: Callable[[Story], None] | None
) -> None:
    story = sound()
    if plant is not None:
        plant(story)
    with TemporaryDirectory() as folder:
        straight = checker.check(story.write(Path(folder)))
        _shuffle(story, random.Random(seed))
        shuffled = checker.check(story.write(Path(folder)))

    assert shuffled.figures == straight.figures
    assert _unordered(shuffled) == _unordered(straight)
    assert shuffled.sound == (plant is None)


def _shuffle(story: Story, dice: random.Random) -> None:
    for lines in (
        story.committed, story.rolled_back, story.signups, story.faults, story.links
    ):  # fmt: skip
        dice.shuffle(lines)
    story.customers = dict(dice.sample([*story.customers.items()], len(story.customers)))
    # The service's lines keep their order for each reference; between two of them there is none.
    by_reference: dict[str | None, list[Line]] = defaultdict(list)
    for line in story.service:
        by_reference[line["row"] and line["row"]["client_reference_id"]].append(line)
    waiting = [line["row"] and line["row"]["client_reference_id"] for line in story.service]
    dice.shuffle(waiting)
    story.service = [by_reference[reference].pop(0) for reference in waiting]


def _unordered(verdict: checker.Verdict) -> dict[str, list[str]]:
    return {kind: sorted(sentences) for kind, sentences in verdict.findings.by_kind().items()}


# What cannot be judged


def list_everybody(story: Story) -> None:
    for line in story.links:
        line |= {"state": "parked", "kohort_id": None, "reason": "Try again."}
    for line in story.service:
        line |= {"committed": False, "row": None, "status": 500}


@pytest.mark.parametrize(
    ("empty", "why"),
    [
        (lambda story: story.committed.clear(), "no user was committed"),
        (lambda story: setattr(story, "planned", 13), "fewer than half of the users came"),
        (lambda story: story.service.clear(), "the service was never asked"),
        (list_everybody, "the service never made a customer"),
        (lambda story: story.faults.clear(), "nothing broke"),
    ],
)
def test_a_run_in_which_nothing_happened_is_not_sound(
    empty: Callable[[Story], None], why: str, tmp_path: Path
) -> None:
    story = sound()
    empty(story)

    with pytest.raises(checker.UnjudgeableError, match=f"{why}, so nothing was put to the test"):
        checker.check(story.write(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["committed", "rolled_back", "signups", "service", "faults", "links", "customers", "run"],
)
def test_a_run_of_which_a_file_is_missing_is_not_sound(name: str, tmp_path: Path) -> None:
    sound().write(tmp_path)
    (tmp_path / f"{name}.{'json' if name == 'run' else 'jsonl'}").unlink()

    with pytest.raises(checker.UnjudgeableError, match=name):
        checker.check(tmp_path)


def test_a_log_that_is_missing_is_not_clean(tmp_path: Path) -> None:
    sound().write(tmp_path)
    (tmp_path / "logs" / "web.log").unlink()

    with pytest.raises(checker.UnjudgeableError, match=r"web\.log"):
        checker.check(tmp_path)


@pytest.mark.parametrize("torn", ['{"id": 1, "op"', "{}", "[]"])
def test_a_torn_line_is_named(torn: str, tmp_path: Path) -> None:
    sound().write(tmp_path)
    with (tmp_path / "links.jsonl").open("a") as file:
        file.write(torn)

    with pytest.raises(checker.UnjudgeableError, match=r"links\.jsonl, line 7"):
        checker.check(tmp_path)


# The command


def _command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.chaos.checker", str(folder), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_ends_with_zero_where_nothing_is_found(tmp_path: Path) -> None:
    ended = _command(sound().write(tmp_path))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("kohort_sync, seed 7: 6 users, 2 faults: lost 0, duplicate 0,")


def test_the_command_ends_with_one_and_tells_what_is_found(tmp_path: Path) -> None:
    story = sound()
    lose_the_link(story)
    story.write(tmp_path)

    ended, told = _command(tmp_path), _command(tmp_path, "--json")

    assert (ended.returncode, told.returncode) == (1, 1)
    assert "  lost: User 1: there is no link" in ended.stdout
    assert json.loads(told.stdout)["counts"] == dict.fromkeys(checker.KINDS, 0) | {"lost": 1}
    assert json.loads(told.stdout)["run"] == story.about()


def test_the_command_ends_with_two_where_there_is_nothing_to_judge(tmp_path: Path) -> None:
    ended = _command(tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "run.json cannot be read" in ended.stderr


# Who judges


def test_nothing_of_what_is_judged_is_imported() -> None:
    sources = [*(ROOT / "tests" / "chaos" / "checker").glob("*.py")]

    imported = {name for source in sources for name in _imports(ast.parse(source.read_text()))}

    own = {name for name in imported if not name.startswith("tests.chaos")}
    assert imported - own
    assert {name.partition(".")[0] for name in own} <= sys.stdlib_module_names


def test_nothing_of_what_is_judged_is_loaded() -> None:
    command = "import sys, tests.chaos.checker, tests.chaos.checker.__main__; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert "tests.chaos.checker.findings" in loaded
    assert {"kohort_sync", "django", "project"}.isdisjoint(name.partition(".")[0] for name in loaded)


def _imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert not node.level, "an import is absolute, so that it can be seen where it leads"
            names.add(node.module)
    return names


def test_a_large_run_is_judged_in_seconds(tmp_path: Path) -> None:
    story, clock = sound(), count(1)
    for user in range(10, 10_010):
        at = STARTED + next(clock) / 100
        story.becomes_customer(user, at=at)
        story.signs_up(at=at, seconds=0.01)
        for _ in range(9):
            story.works("PATCH", at=at + 2, row=row(user))
        story.breaks("delay", at=at, ended=at + 1)
    story.write(tmp_path)

    began = time.process_time()
    verdict = checker.check(tmp_path)
    took = time.process_time() - began

    assert verdict.sound, str(verdict)
    assert verdict.figures.requests > 100_000
    assert took < 20
