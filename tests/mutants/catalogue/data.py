"""Data: what users do, and who they are (rows 65 to 70)."""

from tests.mutants.mutant import Mutant

PROCESSES = "tests/edges/commands/test_processes.py"
HOME = "tests/engine/test_home.py"
MISHAPS = "tests/engine/test_mishaps.py"
OUTCOMES = "tests/engine/test_outcomes.py"
REMOVAL = "tests/engine/test_removal.py"
UPDATES = "tests/engine/test_updates.py"
MAPPING = "tests/mapping/test_service.py"

MUTANTS = (
    Mutant(  # row 65
        name="an erasure asked for meanwhile is forgotten",
        module="kohort_sync/links/settling.py",
        old="    if is_asked_anew or (link.state == State.ERASED and asked.verify):\n",
        new="    if False:\n",
        caught_by=(f"{MISHAPS}::test_a_user_who_is_deleted_while_the_answer_is_awaited_is_erased_there",),
    ),
    Mutant(  # row 65
        name="what may be there is not looked for before an erasure",
        module="kohort_sync/delivery/erasure.py",
        old="        return LookUp(link=link, otherwise=nothing) if may_be_there else Done",
        new="        return Done",
        caught_by=(
            f"{REMOVAL}::test_a_user_deleted_while_the_create_is_unresolved_is_found_and_then_erased",
        ),
    ),
    Mutant(  # row 66
        name="the address of an open create changes",
        module="kohort_sync/delivery/outcomes.py",
        old="            frozen = link.intent_email or step.data.email_address\n",
        new="            frozen = step.data.email_address\n",
        caught_by=(f"{MISHAPS}::test_an_address_that_changes_while_a_create_is_open_is_sent_after_it",),
    ),
    Mutant(  # row 67
        name="two users share a customer",
        module="kohort_sync/links/settling.py",
        old="    if taken.setdefault(customer, link.pk) != link.pk:\n",
        new="    if False:\n",
        caught_by=(f"{OUTCOMES}::test_two_users_never_get_the_same_customer",),
    ),
    Mutant(  # row 68
        name="a swap is tried for ever",
        module="kohort_sync/delivery/outcomes.py",
        old=" and link.attempts + 1 < _TRIES_FOR_AN_ADDRESS\n",
        new="\n",
        caught_by=(f"{UPDATES}::test_users_who_swap_their_addresses_end_in_a_conflict_with_both_ids",),
    ),
    Mutant(  # row 69
        name="a copy of the database sends",
        module="kohort_sync/drainer/home.py",
        old="    if not has_new_key and here.is_another_than(known):\n",
        new="    if False:\n",
        caught_by=(
            f"{HOME}::test_nothing_is_sent_from_a_copy_and_the_account_says_why",
            f"{PROCESSES}::test_a_copied_site_with_the_same_key_sends_nothing",
        ),
    ),
    Mutant(  # row 70
        name="a text that cannot be sent is sent",
        module="kohort_sync/mapping.py",
        old="    if _UNSENDABLE.search(text):\n",
        new="    if False:\n",
        caught_by=("tests/mapping/test_data.py::test_what_the_service_would_refuse_is_refused_with_words",),
    ),
    Mutant(  # row 70
        name="data of any size is sent",
        module="kohort_sync/mapping.py",
        old="    if len(body.encode()) > LARGEST_BODY:\n",
        new="    if False:\n",
        caught_by=(f"{MAPPING}::test_a_body_at_the_limit_is_refused_here_or_accepted_there",),
    ),
)
