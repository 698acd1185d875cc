"""Poison: workers that come back too late, and rows that end their process (rows 21 to 25)."""

from tests.mutants.mutant import Mutant

TRANSPORT = "tests/client/test_transport.py"
OUTCOMES = "tests/engine/test_outcomes.py"
POISON = "tests/engine/test_poison.py"
PUSH = "tests/engine/test_push.py"
MATRIX = "tests/failpoints/test_matrix.py"
EACH_USER = "test_each_user_ends_with_one_customer_and_equal_data_or_is_erased"

MUTANTS = (
    Mutant(  # row 21
        name="nobody asks whether the lease lasts as long as a call",
        module="kohort_sync/drainer/turn.py",
        old=" and self.batch.has_time_for(seconds)\n",
        new="\n",
        caught_by=("tests/engine/test_guards.py::test_nothing_is_sent_for_which_the_lease_might_not_last",),
    ),
    Mutant(  # row 21
        name="an outcome is written without the lease",
        module="kohort_sync/links/settling.py",
        old=".filter(lease_token=batch.token)\n    held = hold(",
        new=".all()\n    held = hold(",
        caught_by=(f"{PUSH}::test_a_stale_batch_can_write_nothing",),
    ),
    Mutant(  # row 21
        name="something is intended without the lease",
        module="kohort_sync/links/claiming.py",
        old="filter(lease_token=batch.token, lease_until__gt=now + lasts)",
        new="all()",
        caught_by=(f"{PUSH}::test_a_stale_batch_can_write_nothing",),
    ),
    Mutant(  # row 22
        name="a function of the site that raises is a fault of ours",
        module="kohort_sync/delivery/planning.py",
        old="    except (Exception, SystemExit) as failure:  # noqa: BLE001 — the host",
        new="    except SystemExit as failure:  #",
        caught_by=(
            f"{POISON}::test_one_row_whose_function_raises_among_a_hundred_is_listed_and_in_the_end_parked",
            f"{PUSH}::test_one_failing_function_of_the_site_holds_up_nobody",
        ),
    ),
    Mutant(  # row 22
        name="a fault of ours in one row ends the batch",
        module="kohort_sync/drainer/turn.py",
        old="        raise _Fault from None\n",
        new="        raise\n",
        caught_by=(f"{OUTCOMES}::test_a_fault_of_ours_in_one_row_stops_nobody",),
    ),
    Mutant(  # row 22
        name="a row that always fails is tried for ever",
        module="kohort_sync/delivery/settlements.py",
        old="    if charged and alone and retry.is_hopeless(",
        new="    if False and retry.is_hopeless(",
        caught_by=(
            f"{POISON}::test_one_row_whose_function_raises_among_a_hundred_is_listed_and_in_the_end_parked",
        ),
    ),
    Mutant(  # row 23
        name="a row that may have killed is claimed with others",
        module="kohort_sync/links/claiming.py",
        old=(
            "[oldest]\n                if suspect\n                "
            "else [key for key, held, crashes in found if not _is_suspect(held, crashes)]\n"
        ),
        new="[key for key, _, _ in found]\n",
        caught_by=(f"{PUSH}::test_a_lease_that_was_lost_makes_the_row_claimable_again_and_alone",),
    ),
    Mutant(  # row 23
        name="a lost lease is not counted",
        module="kohort_sync/links/claiming.py",
        old='        "crashes": link.crashes + 1,\n',
        new="",
        caught_by=(
            f"{POISON}::test_a_row_that_was_parked_for_killing_is_taken_up_alone_and_costs_one_process_a_day",
        ),
    ),
    Mutant(  # row 23
        name="a row may kill as often as it likes",
        module="kohort_sync/delivery/planning.py",
        old="    if link.crashes > retry.MOST_CRASHES:\n",
        new="    if False:\n",
        caught_by=(
            f"{POISON}::test_a_row_that_was_parked_for_killing_is_taken_up_alone_and_costs_one_process_a_day",
        ),
    ),
    Mutant(  # row 24
        name="threads share what they work for",
        module="kohort_sync/client/sockets.py",
        old="class _Current(threading.local):\n",
        new="class _Current:\n",
        caught_by=(f"{TRANSPORT}::test_threads_share_one_transport",),
    ),
    Mutant(  # row 25
        name="a child process uses the connections of its parent",
        module="kohort_sync/client/transport.py",
        old="        pid = os.getpid()\n",
        new="        pid = 0\n",
        caught_by=(
            f"{TRANSPORT}::test_a_child_process_opens_its_own_connection_and_leaves_the_parents_alone",
        ),
    ),
)
