"""Writing back: what the database may do between a request and its note (rows 56 to 64)."""

from tests.mutants.mutant import Mutant

KEPT = "tests/databases/test_kept.py"
REQUESTS = "tests/databases/test_requests.py"
SERVERS = "tests/databases/test_servers.py"
MISHAPS = "tests/engine/test_mishaps.py"
PUSH = "tests/engine/test_push.py"
UPDATES = "tests/engine/test_updates.py"
MODELS = "tests/test_models.py"
REFERENCES = "tests/test_references.py"

MUTANTS = (
    Mutant(  # row 56
        name="what is about to be sent is not written down",
        module="kohort_sync/links/claiming.py",
        old="        write(rows, _INTENT_COLUMNS, token=batch.token, using=using)\n",
        new="",
        caught_by=(
            f"{MISHAPS}::test_a_database_that_goes_down_before_the_answer_is_noted_knows_what_was_asked",
        ),
    ),
    Mutant(  # row 57, and 50
        name="a customer that is found is not taken over",
        module="kohort_sync/delivery/outcomes.py",
        old="    if result.found:\n        return _found(result)\n",
        new="",
        caught_by=(
            f"{MISHAPS}::test_a_backup_from_before_the_creates_finds_its_customers_again",
            "tests/engine/test_outcomes.py::test_a_reference_that_is_taken_already_is_adopted_in_the_same_turn",
        ),
    ),
    Mutant(  # row 58
        name="a lost update is compared once",
        module="kohort_sync/delivery/outcomes.py",
        old="verify=True, look_again_at=again_at)",
        new="verify=True)",
        caught_by=(
            f"{UPDATES}::test_an_update_whose_answer_is_lost_is_compared_at_once_and_again_when_it_can_no_longer_arrive",
        ),
    ),
    Mutant(  # row 58
        name="a late worker asks for no look",
        module="kohort_sync/drainer/turn.py",
        old="        links.report_late(self.batch, late & self._allowed, using=self.using)\n",
        new="",
        caught_by=(f"{UPDATES}::test_a_worker_that_loses_its_row_while_it_waits_reports_late",),
    ),
    Mutant(  # row 59
        name="a transaction on SQLite begins with a read",
        module="kohort_sync/transactions.py",
        old='    "sqlite": f"UPDATE {CustomerLink._meta.db_table} SET crashes = crashes WHERE 0 = 1",'
        "  # noqa: S608 — our name\n",
        new='    "sqlite": "SELECT 1",\n',
        caught_by=(f"{KEPT}::test_a_stricter_level_of_the_host_stops_no_drainer",),
    ),
    Mutant(  # row 60
        name="the session says what time it is on MariaDB",
        module="kohort_sync/clock.py",
        old='        return "(UTC_TIMESTAMP(6) + INTERVAL %s SECOND)"',
        new='        return "(NOW(6) + INTERVAL %s SECOND)"',
        caught_by=(f"{SERVERS}::test_a_session_in_another_zone_of_mariadb_moves_no_moment[+09:00]",),
    ),
    Mutant(  # row 60
        name="the session says what time is asked on MariaDB",
        module="kohort_sync/clock.py",
        old="\"SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))\"",
        new="\"SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', NOW(6))\"",
        caught_by=(f"{SERVERS}::test_a_session_in_another_zone_of_mariadb_moves_no_moment[+09:00]",),
    ),
    Mutant(  # row 61
        name="a unique rule has a condition",
        module="kohort_sync/models/links.py",
        old='fields=["account", "user_pk"], name',
        new='fields=["account", "user_pk"], condition=Q(user_pk__isnull=False), name',
        caught_by=(f"{MODELS}::test_a_unique_rule_holds_on_every_database",),
    ),
    Mutant(  # row 61
        name="a reference is of both cases",
        module="kohort_sync/references.py",
        old="{secrets.token_hex(_RANDOM_BYTES)}",
        new="{secrets.token_urlsafe(24)}",
        caught_by=(f"{REFERENCES}::test_the_random_part_is_of_one_case_so_no_database_takes_two_for_one",),
    ),
    Mutant(  # row 62
        name="the engine works at the level of the host",
        module="kohort_sync/transactions.py",
        old="            cursor.execute(_BEGINS[connection.vendor])\n",
        new='            cursor.execute("SELECT 1")\n',
        caught_by=(
            f"{SERVERS}::test_the_engine_reads_what_is_committed_at_a_stricter_level_of_postgresql",
            f"{SERVERS}::test_the_engine_reads_what_is_committed_at_a_stricter_level_of_mariadb",
        ),
    ),
    Mutant(  # row 62
        name="an outcome forgets what was asked meanwhile",
        module="kohort_sync/links/settling.py",
        old="        if held[link.pk].desired_version != link.desired_version:\n",
        new="        if False:\n",
        caught_by=(f"{PUSH}::test_a_change_while_the_request_is_under_way_is_not_lost",),
    ),
    Mutant(  # row 63
        name="a transaction of the engine may be inside another one",
        module="kohort_sync/transactions.py",
        old="durable=True",
        new="durable=False",
        caught_by=(
            f"{REQUESTS}::test_inside_a_transaction_nothing_is_asked_of_the_database_nor_sent",
            f"{REQUESTS}::test_a_page_cannot_drain_and_leaves_nothing",
        ),
    ),
    Mutant(  # row 64
        name="a dead session is used",
        module="kohort_sync/transactions.py",
        old="        connection.close()\n",
        new="        pass\n",
        caught_by=(f"{SERVERS}::test_a_session_that_the_server_has_ended_is_opened_anew_before_a_drain",),
    ),
)
