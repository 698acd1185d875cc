"""Worker: its ends, asked for or not (rows 18 to 20)."""

from tests.mutants.mutant import Mutant

PROCESSES = "tests/edges/commands/test_processes.py"
PUSH = "tests/engine/test_push.py"

MUTANTS = (
    Mutant(  # rows 18 and 19
        name="a lease that was lost never ends",
        module="kohort_sync/links/claiming.py",
        old="    free = Q(lease_until=None) | Q(lease_until__lte=now)\n",
        new="    free = Q(lease_until=None)\n",
        caught_by=(f"{PUSH}::test_a_lease_that_was_lost_makes_the_row_claimable_again_and_alone",),
    ),
    Mutant(  # row 20
        name="a signal ends a drain at once",
        module="kohort_sync/management/verbs/console.py",
        old="        signal.signal(each, stop_politely)\n",
        new="        pass\n",
        caught_by=(f"{PROCESSES}::test_drain_forever_sends_until_a_signal_ends_it",),
    ),
)
