"""Sweeping: who looks for what nobody announced, and what becomes of it (rows 26 to 29)."""

from tests.mutants.mutant import Mutant

RACES = "tests/databases/test_races.py"
DOCTOR = "tests/edges/commands/test_doctor.py"
RUNNING = "tests/edges/commands/test_running.py"
STORING = "tests/databases/test_storing.py"
STATUS = "tests/edges/commands/test_status.py"
ADMIN = "tests/edges/test_admin.py"
FAIRNESS = "tests/engine/test_fairness.py"
POISON = "tests/engine/test_poison.py"
SWEEP = "tests/test_sweep.py"

MUTANTS = (
    Mutant(  # row 26
        name="whoever is promised twice fails",
        module="kohort_sync/links/rows.py",
        old="    ops, ignore = connections[using].ops, OnConflict.IGNORE\n",
        new="    ops, ignore = connections[using].ops, None\n",
        caught_by=(
            f"{STORING}::test_whoever_has_a_row_keeps_it_and_is_not_counted",
            f"{RACES}::test_a_sweep_and_whoever_asks_for_the_same_users_make_one_row_each",
        ),
    ),
    Mutant(  # row 26
        name="a row is claimed that somebody else has",
        module="kohort_sync/links/claiming.py",
        old="    free = Q(lease_until=None) | Q(lease_until__lte=now)\n",
        new="    free = Q()\n",
        caught_by=(f"{RACES}::test_two_who_claim_never_get_the_same_row",),
    ),
    Mutant(  # row 27
        name="nobody says that nothing sweeps",
        module="kohort_sync/queries.py",
        old="    return bool(since) and now - since > timedelta(seconds=conf.late_sweep_seconds())\n",
        new="    return False\n",
        caught_by=(
            f"{STATUS}::test_status_says_that_nothing_has_swept_for_long",
            f"{DOCTOR}::test_a_sweep_that_is_overdue_is_found",
            f"{ADMIN}::test_a_sweep_that_is_long_overdue_is_said_in_words_with_what_to_do",
        ),
    ),
    Mutant(  # row 27
        name="only beat sweeps",
        module="kohort_sync/management/verbs/drain.py",
        old="                services.find_missing(account)\n",
        new="",
        caught_by=(f"{RUNNING}::test_drain_of_cron_sweeps_where_no_beat_does",),
    ),
    Mutant(  # row 27
        name="a sweep leaves no trace",
        module="kohort_sync/sweep.py",
        old="    Account.objects.using(using).filter(pk=account.key).update(last_sweep_at=now)\n",
        new="",
        caught_by=(f"{SWEEP}::test_the_task_of_beat_sweeps_every_account",),
    ),
    Mutant(  # row 28
        name="the lowest class goes first",
        module="kohort_sync/drainer/draining.py",
        old="        if (self.claims + 1) % _LOWEST_FIRST_EVERY == 0:\n",
        new="        if (self.claims + 1) % _LOWEST_FIRST_EVERY:\n",
        caught_by=(f"{FAIRNESS}::test_new_sign_ups_go_before_all_who_have_failed",),
    ),
    Mutant(  # row 29
        name="a sweep begins again where it was killed",
        module="kohort_sync/sweep.py",
        old="    Account.objects.using(using).filter(pk=row.key).update(sweep_position=position)\n",
        new="",
        caught_by=("tests/engine/test_updates.py::test_all_users_are_compared_once_a_day_a_slice_at_a_time",),
    ),
)
