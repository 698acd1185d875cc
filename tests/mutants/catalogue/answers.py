"""Answers: what follows from each, whom it is charged to, and what is believed."""

from tests.mutants.mutant import Mutant

_PLANNING = "kohort_sync/delivery/planning.py"
_OUTCOMES = "kohort_sync/delivery/outcomes.py"
_SETTLEMENTS = "kohort_sync/delivery/settlements.py"
_ERASURE = "kohort_sync/delivery/erasure.py"
_SENDING = "kohort_sync/delivery/sending.py"
_RETRY = "kohort_sync/retry.py"

_IN_ATTACKS = "tests/engine/test_attacks.py::test"
_IN_DECISIONS = "tests/engine/test_decisions.py::test"
_IN_DELIVERY = "tests/engine/test_delivery.py::test"
_IN_FOUND = "tests/machine/test_found.py::test"
_IN_OUTCOMES = "tests/engine/test_outcomes.py::test"
_IN_PUSH = "tests/engine/test_push.py::test"
_IN_REMOVAL = "tests/engine/test_removal.py::test"
_IN_RETRIES = "tests/engine/test_retries.py::test"
_IN_RETRY = "tests/test_retry.py::test"
_IN_UPDATES = "tests/engine/test_updates.py::test"

_CREATES = (
    Mutant(
        name="the window of an answered create is not begun anew",
        module=_OUTCOMES,
        old="        window = now + settle_window()\n",
        new="        window = now\n",
        caught_by=(
            f"{_IN_RETRIES}_a_lost_answer_is_looked_up_after_a_quarter_minute_then_a_minute_then_when_it_has_settled",
        ),
    ),
    Mutant(
        name="an address changes while an earlier create may still arrive",
        module=_PLANNING,
        old=(
            'if "emailAddress" in changes and link.settle_until is not None and '
            "link.settle_until > situation.now:"
        ),
        new="if False:",
        caught_by=(f"{_IN_DELIVERY}_an_address_waits_for_an_earlier_create_that_may_still_arrive",),
    ),
    Mutant(
        name="the window of earlier creates is forgotten with the first answer",
        module=_OUTCOMES,
        old="settle_until=link.settle_until if link.posts > 1 else None,",
        new="settle_until=None,",
        caught_by=(f"{_IN_DELIVERY}_a_find_among_several_creates_keeps_their_window",),
    ),
    Mutant(
        name="a repeated create that was turned away is as if it had never been sent",
        module=_OUTCOMES,
        old=" and link.posts == 1:",
        new=":",
        caught_by=(f"{_IN_DELIVERY}_a_repeated_create_that_is_turned_away_stays_uncertain",),
    ),
    Mutant(
        name="a lost answer is as good as a refusal",
        module=_OUTCOMES,
        old="isinstance(error, errors.Unsent | errors.Refused) and link.posts == 1",
        new="link.posts == 1",
        caught_by=(f"{_IN_PUSH}_a_lost_answer_is_looked_up_and_adopted_without_a_second_create",),
    ),
    Mutant(
        name="a taken reference is a refusal of the data",
        module=_OUTCOMES,
        old="if refusal is None or error is not None or isinstance(refusal, errors.ReferenceTaken):",
        new="if refusal is None or error is not None:",
        caught_by=(f"{_IN_RETRIES}_a_reference_that_is_taken_by_nobody_who_is_shown_is_looked_up_again",),
    ),
    Mutant(
        name="a refusal is believed although the look-up failed",
        module=_OUTCOMES,
        old="if refusal is None or error is not None or isinstance(refusal, errors.ReferenceTaken):",
        new="if refusal is None or isinstance(refusal, errors.ReferenceTaken):",
        caught_by=(f"{_IN_DELIVERY}_a_refusal_is_not_believed_before_a_look_up_has_shown_nobody",),
    ),
    Mutant(
        name="of several customers one is taken",
        module=_OUTCOMES,
        old="    if len(living) > 1:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_PUSH}_a_customer_that_is_found_twice_is_left_to_a_person",),
    ),
    Mutant(
        name="a deleted customer is taken over",
        module=_OUTCOMES,
        old="living = [remote for remote in found if remote.deleted_at is None]",
        new="living = list(found)",
        caught_by=(f"{_IN_DELIVERY}_a_deleted_customer_that_a_look_up_finds_is_left_to_a_person",),
    ),
    Mutant(
        name="a customer that answers although it is deleted is believed",
        module=_OUTCOMES,
        old="    return result.remote is not None and result.remote.deleted_at is not None\n",
        new="    return False\n",
        caught_by=(f"{_IN_OUTCOMES}_a_change_answered_by_a_deleted_customer_is_left_to_a_person",),
    ),
    Mutant(
        name="a service that shows no reference is asked for ever",
        module=_OUTCOMES,
        old='result.error.what == "reference_not_shown":',
        new='result.error.what == "":',
        caught_by=(
            f"{_IN_OUTCOMES}_a_lost_answer_in_the_documented_dialect_is_left_to_a_person_and_never_doubled",
        ),
    ),
    Mutant(
        name="an adopted customer keeps its old data",
        module=_OUTCOMES,
        old="due_in=None if same else 0.0,",
        new="due_in=None,",
        caught_by=(f"{_IN_OUTCOMES}_an_adopted_customer_gets_the_users_present_data",),
    ),
    Mutant(
        name="an adopted customer keeps its old reference",
        module=_OUTCOMES,
        old='        shown[mapping.REFERENCE] = ""\n',
        new="        pass\n",
        caught_by=(f"{_IN_DECISIONS}_with_every_proof_a_customer_is_adopted_by_its_address",),
    ),
)

_ADOPTION = (
    Mutant(
        name="no proof that the address is the user's",
        module=_PLANNING,
        old="            return mapping.email_verified(user)\n",
        new="            return True\n",
        caught_by=(f"{_IN_DECISIONS}_without_a_verified_address_nobody_is_adopted",),
    ),
    Mutant(
        name="adoption although the site does not want it",
        module=_PLANNING,
        old="if not conf.adopts_by_email() or user is None:",
        new="if user is None:",
        caught_by=(f"{_IN_DELIVERY}_nobody_is_adopted_where_the_site_has_stopped_it",),
    ),
    Mutant(
        name="a failing proof is a proof",
        module=_PLANNING,
        old="        _log(link, failure)\n        return False\n",
        new="        _log(link, failure)\n        return True\n",
        caught_by=(f"{_IN_DECISIONS}_without_a_verified_address_nobody_is_adopted",),
    ),
    Mutant(
        name="a customer with a reference of somebody else is adopted",
        module=_OUTCOMES,
        old="return remote if is_free and not remote.blocked",
        new="return remote if not remote.blocked",
        caught_by=(f"{_IN_DECISIONS}_a_customer_on_which_somebody_has_a_claim_is_not_adopted",),
    ),
    Mutant(
        name="a blocked customer is adopted",
        module=_OUTCOMES,
        old="is_free and not remote.blocked and remote.deleted_at is None",
        new="is_free and remote.deleted_at is None",
        caught_by=(f"{_IN_DECISIONS}_a_customer_on_which_somebody_has_a_claim_is_not_adopted",),
    ),
    Mutant(
        name="a deleted customer of a stranger is offered to be brought back",
        module=_OUTCOMES,
        old="is_free and not remote.blocked and remote.deleted_at is None",
        new="is_free and not remote.blocked",
        caught_by=(
            f"{_IN_DELIVERY}_a_deleted_customer_that_may_be_a_strangers_is_not_offered_to_be_brought_back",
        ),
    ),
    Mutant(
        name="one of several customers with the address is adopted",
        module=_OUTCOMES,
        old="    if len(found) != 1:\n        return None\n    (remote,) = found\n",
        new="    if not found:\n        return None\n    remote = found[0]\n",
        caught_by=(f"{_IN_DELIVERY}_only_a_living_customer_that_is_found_alone_is_adopted",),
    ),
    Mutant(
        name="a customer of our own user is adopted",
        module=_OUTCOMES,
        old="adopts = link.customer_id is None and not is_ours and conf.adopts_by_email()",
        new="adopts = link.customer_id is None and conf.adopts_by_email()",
        caught_by=(f"{_IN_DELIVERY}_a_customer_of_another_user_is_not_even_searched_for",),
    ),
    Mutant(
        name="any address is searched for to be adopted",
        module=_PLANNING,
        old=(
            'if link.last_error_code == "email_taken" and _is_same_as_refused(link, data) and '
            "_may_adopt(link, user):"
        ),
        new='if link.last_error_code == "email_taken" and _may_adopt(link, user):',
        caught_by=(f"{_IN_FOUND}_only_the_address_that_was_refused_is_searched_for_to_be_adopted",),
    ),
)

_CHANGES = (
    Mutant(
        name="no verify after a lost update",
        module=_OUTCOMES,
        old="result=result, verify=True, look_again_at=again_at)",
        new="result=result, look_again_at=again_at)",
        caught_by=(f"{_IN_OUTCOMES}_a_lost_answer_to_a_change_is_verified_before_the_next_is_sent",),
    ),
    Mutant(
        name="no rolling verification after a lost update",
        module=_OUTCOMES,
        old="result=result, verify=True, look_again_at=again_at)",
        new="result=result, verify=True)",
        caught_by=(
            f"{_IN_UPDATES}_an_update_whose_answer_is_lost_is_compared_at_once_and_again_when_it_can_no_longer_arrive",
        ),
    ),
    Mutant(
        name="the second look is over before anything could arrive",
        module=_OUTCOMES,
        old="look_again_at=None if _is_over(link, situation.began) else link.look_again_at,",
        new="look_again_at=None,",
        caught_by=(
            f"{_IN_UPDATES}_an_update_whose_answer_is_lost_is_compared_at_once_and_again_when_it_can_no_longer_arrive",
        ),
    ),
    Mutant(
        name="the second look is over once the time has passed on the way",
        module=_OUTCOMES,
        old="return link.look_again_at is not None and link.look_again_at <= began",
        new="return link.look_again_at is not None",
        caught_by=(
            f"{_IN_UPDATES}_an_update_whose_answer_is_lost_is_compared_at_once_and_again_when_it_can_no_longer_arrive",
        ),
    ),
    Mutant(
        name="nobody is compared",
        module=_PLANNING,
        old="    if _is_to_be_compared(link, situation):\n        return Verify(link=link, data=data)\n",
        new="",
        caught_by=(f"{_IN_OUTCOMES}_a_resync_sends_what_was_changed_behind_our_back_and_no_more",),
    ),
    Mutant(
        name="a comparison wipes the failures of a change away",
        module=_OUTCOMES,
        old=(
            "        attempts=link.attempts,\n"
            "        failing_since=link.failing_since,\n"
            "        parkings=link.parkings,\n"
        ),
        new="",
        caught_by=(f"{_IN_RETRIES}_a_row_that_the_service_always_fails_on_while_others_succeed_is_given_up",),
    ),
    Mutant(
        name="a customer is gone at the first sight",
        module=_SETTLEMENTS,
        old="    if wait <= 0:\n        return None\n",
        new="    return None\n",
        caught_by=(f"{_IN_OUTCOMES}_a_customer_deleted_there_is_missing_only_after_a_second_look",),
    ),
    Mutant(
        name="a block is believed unseen",
        module=_OUTCOMES,
        old="    if remote.blocked is not link.wants_block:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_DELIVERY}_a_block_that_is_not_shown_is_not_believed",),
    ),
    Mutant(
        name="a block that stands is sent again",
        module=_SENDING,
        old="if shown.remote is None or shown.remote.blocked is step.block:",
        new="if shown.remote is None:",
        caught_by=(f"{_IN_DECISIONS}_a_block_whose_answer_is_lost_is_asked_for_again_and_not_done_twice",),
    ),
    Mutant(
        name="what was refused is sent again and again",
        module=_PLANNING,
        old="return link.last_error_code in _REFUSALS and _is_same_as_refused(link, data)",
        new="return False",
        caught_by=(f"{_IN_UPDATES}_refused_data_is_not_sent_again_before_it_changes",),
    ),
    Mutant(
        name="refused data is never sent again",
        module=_PLANNING,
        old=(
            'return link.refused != "" and link.refused == mapping.digest(data, '
            "salt=link.client_reference_id)"
        ),
        new='return link.refused != ""',
        caught_by=(f"{_IN_OUTCOMES}_a_refusal_by_the_service_names_the_field_and_waits_for_the_data",),
    ),
    Mutant(
        name="a conflict is sent again by a change",
        module=_PLANNING,
        old="if _waits_for_a_person(link) or link.state in FINAL:",
        new="if link.state in FINAL:",
        caught_by=(f"{_IN_OUTCOMES}_a_conflict_that_data_cannot_cure_is_not_sent_again_by_a_change",),
    ),
    Mutant(
        name="whoever is left out is sent",
        module=_PLANNING,
        old="if _waits_for_a_person(link) or link.state in FINAL:",
        new="if _waits_for_a_person(link):",
        caught_by=(f"{_IN_DELIVERY}_whoever_is_left_out_or_erased_stays_so_though_due",),
    ),
    Mutant(
        name="an unwanted user with an open create is forgotten",
        module=_PLANNING,
        old="        if link.posts:\n            return LookUp(link=link, otherwise=problem)\n",
        new="",
        caught_by=(f"{_IN_DELIVERY}_an_open_create_of_somebody_unwanted_is_looked_up",),
    ),
    Mutant(
        name="a host's function that saves the user makes it due for ever",
        module=_PLANNING,
        old="        with context.paused():\n            wanted = mapping.wanted(user)\n",
        new="        if True:\n            wanted = mapping.wanted(user)\n",
        caught_by=(f"{_IN_ATTACKS}_a_function_of_the_site_that_saves_the_user_does_not_run_for_ever",),
    ),
    Mutant(
        name="a host's function that leaves is the end of the process",
        module=_PLANNING,
        old="    except (Exception, SystemExit) as failure:  # noqa: BLE001 — the host's functions",
        new="    except Exception as failure:  # noqa: BLE001 — the host's functions",
        caught_by=(f"{_IN_DELIVERY}_a_function_that_ends_the_process_politely_ends_its_own_turn_alone",),
    ),
    Mutant(
        name="a host's proof that leaves is the end of the process",
        module=_PLANNING,
        old="    except (Exception, SystemExit) as failure:  # noqa: BLE001 — as in",
        new="    except Exception as failure:  # noqa: BLE001 — as in",
        caught_by=(f"{_IN_DELIVERY}_a_proof_that_ends_the_process_politely_proves_nothing",),
    ),
    Mutant(
        name="a function of the host stops the batch",
        module=_PLANNING,
        old=(
            "    except (Exception, SystemExit) as failure:  # noqa: BLE001 — the host's "
            "functions may raise anything; one row must not stop the rest\n"
        ),
        new="    except ZeroDivisionError as failure:\n",
        caught_by=(f"{_IN_PUSH}_one_failing_function_of_the_site_holds_up_nobody",),
    ),
)

_RETRIES = (
    Mutant(
        name="crashes are counted for ever",
        module=_PLANNING,
        old="    if link.crashes > retry.MOST_CRASHES:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_DELIVERY}_a_row_that_has_killed_too_often_is_given_up_unread",),
    ),
    Mutant(
        name="a row that was given up for killing gets all its lives back",
        module=_PLANNING,
        old="crashes=retry.MOST_CRASHES - 1)",
        new="crashes=0)",
        caught_by=(f"{_IN_DELIVERY}_a_row_that_has_killed_too_often_is_given_up_unread",),
    ),
    Mutant(
        name="what concerns the account is charged to the row",
        module=_SETTLEMENTS,
        old=(
            "return not isinstance(error, errors.Refused | errors.Redirected | errors.TlsFailed "
            "| errors.OutOfTime)"
        ),
        new="return True",
        caught_by=(f"{_IN_RETRIES}_a_failed_create_leads_where_its_class_says",),
    ),
    Mutant(
        name="time that ran out is charged to the row",
        module=_SETTLEMENTS,
        old=" | errors.TlsFailed | errors.OutOfTime)",
        new=" | errors.TlsFailed)",
        caught_by=(f"{_IN_DELIVERY}_time_that_ran_out_is_charged_to_nobody",),
    ),
    Mutant(
        name="an outage parks the rows",
        module=_SETTLEMENTS,
        old="if charged and alone and retry.is_hopeless(",
        new="if charged and retry.is_hopeless(",
        caught_by=(f"{_IN_DELIVERY}_nobody_is_given_up_while_nothing_of_the_account_succeeds",),
    ),
    Mutant(
        name="a success long ago makes an outage a row's own fault",
        module=_SETTLEMENTS,
        old="return self.last_success_at > max(moment, lately)",
        new="return self.last_success_at > moment",
        caught_by=(f"{_IN_RETRIES}_an_outage_parks_nobody_who_had_failed_once_before_the_last_success",),
    ),
    Mutant(
        name="a row that failed keeps its place before the others",
        module=_SETTLEMENTS,
        old='"work_class": WorkClass.BULK if charged else link.work_class,',
        new='"work_class": link.work_class,',
        caught_by=(f"{_IN_RETRIES}_what_never_left_this_machine_is_charged_and_leaves_nothing_unresolved",),
    ),
    Mutant(
        name="what was given up is never taken up again",
        module=_SETTLEMENTS,
        old="due_in=retry.DAY if link.parkings < retry.MOST_PARKINGS else None,",
        new="due_in=None,",
        caught_by=(
            f"{_IN_RETRIES}_what_was_given_up_is_taken_up_daily_for_two_weeks_and_then_waits_for_a_person",
        ),
    ),
    Mutant(
        name="what was given up is taken up for ever",
        module=_SETTLEMENTS,
        old="due_in=retry.DAY if link.parkings < retry.MOST_PARKINGS else None,",
        new="due_in=retry.DAY,",
        caught_by=(
            f"{_IN_RETRIES}_what_was_given_up_is_taken_up_daily_for_two_weeks_and_then_waits_for_a_person",
        ),
    ),
    Mutant(
        name="a success leaves the counters",
        module=_SETTLEMENTS,
        old='changes = {"attempts": 0, "failing_since": None, "parkings": 0} | changes',
        new='changes = {"attempts": link.attempts} | changes',
        caught_by=(f"{_IN_RETRIES}_a_success_wipes_the_counters",),
    ),
    Mutant(
        name="no jitter",
        module=_RETRY,
        old="return ceiling * chance.uniform(0.5, 1.0)",
        new="return ceiling",
        caught_by=(f"{_IN_RETRY}_a_wait_doubles_up_to_six_hours_and_half_of_it_is_chance",),
    ),
    Mutant(
        name="waits grow without end",
        module=_RETRY,
        old="ceiling = min(longest, _FIRST_DELAY * 2.0 ** min(attempts, 20))",
        new="ceiling = _FIRST_DELAY * 2.0 ** min(attempts, 20)",
        caught_by=(f"{_IN_RETRY}_a_wait_doubles_up_to_six_hours_and_half_of_it_is_chance",),
    ),
    Mutant(
        name="after an outage rows wait for hours",
        module=_RETRY,
        old="longest = LONGEST_DELAY if alone else _LONGEST_DELAY_OF_ALL",
        new="longest = LONGEST_DELAY",
        caught_by=(f"{_IN_RETRY}_a_wait_with_all_others_ends_at_five_minutes",),
    ),
    Mutant(
        name="a row is given up after twelve attempts within a day",
        module=_RETRY,
        old="return attempts >= _MOST_ATTEMPTS and failing_for >= DAY",
        new="return attempts >= _MOST_ATTEMPTS",
        caught_by=(f"{_IN_RETRY}_a_row_is_given_up_after_twelve_attempts_and_a_day",),
    ),
    Mutant(
        name="a row is given up after a day whatever its attempts",
        module=_RETRY,
        old="return attempts >= _MOST_ATTEMPTS and failing_for >= DAY",
        new="return failing_for >= DAY",
        caught_by=(f"{_IN_RETRY}_a_row_is_given_up_after_twelve_attempts_and_a_day",),
    ),
    Mutant(
        name="a look-up that always fails is repeated at once",
        module=_RETRY,
        old=(
            "    if until_settled <= 0:\n        return backoff(attempts=looks, chance=chance, alone=alone)\n"
        ),
        new="",
        caught_by=(f"{_IN_RETRY}_a_look_up_that_fails_after_the_window_backs_off",),
    ),
    Mutant(
        name="all sites come back at once after a closure",
        module=_RETRY,
        old="return seconds * chance.uniform(1.0, 1.2)",
        new="return seconds",
        caught_by=(f"{_IN_RETRY}_a_closure_lasts_up_to_a_fifth_longer_than_asked",),
    ),
    Mutant(
        name="a slow-down of no seconds is none",
        module=_RETRY,
        old="return max(retry_after or 0.0, least)",
        new="return retry_after or 0.0",
        caught_by=(f"{_IN_RETRY}_a_slow_down_lasts_as_long_as_the_service_asks_or_doubles",),
    ),
)

_ERASURES = (
    Mutant(
        name="an erasure is believed without an answer",
        module=_ERASURE,
        old="    if mapping.is_nobody(result.remote, reference=link.client_reference_id):\n",
        new="    if True:\n",
        caught_by=(f"{_IN_DELIVERY}_an_erasure_is_believed_only_where_nothing_of_the_person_is_shown",),
    ),
    Mutant(
        name="a customer that is not there is erased at the first sight",
        module=_ERASURE,
        old='        return again or _believed(result, "erased_not_found", situation=situation)\n',
        new='        return _believed(result, "erased_not_found", situation=situation)\n',
        caught_by=(f"{_IN_REMOVAL}_a_customer_that_is_not_there_any_more_counts_as_erased_at_a_second_look",),
    ),
    Mutant(
        name="an erasure frees an address that an earlier create may still take",
        module=_ERASURE,
        old="    if link.settle_until is not None and link.settle_until > now:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_DELIVERY}_an_erasure_waits_for_an_earlier_create_that_may_still_arrive",),
    ),
    Mutant(
        name="an open create is not looked for before an erasure",
        module=_ERASURE,
        old=(
            "return LookUp(link=link, otherwise=nothing) if may_be_there else Done(link=link, "
            "settlement=nothing)"
        ),
        new="return Done(link=link, settlement=nothing)",
        caught_by=(f"{_IN_REMOVAL}_a_user_deleted_while_the_create_is_unresolved_is_found_and_then_erased",),
    ),
    Mutant(
        name="an erasure is believed while a lost update may still arrive",
        module=_ERASURE,
        old=(
            "    if link.look_again_at is None or link.look_again_at <= situation.began:\n"
            "        return None\n"
        ),
        new="    return None\n",
        caught_by=(f"{_IN_REMOVAL}_a_lost_update_is_waited_for_before_an_erasure_is_believed",),
    ),
    Mutant(
        name="a deletion goes before the overwriting",
        module=_SENDING,
        old=(
            "    if error is not None and not isinstance(error, errors.NotFound):\n"
            "        return courier.result(None, error)\n"
            "    anonymised"
        ),
        new="    anonymised",
        caught_by=(f"{_IN_DELIVERY}_nothing_is_deleted_that_could_not_be_overwritten",),
    ),
    Mutant(
        name="an erasure that somebody wants is passed over",
        module=_PLANNING,
        old="    if link.erase_asked_at is not None:\n        return erasure.plan(link, now=now)\n",
        new="",
        caught_by=(f"{_IN_REMOVAL}_a_person_asks_for_an_erasure_of_a_user_who_stays",),
    ),
    Mutant(
        name="no lease is looked at before each call",
        module=_SENDING,
        old=("            if not self._may_send(conf.deadline()):\n                raise errors.OutOfTime\n"),
        new="",
        caught_by=(f"{_IN_DELIVERY}_no_call_is_made_without_time_for_it",),
    ),
)

MUTANTS = (
    *_CREATES,
    *_ADOPTION,
    *_CHANGES,
    *_RETRIES,
    *_ERASURES,
)
