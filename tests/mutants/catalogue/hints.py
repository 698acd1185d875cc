"""Hints: the row beside the user, the hint after the commit, and the sweep that needs neither."""

from tests.mutants.mutant import Mutant

_RECEIVERS = "kohort_sync/receivers.py"
_TASKS = "kohort_sync/tasks.py"
_SWEEP = "kohort_sync/sweep.py"
_RECORDING = "kohort_sync/links/recording.py"
_TRANSACTIONS = "kohort_sync/transactions.py"
_ROWS = "kohort_sync/links/rows.py"

_IN_ACCOUNT = "tests/engine/test_account.py::test"
_IN_ATTACKS = "tests/engine/test_attacks.py::test"
_IN_BEFORE_MIGRATION = "tests/signup/test_before_migration.py::test"
_IN_FAILING = "tests/broker/test_failing.py::test"
_IN_KEPT = "tests/databases/test_kept.py::test"
_IN_MODELS = "tests/signup/test_models.py::test"
_IN_NUDGE = "tests/broker/test_nudge.py::test"
_IN_PAUSED = "tests/signup/test_paused.py::test"
_IN_POISON = "tests/engine/test_poison.py::test"
_IN_PUSH = "tests/engine/test_push.py::test"
_IN_RACES = "tests/databases/test_races.py::test"
_IN_STATEMENT = "tests/signup/test_statement.py::test"
_IN_SWEEP = "tests/test_sweep.py::test"
_IN_TRANSACTIONS = "tests/signup/test_transactions.py::test"
_IN_UPDATES = "tests/engine/test_updates.py::test"

_SIGN_UPS = (
    Mutant(
        name="fixtures are heard",
        module=_RECEIVERS,
        old=(
            "    if raw or context.is_paused() or not conf.accounts():\n        return\n    if update_fields"
        ),
        new="    if context.is_paused() or not conf.accounts():\n        return\n    if update_fields",
        caught_by=(f"{_IN_TRANSACTIONS}_fixtures_are_not_heard",),
    ),
    Mutant(
        name="a pause is passed over",
        module=_RECEIVERS,
        old=(
            "    if raw or context.is_paused() or not conf.accounts():\n        return\n    if update_fields"
        ),
        new="    if raw or not conf.accounts():\n        return\n    if update_fields",
        caught_by=(f"{_IN_PAUSED}_users_who_are_saved_in_a_pause_get_no_row",),
    ),
    Mutant(
        name="every save makes a row",
        module=_RECEIVERS,
        old="        if created:\n            services.promise(instance, using=using)\n",
        new="        services.promise(instance, using=using)\n",
        caught_by=(f"{_IN_TRANSACTIONS}_a_save_of_a_user_without_a_link_makes_none",),
    ),
    Mutant(
        name="a log-in is a change",
        module=_RECEIVERS,
        old="if update_fields is not None and update_fields <= _NEVER_SENT:",
        new="if False:",
        caught_by=(f"{_IN_TRANSACTIONS}_a_log_in_marks_nothing_and_wakes_nobody",),
    ),
    Mutant(
        name="a sign-up before the migration fails",
        module=_RECEIVERS,
        old="    except DatabaseError as failure:\n",
        new="    except ZeroDivisionError as failure:\n",
        caught_by=(
            f"{_IN_BEFORE_MIGRATION}_a_sign_up_before_the_migration_succeeds_with_one_line_in_the_log",
        ),
    ),
    Mutant(
        name="no savepoint around the first insert",
        module=_RECEIVERS,
        old="        with transaction.atomic(using=using):\n            write()\n",
        new="        write()\n",
        caught_by=(
            f"{_IN_BEFORE_MIGRATION}_a_sign_up_before_the_migration_succeeds_with_one_line_in_the_log",
        ),
        database="postgresql",
    ),
    Mutant(
        name="every insert has a savepoint",
        module=_RECEIVERS,
        old="        _proven.add(using)\n",
        new="        pass\n",
        caught_by=(f"{_IN_STATEMENT}_a_sign_up_costs_one_insert_and_no_look_up",),
    ),
    Mutant(
        name="a user who went keeps the key",
        module=_RECORDING,
        old='        "user_pk": None,\n        "user": None,\n',
        new='        "user": None,\n',
        caught_by=(f"{_IN_MODELS}_a_deletion_through_any_class_of_users_frees_the_key",),
    ),
    Mutant(
        name="a row with the same key fails the sign-up",
        module="kohort_sync/links/rows.py",
        old="    ops, ignore = connections[using].ops, OnConflict.IGNORE\n",
        new="    ops, ignore = connections[using].ops, None\n",
        caught_by=(f"{_IN_TRANSACTIONS}_a_stale_row_with_the_same_key_never_fails_the_sign_up",),
    ),
    Mutant(
        name="no re-arming when the data changes",
        module=_RECORDING,
        old=(
            '        "desired_version": F("desired_version") + 1,\n'
            '        "next_attempt_at": clock.DatabaseNow(),\n'
            '        "work_class": work_class,\n'
        ),
        new='        "desired_version": F("desired_version") + 1,\n        "work_class": work_class,\n',
        caught_by=(f"{_IN_PUSH}_data_that_the_service_would_refuse_is_never_sent_and_comes_back_corrected",),
    ),
    Mutant(
        name="a change makes no new version",
        module=_RECORDING,
        old=(
            '        "desired_version": F("desired_version") + 1,\n'
            '        "next_attempt_at": clock.DatabaseNow(),\n'
            '        "work_class": work_class,\n'
        ),
        new='        "next_attempt_at": clock.DatabaseNow(),\n        "work_class": work_class,\n',
        caught_by=(f"{_IN_TRANSACTIONS}_other_fields_beside_the_password_are_a_change",),
    ),
    Mutant(
        name="a change takes up whoever was left out",
        module=_RECORDING,
        old="return links.exclude(state__in=[*FINAL, State.ERASING]).update(**changed(work_class))",
        new="return links.update(**changed(work_class))",
        caught_by=(f"{_IN_ACCOUNT}_a_change_takes_up_nobody_who_was_left_out_or_is_being_erased",),
    ),
)

_HINTS = (
    Mutant(
        name="a message goes out before the commit",
        module=_TASKS,
        old="        transaction.on_commit(wake, using=using, robust=True)\n",
        new="        wake()\n",
        caught_by=(f"{_IN_TRANSACTIONS}_a_message_goes_out_after_the_commit_and_not_before",),
    ),
    # Its twin is the broad except in nudge.
    Mutant(
        name="not robust",
        module=_TASKS,
        old="transaction.on_commit(wake, using=using, robust=True)",
        new="transaction.on_commit(wake, using=using)",
        caught_by=(f"{_IN_NUDGE}_a_fault_of_ours_after_the_commit_fails_no_sign_up",),
    ),
    Mutant(
        name="a fault of the broker fails a sign-up",
        module=_TASKS,
        old="        except Exception as failure:  # noqa: BLE001 — whatever a broker raises, a sign-up",
        new="        except ValueError as failure:  # noqa: BLE001 — whatever a broker raises, a sign-up",
        caught_by=(f"{_IN_NUDGE}_a_broker_address_that_makes_no_sense_raises_nothing",),
    ),
    Mutant(
        name="a site that commits by hand cannot sign up",
        module=_TASKS,
        old="    with suppress(transaction.TransactionManagementError):\n        transaction",
        new="    if True:\n        transaction",
        caught_by=(f"{_IN_TRANSACTIONS}_a_site_that_commits_by_hand_can_sign_up",),
    ),
    Mutant(
        name="no suppression after a failure",
        module=_TASKS,
        old="            self._broken_until = time.monotonic() + _BROKEN_FOR\n",
        new="            pass\n",
        caught_by=(f"{_IN_NUDGE}_after_a_failure_nothing_is_published_for_a_while_and_then_again",),
    ),
    Mutant(
        name="a failed publish opens a window",
        module=_TASKS,
        old="            self._last.pop(alias, None)\n",
        new="            pass\n",
        caught_by=(f"{_IN_NUDGE}_a_failed_publish_opens_no_window",),
    ),
    Mutant(
        name="every sign-up is a message",
        module=_TASKS,
        old=" or now - self._last.get(alias, -_WINDOW) < _WINDOW:",
        new=":",
        caught_by=(f"{_IN_NUDGE}_an_account_is_announced_once_a_second",),
    ),
    Mutant(
        name="all accounts share a window",
        module=_TASKS,
        old="            self._last[alias] = now\n",
        new='            self._last = dict.fromkeys([*self._last, alias, "two"], now)\n',
        caught_by=(f"{_IN_NUDGE}_each_account_has_its_own_second",),
    ),
    Mutant(
        name="a worker does not notice that the broker is back",
        module=_TASKS,
        old="    _wakeups.heard()\n    for alias",
        new="    for alias",
        caught_by=(f"{_IN_NUDGE}_a_worker_that_gets_a_message_knows_that_the_broker_is_back",),
    ),
    Mutant(
        name="a fork inherits a lock that nobody gives back",
        module=_TASKS,
        old="os.register_at_fork(after_in_child=_wakeups.forget)\n",
        new="",
        caught_by=(f"{_IN_NUDGE}_a_child_process_has_seconds_of_its_own",),
    ),
    Mutant(
        name="tasks that run at once are nudged",
        module=_TASKS,
        old="and not current_app.conf.task_always_eager and",
        new="and",
        caught_by=(f"{_IN_NUDGE}_nothing_is_published_nor_run_where_tasks_run_at_once",),
    ),
    Mutant(
        name="a message lives for ever",
        module=_TASKS,
        old="connection=connection, expires=_HINT_EXPIRES, retry=False",
        new="connection=connection, retry=False",
        caught_by=(f"{_IN_NUDGE}_a_message_names_the_account_and_nothing_else",),
    ),
    Mutant(
        name="a broker is waited for as long as it likes",
        module=_TASKS,
        old="    thread.join(_PATIENCE)\n",
        new="    thread.join()\n",
        caught_by=(f"{_IN_FAILING}_a_name_server_that_does_not_answer_costs_one_short_wait",),
    ),
    Mutant(
        name="work that is left waits for the sweep",
        module=_TASKS,
        old="    if drainer.drain(alias).work_left:\n",
        new="    if not drainer.drain(alias):\n",
        caught_by=(f"{_IN_NUDGE}_a_drain_that_leaves_work_wakes_another",),
    ),
    Mutant(
        name="a sweep that finds work wakes nobody",
        module=_TASKS,
        old="        if links.any_due(account=account.key, using=using) or ",
        new="        if ",
        caught_by=(f"{_IN_NUDGE}_a_worker_that_gets_a_message_knows_that_the_broker_is_back",),
    ),
)

_SWEEPS = (
    Mutant(
        name="nobody is looked for whom no signal announced",
        module=_SWEEP,
        old="        found = sum(record_missing(account.key, limit=None, using=using))\n",
        new="        found = 0\n",
        caught_by=(f"{_IN_SWEEP}_users_of_a_covered_account_are_found",),
    ),
    Mutant(
        name="a site's past is sent because the app was installed",
        module=_SWEEP,
        old="    if row.covered_at is not None:\n",
        new="    if True:\n",
        caught_by=(f"{_IN_SWEEP}_users_of_an_account_that_nobody_covered_are_counted_and_not_taken",),
    ),
    Mutant(
        name="users who went unheard keep their keys",
        module=_SWEEP,
        old="    forget_gone(account.key, using=using)\n    found",
        new="    found",
        caught_by=(f"{_IN_SWEEP}_users_who_went_unheard_set_their_keys_free",),
    ),
    Mutant(
        name="changes that no signal announced are never found",
        module=_SWEEP,
        old="        compare_slice(row, seconds=seconds, using=using)\n",
        new="        pass\n",
        caught_by=(f"{_IN_UPDATES}_a_change_that_no_signal_announced_is_found_by_the_sweep",),
    ),
    Mutant(
        name="customers that nobody has seen for long are not compared",
        module=_SWEEP,
        old="    verify_oldest(account.key, seconds=seconds, using=using)\n",
        new="",
        caught_by=(f"{_IN_UPDATES}_a_customer_that_was_not_seen_for_a_month_is_compared",),
    ),
    Mutant(
        name="a function that kills the sweep kills every sweep",
        module=_SWEEP,
        old=(
            "    Account.objects.using(using).filter(pk=row.key).update(sweep_position=position)\n"
            "    resting = [link for link in slice_ if link.state in _COMPARED and "
            "link.next_attempt_at is None]\n"
            "    users = get_user_model()._base_manager.using(using).in_bulk([link.user_id for "
            "link in resting])\n"
            "    changed = [link.pk for link in resting if _has_changed(link, "
            "users.get(link.user_id))]\n"
        ),
        new=(
            "    resting = [link for link in slice_ if link.state in _COMPARED and "
            "link.next_attempt_at is None]\n"
            "    users = get_user_model()._base_manager.using(using).in_bulk([link.user_id for "
            "link in resting])\n"
            "    changed = [link.pk for link in resting if _has_changed(link, "
            "users.get(link.user_id))]\n"
            "    Account.objects.using(using).filter(pk=row.key).update(sweep_position=position)\n"
        ),
        caught_by=(
            f"{_IN_POISON}_a_row_that_kills_the_sweep_does_so_once_a_day_and_the_rest_of_the_sweep_is_done",
        ),
    ),
    Mutant(
        name="a function that leaves ends the sweep",
        module=_SWEEP,
        old="    except (Exception, SystemExit):",
        new="    except Exception:",
        caught_by=(f"{_IN_ACCOUNT}_a_function_that_ends_the_process_politely_does_not_end_the_sweep",),
    ),
    Mutant(
        name="the sweep marks what is due already",
        module=_RECORDING,
        old=(
            "resting = CustomerLink.objects.using(using).filter(next_attempt_at=None, "
            'lease_token="")\n'
            "    return _mark(resting, keys, using=using, **changed"
        ),
        new=(
            'resting = CustomerLink.objects.using(using).filter(lease_token="")\n'
            "    return _mark(resting, keys, using=using, **changed"
        ),
        caught_by=(f"{_IN_ACCOUNT}_what_is_being_sent_or_due_is_not_marked_as_found",),
    ),
    Mutant(
        name="the sweep marks what is being sent",
        module=_RECORDING,
        old=(
            'filter(next_attempt_at=None, lease_token="")\n'
            "    return _mark(resting, keys, using=using, **changed"
        ),
        new="filter(next_attempt_at=None)\n    return _mark(resting, keys, using=using, **changed",
        caught_by=(f"{_IN_ACCOUNT}_what_is_being_sent_or_due_is_not_marked_as_found",),
    ),
    Mutant(
        name="an address freed in one account is tried in all",
        module=_RECORDING,
        old='        account=account, state=State.CONFLICT, conflict_kind="email_in_use"',
        new='        state=State.CONFLICT, conflict_kind="email_in_use"',
        caught_by=(f"{_IN_ACCOUNT}_an_address_that_is_freed_in_one_account_is_tried_again_there_alone",),
    ),
)

_LOCKS = (
    Mutant(
        name="not durable",
        module=_TRANSACTIONS,
        old="transaction.atomic(using=using, durable=True)",
        new="transaction.atomic(using=using)",
        caught_by=(f"{_IN_PUSH}_nothing_is_sent_inside_a_transaction",),
    ),
    Mutant(
        name="the engine works with autocommit off",
        module=_TRANSACTIONS,
        old="    if not connection.in_atomic_block and not connection.get_autocommit():\n",
        new="    if False:\n",
        caught_by=(f"{_IN_ATTACKS}_nothing_is_sent_with_autocommit_off",),
    ),
    Mutant(
        name="a read that becomes a write on SQLite",
        module=_TRANSACTIONS,
        old="UPDATE {CustomerLink._meta.db_table} SET crashes = crashes WHERE 0 = 1",
        new="SELECT * FROM {CustomerLink._meta.db_table} WHERE 0 = 1",
        caught_by=(f"{_IN_KEPT}_a_stricter_level_of_the_host_stops_no_drainer",),
    ),
    Mutant(
        name="the host's isolation on PostgreSQL",
        module=_TRANSACTIONS,
        old='"postgresql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"',
        new='"postgresql": "SELECT 1"',
        caught_by=(f"{_IN_KEPT}_a_transaction_of_the_engine_sees_what_is_committed_meanwhile",),
        database="postgresql",
    ),
    Mutant(
        name="the host's isolation on MariaDB",
        module=_TRANSACTIONS,
        old='"mysql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"',
        new='"mysql": "SELECT 1"',
        caught_by=(f"{_IN_KEPT}_a_transaction_of_the_engine_sees_what_is_committed_meanwhile",),
        database="mariadb",
    ),
    Mutant(
        name="a dead session is used again",
        module=_TRANSACTIONS,
        old="        connection.close()\n",
        new="        pass\n",
        caught_by=(f"{_IN_KEPT}_a_session_that_ended_while_nothing_was_asked_is_opened_anew",),
        database="postgresql",
    ),
    Mutant(
        name="a lock is waited for under another on PostgreSQL",
        module=_ROWS,
        old="rows.select_for_update(skip_locked=True)",
        new="rows.select_for_update()",
        caught_by=(f"{_IN_KEPT}_rows_are_written_past_one_between_them_that_the_site_holds",),
        database="postgresql",
    ),
    Mutant(
        name="a lock is waited for under another on MariaDB",
        module=_ROWS,
        old="rows.select_for_update(skip_locked=True)",
        new="rows.select_for_update()",
        caught_by=(f"{_IN_KEPT}_rows_are_written_past_one_between_them_that_the_site_holds",),
        database="mariadb",
    ),
    Mutant(
        name="nothing is locked before it is claimed",
        module=_ROWS,
        old="return rows.select_for_update(skip_locked=True)",
        new="return rows",
        caught_by=(f"{_IN_RACES}_two_who_claim_never_get_the_same_row",),
        database="postgresql",
    ),
    Mutant(
        name="thousands of rows in one transaction",
        module=_ROWS,
        old="_MANY = 100",
        new="_MANY = 100_000",
        caught_by=(f"{_IN_KEPT}_a_site_waits_for_nothing_while_thousands_are_marked",),
        database="postgresql",
    ),
    Mutant(
        name="rows are made in the order of the caller",
        module="kohort_sync/links/storing.py",
        old="sorted({field.to_python(key) for key in keys})",
        new="list({field.to_python(key): None for key in keys})",
        caught_by=(
            f"{_IN_KEPT}_two_who_ask_in_several_statements_of_one_transaction_never_wait_in_a_circle",
        ),
        database="postgresql",
    ),
)

MUTANTS = (
    *_SIGN_UPS,
    *_HINTS,
    *_SWEEPS,
    *_LOCKS,
)
