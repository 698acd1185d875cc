"""Receiving: what an answer must not do (rows 41 to 55 of the failure table)."""

from tests.mutants.mutant import Mutant

CUSTOMERS = "tests/client/test_customers.py"
FUZZ = "tests/client/test_fuzz.py"
MATRIX = "tests/client/test_matrix.py"
TRANSPORT = "tests/client/test_transport.py"
DECISIONS = "tests/engine/test_decisions.py"
GATE = "tests/engine/test_gate.py"
MISHAPS = "tests/engine/test_mishaps.py"
OUTCOMES = "tests/engine/test_outcomes.py"
PUSH = "tests/engine/test_push.py"
RETRIES = "tests/engine/test_retries.py"

MUTANTS = (
    Mutant(  # row 41
        name="a compressed answer is read",
        module="kohort_sync/client/transport.py",
        old='    if encoding not in ("", "identity"):',
        new='    if encoding == "never":',
        caught_by=(f"{TRANSPORT}::test_a_compressed_answer_is_refused_without_a_look",),
    ),
    Mutant(  # row 41
        name="a body may be of any size",
        module="kohort_sync/client/transport.py",
        old="            if size > BODY_CAP:\n",
        new="            if size > 10**12:\n",
        caught_by=(f"{TRANSPORT}::test_a_body_of_one_byte_more_than_the_cap_is_refused",),
    ),
    Mutant(  # row 42
        name="half a body is taken for a whole one",
        module="kohort_sync/client/transport.py",
        old="        if call.succeeded():\n            raise\n        return b",
        new="        return b",
        caught_by=(f"{TRANSPORT}::test_half_an_answer_or_none_is_ambiguous",),
    ),
    Mutant(  # rows 42, 43 and 47
        name="an unknown outcome is taken for none",
        module="kohort_sync/delivery/outcomes.py",
        old="isinstance(error, errors.Unsent | errors.Refused) and link.posts == 1:",
        new="isinstance(error, errors.Unsent | errors.Refused | errors.Ambiguous):",
        caught_by=(
            f"{OUTCOMES}::test_a_create_that_worked_behind_a_bad_answer_is_found_and_never_repeated",
            f"{MISHAPS}::test_a_storm_of_failures_after_the_work_makes_nobody_twice",
        ),
    ),
    Mutant(  # row 43
        name="deep nesting ends the reader",
        module="kohort_sync/client/records.py",
        old="    except (ValueError, RecursionError):\n        return NO_DOCUMENT",
        new="    except ValueError:\n        return NO_DOCUMENT",
        caught_by=(f"{MATRIX}::test_every_status_and_body_has_its_outcome[create-201]",),
    ),
    Mutant(  # row 44
        name="an answer about somebody else is believed",
        module="kohort_sync/client/customers.py",
        old="        if what is not None:\n"
        "            raise errors.Mismatch(what=what, **records.facts_of(exchange))\n"
        "        return Answer",
        new="        return Answer",
        caught_by=(
            f"{GATE}::test_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(  # row 44
        name="another mode or organization is believed",
        module="kohort_sync/client/customers.py",
        old="        self._check_world(customer, exchange)\n        what = question",
        new="        what = question",
        caught_by=(
            f"{GATE}::test_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(  # row 45
        name="a wrong type decides",
        module="kohort_sync/client/records.py",
        old="            if read is None and decides:\n",
        new="            if False:\n",
        caught_by=(
            f"{CUSTOMERS}::test_a_field_that_decides_may_not_be_of_a_wrong_type",
            f"{MATRIX}::test_every_status_and_body_has_its_outcome[create-201]",
        ),
    ),
    Mutant(  # row 45
        name="one spelling is read",
        module="kohort_sync/client/records.py",
        old="for spelling in (FIELDS[name], name) if",
        new="for spelling in (FIELDS[name],) if",
        caught_by=(f"{CUSTOMERS}::test_every_field_is_read_in_both_spellings",),
    ),
    Mutant(  # row 46
        name="a wait of years is kept",
        module="kohort_sync/client/errors.py",
        old="    if len(significant) > _DIGITS_BELOW_CAP:\n        return RETRY_AFTER_CAP\n"
        "    return min(float(significant), RETRY_AFTER_CAP)",
        new="    return float(significant)",
        caught_by=(f"{GATE}::test_a_wait_that_is_asked_for_is_kept_up_to_an_hour_and_a_fifth_more",),
    ),
    Mutant(  # row 46
        name="a wait is not kept",
        module="kohort_sync/drainer/watch.py",
        old="retry.slow_down(retry_after=asked, closures=closures)",
        new="retry.slow_down(retry_after=0.0, closures=closures)",
        caught_by=(
            f"{GATE}::test_what_the_service_asks_for_holds_for_the_whole_account_and_the_next_process",
        ),
    ),
    Mutant(  # row 47
        name="failures in a row close nothing",
        module="kohort_sync/drainer/watch.py",
        old="        elif self.failures >= _FAILURES_IN_A_ROW:\n",
        new="        elif False:\n",
        caught_by=(f"{GATE}::test_failures_in_a_row_are_counted_over_drains",),
    ),
    Mutant(  # row 48
        name="a refused key is charged to the rows",
        module="kohort_sync/delivery/settlements.py",
        old="isinstance(error, errors.Refused | errors.Redirected |",
        new="isinstance(error, errors.Redirected |",
        caught_by=(f"{GATE}::test_a_revoked_key_burns_no_attempt_of_any_row_and_sending_resumes_by_itself",),
    ),
    Mutant(  # row 49
        name="a customer is missing at first sight",
        module="kohort_sync/delivery/settlements.py",
        old="_SECOND_SIGHT = timedelta(minutes=15)",
        new="_SECOND_SIGHT = timedelta(0)",
        caught_by=(f"{OUTCOMES}::test_a_customer_deleted_there_is_missing_only_after_a_second_look",),
    ),
    Mutant(  # row 50
        name="a refusal is believed without a look",
        module="kohort_sync/delivery/sending.py",
        old="    if isinstance(error, errors.Definitive):\n"
        "        # A refusal may mean that an earlier create of ours has worked: look"
        " before it is believed.\n"
        "        return courier.look_up(refusal=error)\n",
        new="",
        caught_by=(f"{OUTCOMES}::test_a_reference_that_is_taken_already_is_adopted_in_the_same_turn",),
    ),
    Mutant(  # row 51
        name="an address proves who somebody is",
        module="kohort_sync/delivery/planning.py",
        old="            return mapping.email_verified(user)\n",
        new="            return True\n",
        caught_by=(f"{DECISIONS}::test_without_a_verified_address_nobody_is_adopted",),
    ),
    Mutant(  # row 51
        name="a claim of somebody else is nothing",
        module="kohort_sync/delivery/outcomes.py",
        old="    return remote if is_free and not remote.blocked and remote.deleted_at is None else None",
        new="    return remote",
        caught_by=(f"{DECISIONS}::test_a_customer_on_which_somebody_has_a_claim_is_not_adopted",),
    ),
    Mutant(  # row 52
        name="an address that is taken is asked for again and again",
        module="kohort_sync/delivery/outcomes.py",
        old="    if leaves:\n",
        new="    if leaves or holder is None:\n",
        caught_by=(
            f"{MISHAPS}::test_an_address_that_nobody_living_has_ends_in_a_conflict_and_is_left_alone",
        ),
    ),
    Mutant(  # row 53
        name="a filter that was dropped is believed",
        module="kohort_sync/client/records.py",
        old="if any(shown == value or not isinstance(shown, str) for shown in _shown(row, name))",
        new="if True",
        caught_by=(f"{CUSTOMERS}::test_a_look_up_believes_exact_rows_only",),
    ),
    Mutant(  # row 53
        name="an address that is misread is searched",
        module="kohort_sync/client/customers.py",
        old="    if not email or _NOT_SEARCHABLE.search(email) or _LONE_SURROGATE.search(email):\n",
        new="    if not email:\n",
        caught_by=(f"{CUSTOMERS}::test_an_email_that_could_be_misread_is_not_searched",),
    ),
    Mutant(  # row 54
        name="one of two is picked silently",
        module="kohort_sync/delivery/outcomes.py",
        old="    if len(living) > 1:\n",
        new="    if len(living) > 2:\n",
        caught_by=(f"{PUSH}::test_a_customer_that_is_found_twice_is_left_to_a_person",),
    ),
    Mutant(  # row 55
        name="a look-up that lags is the last word",
        module="kohort_sync/delivery/outcomes.py",
        old=" or isinstance(refusal, errors.ReferenceTaken):\n",
        new=":\n",
        caught_by=(
            f"{MISHAPS}::test_a_look_up_that_lags_behind_a_create_is_made_again",
            f"{RETRIES}::test_a_reference_that_is_taken_by_nobody_who_is_shown_is_looked_up_again",
        ),
    ),
)
