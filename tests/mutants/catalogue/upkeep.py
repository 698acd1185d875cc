"""Upkeep: people, upgrades, outages and what is told about anybody (rows 74 to 78)."""

from tests.mutants.mutant import Mutant

ERRORS = "tests/client/test_errors.py"
RACES = "tests/databases/test_races.py"
ADMIN = "tests/edges/test_admin.py"
GATE = "tests/engine/test_gate.py"
OUTAGE = "tests/engine/test_outage.py"
PUSH = "tests/engine/test_push.py"
TRACES = "tests/engine/test_traces.py"
MIGRATIONS = "tests/test_migrations.py"
SERVICES = "tests/test_services.py"

MUTANTS = (
    Mutant(  # rows 13 and 74
        name="two drain one account",
        module="kohort_sync/gate.py",
        old="            .filter(free, pk=key)\n",
        new="            .filter(pk=key)\n",
        caught_by=(
            f"{RACES}::test_one_of_two_drainers_gets_the_lease",
            f"{PUSH}::test_a_second_drainer_of_the_account_does_nothing",
        ),
    ),
    Mutant(  # row 75
        name="whoever may look may ask for a resync",
        module="kohort_sync/admin/pages.py",
        old='@admin.action(description=_("Resync selected users with KohortPay"), permissions=["resync"])',
        new='@admin.action(description=_("Resync selected users with KohortPay"))',
        caught_by=(f"{ADMIN}::test_a_viewer_neither_sees_the_button_nor_can_press_it",),
    ),
    Mutant(  # row 75
        name="each marked row is a transaction",
        module="kohort_sync/links/rows.py",
        old="_MANY = 100\n",
        new="_MANY = 1\n",
        caught_by=(f"{SERVICES}::test_a_resync_of_thousands_costs_a_few_statements_for_each_hundred",),
    ),
    Mutant(  # row 76
        name="a state of a newer version is taken for none",
        module="kohort_sync/links/claiming.py",
        old="next_attempt_at__lte=now, state__in=State.values\n",
        new="next_attempt_at__lte=now\n",
        caught_by=(f"{MIGRATIONS}::test_a_state_of_a_newer_version_is_left_alone",),
    ),
    Mutant(  # row 76
        name="a new column has no default in the database",
        module="kohort_sync/migrations/0002_removal_retries_and_decisions.py",
        old='field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="failures in a row")',
        new='field=models.PositiveIntegerField(default=0, verbose_name="failures in a row")',
        caught_by=(f"{MIGRATIONS}::test_whoever_does_not_know_a_new_column_can_insert_all_the_same",),
    ),
    Mutant(  # row 77
        name="everything is sent at once after an outage",
        module="kohort_sync/drainer/watch.py",
        old="        return usual if self._opening is None else min(usual, self._opening)\n",
        new="        return usual\n",
        caught_by=(
            f"{OUTAGE}::test_after_six_hours_of_outage_everybody_is_sent_gently_and_nobody_was_given_up",
            f"{GATE}::test_the_gate_opens_for_one_row_then_two_then_four",
        ),
    ),
    Mutant(  # row 77
        name="a closed gate is opened by the next row",
        module="kohort_sync/drainer/draining.py",
        old=(
            "            if now.probe_first:\n                self._take_leave()\n"
            "                self.line.probe()\n"
        ),
        new="",
        caught_by=(
            f"{OUTAGE}::test_after_six_hours_of_outage_everybody_is_sent_gently_and_nobody_was_given_up",
        ),
    ),
    Mutant(  # row 78
        name="an error repeats what the service said",
        module="kohort_sync/client/refusals.py",
        old="    talk = redaction.redact(messages.text, known=_personal_texts(about))\n",
        new="    talk = messages.text\n",
        caught_by=("tests/client/test_customers.py::test_what_the_service_said_is_kept_without_the_person",),
    ),
    Mutant(  # row 78
        name="a failure of the site is logged with its traceback",
        module="kohort_sync/delivery/planning.py",
        old="        where(failure),\n        extra=",
        new="        where(failure),\n        exc_info=failure,\n        extra=",
        caught_by=(f"{TRACES}::test_no_log_no_address_and_no_history_tells_the_key_or_the_person",),
    ),
)
