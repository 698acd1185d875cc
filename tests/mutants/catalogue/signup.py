"""Sign-up: the row in the user's transaction, the message after it, who makes no row (rows 1 to 10)."""

from tests.mutants.mutant import Mutant

COMMIT = "tests/broker/test_commit.py"
FAILING = "tests/broker/test_failing.py"
NUDGE = "tests/broker/test_nudge.py"
ALIASES = "tests/databases/test_aliases.py"
RACES = "tests/databases/test_races.py"
CHECKS = "tests/edges/test_checks.py"
OUTAGE = "tests/engine/test_outage.py"
UPDATES = "tests/engine/test_updates.py"
TRANSACTIONS = "tests/signup/test_transactions.py"
SWEEP = "tests/test_sweep.py"

MUTANTS = (
    Mutant(  # row 1
        name="a message goes out before the commit (row)",
        module="kohort_sync/tasks.py",
        old="        transaction.on_commit(wake, using=using, robust=True)\n",
        new="        wake()\n",
        caught_by=(
            f"{TRANSACTIONS}::test_a_message_goes_out_after_the_commit_and_not_before",
            f"{TRANSACTIONS}::test_a_sign_up_that_is_rolled_back_leaves_nothing",
        ),
    ),
    Mutant(  # rows 2 and 5
        name="the row is made after the commit",
        module="kohort_sync/services/noting.py",
        old="    links.record([user], accounts=keys, using=using, work_class=WorkClass.SIGNUP)\n",
        new="    from django.db import transaction\n\n"
        "    transaction.on_commit(\n"
        "        lambda: links.record([user], accounts=keys, using=using, work_class=WorkClass.SIGNUP)\n"
        "    )\n",
        caught_by=(
            f"{COMMIT}::test_whoever_signs_up_where_our_callback_never_runs_is_found_by_the_sweep[raises]",
            f"{COMMIT}::test_whoever_signs_up_where_our_callback_never_runs_is_found_by_the_sweep[is killed]",
        ),
    ),
    Mutant(  # row 3
        name="a broker's fault is the caller's",
        module="kohort_sync/tasks.py",
        old="except Exception as failure:  # noqa: BLE001 — whatever a broker raises, a sign-up",
        new="except ImportError as failure:  #",
        caught_by=(f"{FAILING}::test_a_broker_that_fails_costs_one_short_wait",),
    ),
    Mutant(  # rows 3 and 4
        name="a publish is waited for however long it takes",
        module="kohort_sync/tasks.py",
        old="    thread.join(_PATIENCE)\n",
        new="    thread.join()\n",
        caught_by=(f"{FAILING}::test_a_name_server_that_does_not_answer_costs_one_short_wait",),
    ),
    Mutant(  # row 4
        name="a broken broker is asked at each sign-up",
        module="kohort_sync/tasks.py",
        old="_BROKEN_FOR = 30.0\n",
        new="_BROKEN_FOR = 0.0\n",
        caught_by=(f"{NUDGE}::test_after_a_failure_nothing_is_published_for_a_while_and_then_again",),
    ),
    Mutant(  # row 6
        name="the sweep looks for nobody without a row",
        module="kohort_sync/sweep.py",
        old="        found = sum(record_missing(account.key, limit=None, using=using))\n",
        new="        pass\n",
        caught_by=(f"{SWEEP}::test_users_of_a_covered_account_are_found",),
    ),
    Mutant(  # row 6
        name="the sweep marks nobody who has changed",
        module="kohort_sync/sweep.py",
        old="    return links.mark_found(changed, using=using)\n",
        new="    return len(changed)\n",
        caught_by=(f"{UPDATES}::test_a_change_that_no_signal_announced_is_found_by_the_sweep",),
    ),
    Mutant(  # row 7
        name="a row is kept no longer than the history",
        module="kohort_sync/retention.py",
        old="    mirror.scrub(found, using=using)\n",
        new="    mirror.scrub(found, using=using)\n"
        "    CustomerLink.objects.using(using).filter(account=account, created_at__lt=before).delete()\n",
        caught_by=(f"{OUTAGE}::test_who_waits_for_longer_than_anything_is_kept_is_sent_all_the_same",),
    ),
    Mutant(  # row 8
        name="fixtures are heard (row)",
        module="kohort_sync/receivers.py",
        old="    if raw or context.is_paused() or not conf.accounts():\n        return\n    if update_fields",
        new="    if context.is_paused() or not conf.accounts():\n        return\n    if update_fields",
        caught_by=(
            f"{TRANSACTIONS}::test_fixtures_are_not_heard",
            f"{TRANSACTIONS}::test_fixtures_that_are_loaded_under_a_live_key_send_nobody",
        ),
    ),
    Mutant(  # row 9
        name="whoever makes a row second fails",
        module="kohort_sync/links/rows.py",
        old="    ops, ignore = connections[using].ops, OnConflict.IGNORE\n",
        new="    ops, ignore = connections[using].ops, None\n",
        caught_by=(f"{RACES}::test_two_who_promise_the_same_user_make_one_row",),
    ),
    Mutant(  # row 10
        name="rows may live in another database than the users",
        module="kohort_sync/checks.py",
        old="        for elsewhere in sorted(rows - {users})\n",
        new="        for elsewhere in sorted(rows - rows)\n",
        caught_by=(
            f"{CHECKS}::test_links_in_another_database_than_the_users_are_reported",
            f"{ALIASES}::test_rows_that_cannot_share_the_transaction_of_the_users_are_an_error",
            f"{ALIASES}::test_users_who_moved_alone_are_an_error",
        ),
    ),
)
