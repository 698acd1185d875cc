"""Broker: messages that are lost, repeated, late or cut off (rows 11 to 17; row 13 is in `upkeep`)."""

from tests.mutants.mutant import Mutant

MESSAGES = "tests/broker/test_messages.py"
NUDGE = "tests/broker/test_nudge.py"
POOLS = "tests/broker/test_pools.py"
RACES = "tests/databases/test_races.py"

MUTANTS = (
    Mutant(  # rows 11 and 12
        name="a sweep wakes nobody for what is due",
        module="kohort_sync/tasks.py",
        old="        if links.any_due(account=account.key, using=using) or ",
        new="        if ",
        caught_by=(
            f"{MESSAGES}::test_people_whose_messages_are_lost_are_found_by_the_sweep",
            f"{MESSAGES}::test_people_whose_message_died_with_the_worker_that_fetched_it_are_found_by_the_sweep",
        ),
    ),
    Mutant(  # row 14
        name="a row that is leased may be claimed",
        module="kohort_sync/links/claiming.py",
        old="        free, account=account, next_attempt_at__lte=now,",
        new="        account=account, next_attempt_at__lte=now,",
        caught_by=(f"{RACES}::test_two_who_claim_never_get_the_same_row",),
    ),
    Mutant(  # row 15
        name="a message has a date",
        module="kohort_sync/tasks.py",
        old="drain.apply_async(args=(alias,), connection=connection,",
        new="drain.apply_async(args=(alias,), countdown=1, connection=connection,",
        caught_by=(f"{NUDGE}::test_a_message_names_the_account_and_nothing_else",),
    ),
    Mutant(  # row 16
        name="a message is acknowledged after the work",
        module="kohort_sync/tasks.py",
        old='    "acks_late": False,\n',
        new='    "acks_late": True,\n',
        caught_by=(f"{POOLS}::test_a_worker_that_loses_its_broker_in_a_call_is_not_given_the_message_again",),
    ),
    Mutant(  # row 17
        name="a message has no end",
        module="kohort_sync/tasks.py",
        old=" expires=_HINT_EXPIRES,",
        new="",
        caught_by=(f"{NUDGE}::test_a_message_names_the_account_and_nothing_else",),
    ),
)
