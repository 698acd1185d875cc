"""The account: one drainer at a time, within its budget, and behind its gate."""

from tests.mutants.mutant import Mutant

_DRAINING = "kohort_sync/drainer/draining.py"
_TURN = "kohort_sync/drainer/turn.py"
_WATCH = "kohort_sync/drainer/watch.py"
_LINE = "kohort_sync/drainer/line.py"
_THROTTLE = "kohort_sync/drainer/throttle.py"
_GATE = "kohort_sync/gate.py"
_CLAIMING = "kohort_sync/links/claiming.py"
_PACING = "kohort_sync/pacing.py"

_IN_ACCOUNT = "tests/engine/test_account.py::test"
_IN_ATTACKS = "tests/engine/test_attacks.py::test"
_IN_FAIRNESS = "tests/engine/test_fairness.py::test"
_IN_GATE = "tests/engine/test_gate.py::test"
_IN_OUTCOMES = "tests/engine/test_outcomes.py::test"
_IN_PACE = "tests/pace/test_pace.py::test"
_IN_PIPELINE = "tests/engine/test_pipeline.py::test"
_IN_ENDING = f"{_IN_PIPELINE}_who_is_told_to_end_sends_nothing_more_and_writes_down_what_was_sent"
_IN_POISON = "tests/engine/test_poison.py::test"
_IN_PUSH = "tests/engine/test_push.py::test"
_IN_REMOVAL = "tests/engine/test_removal.py::test"
_IN_THROTTLE = "tests/pace/test_throttle.py::test"
_IN_TRANSITIONS = "tests/engine/test_transitions.py::test"

_DRAINERS = (
    Mutant(
        name="two drainers of one account",
        module=_GATE,
        old=".filter(free, pk=key)",
        new=".filter(pk=key)",
        caught_by=(f"{_IN_PUSH}_a_second_drainer_of_the_account_does_nothing",),
    ),
    Mutant(
        name="a drainer that was killed blocks its account for ever",
        module=_GATE,
        old="Q(drainer_until=None) | Q(drainer_until__lte=now) | Q(drainer_token=token)",
        new="Q(drainer_until=None) | Q(drainer_token=token)",
        caught_by=(f"{_IN_ACCOUNT}_the_lease_of_a_drainer_that_was_killed_is_taken_over_when_it_ends",),
    ),
    Mutant(
        name="a drainer loses its own lease",
        module=_GATE,
        old="Q(drainer_until=None) | Q(drainer_until__lte=now) | Q(drainer_token=token)",
        new="Q(drainer_until=None) | Q(drainer_until__lte=now)",
        caught_by=(f"{_IN_ACCOUNT}_a_drainer_keeps_its_lease_while_it_works",),
    ),
    Mutant(
        name="the lease of every account is taken",
        module=_GATE,
        old=".filter(free, pk=key)",
        new=".filter(free)",
        caught_by=(f"{_IN_ACCOUNT}_what_is_noted_about_one_account_says_nothing_about_another",),
    ),
    Mutant(
        name="a late drainer gives back the lease of the present one",
        module=_GATE,
        old="filter(pk=key, drainer_token=token)",
        new="filter(pk=key)",
        caught_by=(f"{_IN_ACCOUNT}_a_drainer_gives_back_no_lease_but_its_own",),
    ),
    Mutant(
        name="a drainer keeps its lease when it ends",
        module=_DRAINING,
        old="        gate.give_drainer_lease_back(account.key, token=drainer.token, using=using)\n",
        new="        pass\n",
        caught_by=(f"{_IN_ACCOUNT}_a_drain_gives_its_lease_back",),
    ),
    Mutant(
        name="a drainer goes on without its lease",
        module=_DRAINING,
        old="            if not self._renew():\n",
        new="            if False:\n",
        caught_by=(f"{_IN_ACCOUNT}_a_drain_that_has_lost_its_lease_ends",),
    ),
    Mutant(
        name="a drainer waits for an answer without renewing its lease",
        module=_TURN,
        old="            self.renew()\n",
        new="            pass\n",
        caught_by=(f"{_IN_ACCOUNT}_a_drainer_renews_its_lease_while_it_waits_for_an_answer",),
    ),
    Mutant(
        name="nobody is told that work is left",
        module=_DRAINING,
        old=(
            'drainer.report.ended != "closed" and (\n'
            "        links.any_due(account=account.key, using=using)"
            " or bool(reconcile.due(account.key, using=using))\n"
            "    )"
        ),
        new="False",
        caught_by=(f"{_IN_ACCOUNT}_a_drain_that_has_used_up_its_budget_says_that_work_is_left",),
    ),
    Mutant(
        name="a drainer does not look on",
        module=_DRAINING,
        old="if now.open and (idle_since is None or time.monotonic() - idle_since > linger):",
        new="if now.open:",
        caught_by=(f"{_IN_ACCOUNT}_who_signs_up_while_the_drainer_looks_on_is_sent",),
    ),
    Mutant(
        name="a drain inside a transaction",
        module=_DRAINING,
        old="    _refuse_transaction(using)\n    account =",
        new="    account =",
        caught_by=(f"{_IN_PUSH}_nothing_is_sent_inside_a_transaction",),
    ),
    Mutant(
        name="the lowest class waits for ever",
        module=_DRAINING,
        old="        if (self.claims + 1) % _LOWEST_FIRST_EVERY == 0:\n",
        new="        if False:\n",
        caught_by=(f"{_IN_FAIRNESS}_one_claim_in_ten_begins_with_the_lowest_class",),
    ),
    Mutant(
        name="changes and failures go before sign-ups",
        module=_DRAINING,
        old="        order = list(WorkClass)\n",
        new="        order = list(WorkClass)[::-1]\n",
        caught_by=(f"{_IN_FAIRNESS}_new_sign_ups_go_before_all_who_have_failed",),
    ),
    Mutant(
        name="sending goes on long after the budget",
        module=_TURN,
        old="ends = min(self.ends + OVERTIME, self._first_sent_at + _LONGEST)",
        new="ends = math.inf",
        caught_by=(f"{_IN_ACCOUNT}_nothing_is_sent_long_after_the_budget",),
    ),
    Mutant(
        name="a batch that takes long is sent to its end",
        module=_TURN,
        old="ends = min(self.ends + OVERTIME, self._first_sent_at + _LONGEST)",
        new="ends = self.ends + OVERTIME",
        caught_by=(
            "tests/engine/test_pipeline.py::test_a_sign_up_does_not_wait_behind_a_service_that_slows_down",
        ),
    ),
    Mutant(
        name="whoever is told to end sends the rest of the batch",
        module=_DRAINING,
        old="        if self.stop():\n            self.watch.halted.set()",
        new="        if False:\n            self.watch.halted.set()",
        caught_by=("tests/engine/test_pipeline.py::test_who_is_told_to_end_gives_back_what_is_not_sent",),
    ),
    Mutant(
        name="an address that the batch beside has got is nobody's",
        module="kohort_sync/delivery/outcomes.py",
        old="if holder is None and situation.others_under_way and not tried:",
        new="if False:",
        caught_by=(
            "tests/engine/test_pipeline.py::test_a_conflict_names_whoever_got_the_address_in_the_batch_beside",
        ),
    ),
    Mutant(
        name="a slow function of the host ends the sending",
        module=_TURN,
        old="            if steps and time.monotonic() > self.ends:\n",
        new="            if False:\n",
        caught_by=(f"{_IN_ATTACKS}_a_slow_function_of_the_site_slows_the_sending_and_does_not_end_it",),
    ),
    Mutant(
        name="a row that could not be sent in time waits for its lease",
        module=_TURN,
        old=(
            "        self._settlements += [_unchanged(step.link) for step in to_send if step.link.pk "
            "not in self._allowed]\n"
        ),
        new="",
        caught_by=(f"{_IN_ACCOUNT}_who_could_not_be_sent_in_time_is_given_back_at_once",),
    ),
    Mutant(
        name="a fault of ours in one row stops the batch",
        module=_TURN,
        old="    except Exception as fault:  # noqa: BLE001 — whatever it is",
        new="    except KeyError as fault:  # noqa: BLE001 — whatever it is",
        caught_by=(f"{_IN_OUTCOMES}_a_fault_of_ours_in_one_row_stops_nobody",),
    ),
    Mutant(
        name="an answer that the database refuses is tried with the others only",
        module=_TURN,
        old="            if len(settlements) > 1:\n",
        new="            if False:\n",
        caught_by=(f"{_IN_ATTACKS}_an_answer_that_the_database_refuses_is_set_aside_alone",),
    ),
    Mutant(
        name="who gets an address in the same turn is a stranger",
        module=_TURN,
        old="email = result.remote.email_address if result.remote else None",
        new="email = None",
        caught_by=(f"{_IN_ACCOUNT}_who_gets_an_address_in_the_same_turn_is_named_to_whoever_does_not",),
    ),
    Mutant(
        name="users are loaded through the host's own manager",
        module=_TURN,
        old="get_user_model()._base_manager.using(using)",
        new="get_user_model().objects.using(using)",
        caught_by=(f"{_IN_OUTCOMES}_users_whom_the_default_manager_hides_are_sent_too",),
    ),
    Mutant(
        name="an address that became free is not tried again",
        module=_TURN,
        old="        links.try_addresses_again(freed, account=self.batch.account, using=self.using)\n",
        new="",
        caught_by=(f"{_IN_REMOVAL}_an_address_that_an_erasure_frees_goes_to_whoever_waits_for_it",),
    ),
)

_PIPELINE = (
    Mutant(
        name="no batch begins before the last one is finished",
        module=_WATCH,
        old="        return self._opening is None and not self.halted.is_set()\n",
        new="        return False\n",
        caught_by=(f"{_IN_PIPELINE}_the_next_batch_begins_while_one_is_under_way",),
    ),
    Mutant(
        name="a batch begins although an answer concerns the whole account",
        module=_WATCH,
        old="        return self._opening is None and not self.halted.is_set()\n",
        new="        return True\n",
        caught_by=(f"{_IN_GATE}_the_gate_opens_for_one_row_then_two_then_four",),
    ),
    Mutant(
        name="what was sent is forgotten where the next batch fails",
        module=_DRAINING,
        old="                self._finish_all()  # what was sent is written down all the same\n",
        new="                pass\n",
        caught_by=(f"{_IN_PIPELINE}_what_was_sent_is_written_down_although_the_next_batch_fails",),
    ),
    Mutant(
        name="an import that is under way goes on before a sign-up",
        module=_CLAIMING,
        old="(beside.is_suspect or beside.links[0].work_class != work_class)",
        new="beside.is_suspect",
        caught_by=(
            f"{_IN_TRANSITIONS}_a_link_gets_from_one_state_to_the_other_and_says_why[uncertain-parked]",
        ),
    ),
    Mutant(
        name="a row that may kill its process gets company",
        module=_CLAIMING,
        old="            if suspect and beside is not None:\n                return None\n",
        new="",
        caught_by=(f"{_IN_POISON}_one_row_that_kills_its_process_among_five_hundred_parks_itself_alone",),
    ),
    Mutant(
        name="what was learned is forgotten",
        module=_DRAINING,
        old="before=row.pace, now=self.pace.as_json()",
        new="before=row.pace, now=row.pace",
        caught_by=(f"{_IN_PIPELINE}_what_a_drain_learns_is_there_for_the_next",),
    ),
    Mutant(
        name="what was learned is not read",
        module=_DRAINING,
        old="Pace(row.pace, most=most",
        new="Pace({}, most=most",
        caught_by=(f"{_IN_PIPELINE}_as_many_are_under_way_as_was_learned_and_the_host_allows[3-64]",),
    ),
    Mutant(
        name="the host's rate is nobody's business",
        module=_DRAINING,
        old='most_rate=conf.get("MAX_RATE"))',
        new="most_rate=None)",
        caught_by=(f"{_IN_PIPELINE}_a_rate_that_the_host_sets_is_kept",),
    ),
    Mutant(
        name="a second call for one user waits for no rate",
        module=_TURN,
        old="next(first, False) or self.throttle.follow(may_go=may_go)",
        new="True",
        caught_by=(f"{_IN_PIPELINE}_the_second_call_for_one_user_keeps_to_the_rate_too",),
    ),
    Mutant(
        name="a second call for one user is waited for although nothing is sent any more",
        module=_THROTTLE,
        old="        with self._lane:\n            while may_go():\n",
        new="        with self._lane:\n            while True:\n",
        caught_by=(f"{_IN_THROTTLE}_a_second_request_is_not_waited_for_once_nothing_may_be_sent_any_more",),
    ),
    Mutant(
        name="whoever waits for room is in the way of who has entered",
        module=_THROTTLE,
        old="        with self._lane:\n",
        new="        with self._turnstile:\n",
        caught_by=(f"{_IN_THROTTLE}_whoever_waits_for_room_is_not_in_the_way_of_who_has_entered",),
    ),
    Mutant(
        name="a probe keeps to no rate",
        module=_DRAINING,
        old="                self._take_leave()\n",
        new="",
        caught_by=(f"{_IN_PIPELINE}_a_question_before_the_gate_opens_keeps_to_the_rate_too",),
    ),
    Mutant(
        name="a probe is sent beside what is under way",
        module=_DRAINING,
        old="if self.turns or not self.throttle.follow(",
        new="if not self.throttle.follow(",
        caught_by=(f"{_IN_PIPELINE}_a_question_before_the_gate_opens_is_asked_beside_nothing",),
    ),
    Mutant(
        name="the first look through a new key keeps to no rate",
        module=_LINE,
        old="            before()\n",
        new="",
        caught_by=(f"{_IN_PIPELINE}_the_first_look_through_a_new_key_keeps_to_the_rate_too",),
    ),
    Mutant(
        name="who is told to end sends all the same",
        module=_DRAINING,
        old="            except _ENDS_IT:\n                self.watch.halted.set()\n",
        new="            except _ENDS_IT:\n",
        caught_by=(f"{_IN_ENDING}[KeyboardInterrupt]",),
    ),
    Mutant(
        name="who is interrupted writes nothing down",
        module=_DRAINING,
        old="_ENDS_IT = (Exception, KeyboardInterrupt, SystemExit)",
        new="_ENDS_IT = Exception",
        caught_by=(
            f"{_IN_ENDING}[KeyboardInterrupt]",
            f"{_IN_ENDING}[SystemExit]",
        ),
    ),
    Mutant(
        name="a batch whose answers are not waited for in peace is lost",
        module=_DRAINING,
        old="        self.turns[0].wait()\n",
        new="",
        caught_by=(f"{_IN_ENDING}[OperationalError]",),
    ),
    Mutant(
        name="a batch that fails takes the other with it",
        module=_DRAINING,
        old="            except _ENDS_IT:\n                self._finish_all()\n                raise\n",
        new="            except _ENDS_IT:\n                raise\n",
        caught_by=(f"{_IN_PIPELINE}_two_batches_that_fail_are_both_tried",),
    ),
    Mutant(
        name="a batch that fails half-way through its sending is forgotten",
        module=_DRAINING,
        old="        self.turns.append(turn)\n        turn.begin()\n",
        new="        turn.begin()\n        self.turns.append(turn)\n",
        caught_by=(f"{_IN_PIPELINE}_what_was_sent_is_written_down_although_no_thread_is_left_for_the_rest",),
    ),
    Mutant(
        name="who has lost the lease sends on",
        module=_DRAINING,
        old="            self.watch.halted.set()  # what is not sent yet, another drainer sends\n",
        new="            pass\n",
        caught_by=(f"{_IN_PIPELINE}_a_drainer_that_has_lost_its_lease_sends_nothing_more",),
    ),
    Mutant(
        name="a refusal teaches no rate",
        module=_THROTTLE,
        old="        return Outcome.REFUSED\n",
        new="        return Outcome.ACCEPTED\n",
        caught_by=(f"{_IN_PIPELINE}_a_refusal_sets_a_rate_that_the_next_drain_keeps",),
    ),
)

_PACE = (
    Mutant(
        name="a level that brings nothing is kept",
        module=_PACING,
        old="is_more and gain >= _WORTH",
        new="is_more",
        caught_by=(
            f"{_IN_PACE}_after_a_minute_nearly_as_much_is_sent_as_at_the_best_fixed_level[slower with each]",
        ),
    ),
    Mutant(
        name="no level is ever tried again",
        module=_PACING,
        old="            if now >= self._rests_until:\n",
        new="            if self._rests_until < 0:\n",
        caught_by=(f"{_IN_PACE}_a_service_that_has_become_slow_is_sent_less_at_once",),
    ),
    Mutant(
        name="failures change no level",
        module=_PACING,
        old="        self.concurrency = before if is_trial and before else max(1, self.concurrency // 2)\n",
        new="",
        caught_by=(f"{_IN_PACE}_a_service_that_stops_answering_above_a_level_is_kept_below_it",),
    ),
    Mutant(
        name="a refused rate is never tried again",
        module=_PACING,
        old="            self.rate *= _CREEPS ** (faster * waited / 10)\n",
        new="",
        caught_by=(f"{_IN_PACE}_one_refusal_out_of_the_blue_is_forgotten_in_some_minutes",),
    ),
    Mutant(
        name="the next drain does not know how long a refusal is past",
        module=_PACING,
        old='            "held_back": round(self._held_back, 1),\n',
        new="",
        caught_by=(f"{_IN_PACE}_drains_that_end_after_a_few_seconds_forget_it_as_soon",),
    ),
    Mutant(
        name="a refused rate comes back at once",
        module=_PACING,
        old="_CREEPS = 1.04",
        new="_CREEPS = 1.5",
        caught_by=(f"{_IN_PACE}_a_service_that_refuses_above_a_rate_is_kept_just_below_it",),
    ),
    Mutant(
        name="the first batches are large although nothing is known",
        module=_PACING,
        old="_FIRST_ROWS = 5",
        new="_FIRST_ROWS = 20",
        caught_by=(f"{_IN_PACE}_who_signs_up_during_an_import_is_claimed_in_seconds",),
    ),
    Mutant(
        name="a new process sends at once",
        module=_PACING,
        old="            self._next = now + self._interval()\n",
        new="            self._next = now\n",
        caught_by=(f"{_IN_PACE}_a_new_process_begins_as_if_another_had_sent_just_now",),
    ),
    Mutant(
        name="a rate that sends nothing is believed",
        module=_PACING,
        old="None if rate is None else max(_LEAST_RATE, rate)\n        self._latency",
        new="rate\n        self._latency",
        caught_by=(f"{_IN_PACE}_a_learned_rate_is_never_so_low_that_nothing_is_sent",),
    ),
    Mutant(
        name="a pace that is no mapping is read",
        module=_PACING,
        old="known = learned if isinstance(learned, Mapping) else {}",
        new="known: Any = learned or {}",
        caught_by=(f"{_IN_PIPELINE}_a_row_that_holds_nonsense_stops_nobody",),
    ),
    Mutant(
        name="the host's level is no cap",
        module=_PACING,
        old="        tried = min(max(1, tried), self._most)\n",
        new="        tried = max(1, tried)\n",
        caught_by=(f"{_IN_PACE}_never_more_are_under_way_than_the_host_allows",),
    ),
)

_GATES = (
    Mutant(
        name="a closed gate is no obstacle",
        module=_GATE,
        old="    return Gate(open=opens_in <= 0, probe_first=opens_in <= 0, opens_in=opens_in)",
        new="    return Gate(open=True, probe_first=opens_in <= 0, opens_in=opens_in)",
        caught_by=(f"{_IN_GATE}_a_drain_behind_a_closed_gate_ends_without_a_call_and_says_so",),
    ),
    Mutant(
        name="a gate that only a person opens opens by itself",
        module=_GATE,
        old="    if row.gate_until is None:\n        return Gate(open=False)\n",
        new="    if row.gate_until is None:\n        return Gate(open=True)\n",
        caught_by=(f"{_IN_ACCOUNT}_a_gate_without_an_end_stays_closed",),
    ),
    Mutant(
        name="a shorter closure ends a longer one",
        module=_GATE,
        old="        rows.filter(Q(gate_until=None) | Q(gate_until__lt=until)).update(",
        new="        rows.update(",
        caught_by=(f"{_IN_GATE}_one_account_has_one_gate_row_whoever_looks_first",),
    ),
    Mutant(
        name="closing one account closes all",
        module=_GATE,
        old="rows = Account.objects.using(using).filter(pk=key)",
        new="rows = Account.objects.using(using)",
        caught_by=(f"{_IN_ACCOUNT}_what_is_noted_about_one_account_says_nothing_about_another",),
    ),
    Mutant(
        name="opening one account opens all",
        module=_GATE,
        old="filter(pk=key, gate=Account.Gate.CLOSED)",
        new="filter(gate=Account.Gate.CLOSED)",
        caught_by=(f"{_IN_ACCOUNT}_what_is_noted_about_one_account_says_nothing_about_another",),
    ),
    Mutant(
        name="a success of one account is one of all",
        module=_GATE,
        old="filter(pk=key).update(failures=0, gate_closures=0, last_success_at=at)",
        new="update(failures=0, gate_closures=0, last_success_at=at)",
        caught_by=(f"{_IN_ACCOUNT}_what_is_noted_about_one_account_says_nothing_about_another",),
    ),
    Mutant(
        name="a failure of one account is one of all",
        module=_GATE,
        old="filter(pk=key).exclude(failures=failures)",
        new="exclude(failures=failures)",
        caught_by=(f"{_IN_ACCOUNT}_what_is_noted_about_one_account_says_nothing_about_another",),
    ),
    Mutant(
        name="closures are not counted",
        module=_GATE,
        old='gate_closures=F("gate_closures") + 1,',
        new='gate_closures=F("gate_closures"),',
        caught_by=(f"{_IN_ACCOUNT}_each_closure_counts_until_something_succeeds",),
    ),
    Mutant(
        name="a success does not end the counting",
        module=_GATE,
        old="update(failures=0, gate_closures=0, last_success_at=at)",
        new="update(last_success_at=at)",
        caught_by=(f"{_IN_ACCOUNT}_each_closure_counts_until_something_succeeds",),
    ),
    Mutant(
        name="no probe before the gate opens",
        module=_DRAINING,
        old="                self.line.probe()\n",
        new="                pass\n",
        caught_by=(f"{_IN_GATE}_a_closed_gate_is_probed_with_one_harmless_get_and_never_with_a_create",),
    ),
    Mutant(
        name="a failed probe opens the gate",
        module=_DRAINING,
        old=(
            "            self.watch.probe_failed(error)\n"
            "            return gate.read(key, using=self.using)\n"
        ),
        new="            self.watch.probe_failed(error)\n",
        caught_by=(f"{_IN_GATE}_a_closed_gate_is_probed_with_one_harmless_get_and_never_with_a_create",),
    ),
    Mutant(
        name="a short closure is not waited for",
        module=_DRAINING,
        old="elif not begun and not self._is_worth_waiting(now):",
        new="elif not begun:",
        caught_by=(f"{_IN_OUTCOMES}_a_short_slow_down_is_waited_for_and_then_everything_is_sent",),
    ),
    Mutant(
        name="a probe that shows no reference is a fault",
        module=_LINE,
        old="            if not answers_as_ever(error):\n                raise\n",
        new="            raise\n",
        caught_by=(f"{_IN_ATTACKS}_the_gate_opens_again_where_answers_show_no_references",),
    ),
    Mutant(
        name="any organization is ours",
        module=_LINE,
        old='        if self.known_key in ("", fingerprint):\n            return True\n',
        new="        return True\n",
        caught_by=(f"{_IN_ATTACKS}_a_key_of_another_organization_sends_nobody_there",),
    ),
    Mutant(
        name="a new key of ours is refused",
        module=_LINE,
        old="            except (errors.NotFound, errors.Mismatch):\n                return False\n",
        new=(
            "            except (errors.NotFound, errors.Mismatch):\n"
            "                return False\n"
            "            return False\n"
        ),
        caught_by=(f"{_IN_ATTACKS}_a_new_key_of_the_same_organization_is_taken_over_silently",),
    ),
    Mutant(
        name="the organization is never learned",
        module=_LINE,
        old="        if organization_id is not None:\n",
        new="        if False:\n",
        caught_by=(
            f"{_IN_GATE}_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(
        name="failures are not counted over drains",
        module=_GATE,
        old="exclude(failures=failures).update(failures=failures)",
        new="exclude(failures=failures).update(failures=0)",
        caught_by=(f"{_IN_GATE}_failures_in_a_row_are_counted_over_drains",),
    ),
    Mutant(
        name="a success does not end a row of failures",
        module=_WATCH,
        old="self.failures = self.failures + 1 if isinstance(error, errors.UNWELL) else 0",
        new="self.failures = self.failures + 1 if isinstance(error, errors.UNWELL) else self.failures",
        caught_by=(f"{_IN_GATE}_a_success_ends_the_row_of_failures",),
    ),
    Mutant(
        name="failures in a row do not stop the batch",
        module=_WATCH,
        old="        if self.failures >= _FAILURES_IN_A_ROW or _closes(error, result.step.link):\n",
        new="        if _closes(error, result.step.link):\n",
        caught_by=(f"{_IN_OUTCOMES}_five_failures_in_a_row_stop_the_batch_and_blame_no_later_row",),
    ),
    Mutant(
        name="what closes the gate does not stop the batch",
        module=_WATCH,
        old="        if self.failures >= _FAILURES_IN_A_ROW or _closes(error, result.step.link):\n",
        new="        if self.failures >= _FAILURES_IN_A_ROW:\n",
        caught_by=(f"{_IN_GATE}_a_revoked_key_burns_no_attempt_of_any_row_and_sending_resumes_by_itself",),
    ),
    Mutant(
        name="the gate opens for everybody at once",
        module=_WATCH,
        old="        self._opening = 1\n        gate.reopen",
        new="        gate.reopen",
        caught_by=(f"{_IN_ACCOUNT}_an_account_opens_for_one_row_at_first_in_this_process_and_in_the_next",),
    ),
    Mutant(
        name="the next process opens the gate for everybody",
        module=_WATCH,
        old="self._opening = 1 if row.gate_closures else None",
        new="self._opening = None",
        caught_by=(f"{_IN_ACCOUNT}_an_account_opens_for_one_row_at_first_in_this_process_and_in_the_next",),
    ),
    Mutant(
        name="the first failure after an opening is one of five",
        module=_WATCH,
        old="self.failures = min(self.failures, _FAILURES_IN_A_ROW - 1)",
        new="self.failures = 0",
        caught_by=(f"{_IN_GATE}_a_failure_of_the_first_row_closes_it_again_at_once",),
    ),
    Mutant(
        name="of two waits any is kept",
        module=_WATCH,
        old='key=lambda result: getattr(result.error, "retry_after", None) or 0.0,',
        new="key=lambda result: 0.0,",
        caught_by=(f"{_IN_GATE}_of_two_waits_in_one_batch_the_longer_one_is_kept",),
    ),
    Mutant(
        name="a service that fails for long is asked as often as it likes",
        module=_WATCH,
        old="            seconds = max(seconds, _UNAVAILABLE_FOR)\n",
        new="            pass\n",
        caught_by=(
            f"{_IN_GATE}_a_service_that_fails_for_long_is_asked_every_half_minute_even_if_it_asks_for_less",
        ),
    ),
    Mutant(
        name="a service that fails for long is asked before the time that it asks for",
        module=_WATCH,
        old="seconds = max(seconds, _UNAVAILABLE_FOR)",
        new="seconds = _UNAVAILABLE_FOR",
        caught_by=(f"{_IN_ACCOUNT}_a_service_that_fails_for_long_is_given_the_time_that_it_asks_for",),
    ),
    Mutant(
        name="a read is a success in earnest",
        module=_WATCH,
        old="    return bool(result.step.operation) and (",
        new="    return (",
        caught_by=(f"{_IN_ACCOUNT}_to_be_read_from_is_no_success_in_earnest",),
    ),
    Mutant(
        name="an address that the service rewrites closes the account again and again",
        module=_WATCH,
        old="repeated = link is not None and link.last_error_code == error.code",
        new="repeated = False",
        caught_by=(f"{_IN_ATTACKS}_an_address_that_the_service_rewrites_troubles_its_own_row_alone",),
    ),
    Mutant(
        name="a wait of the service for all is passed over",
        module=_WATCH,
        old="        return bool(error.retry_after)\n",
        new="        return False\n",
        caught_by=(f"{_IN_GATE}_what_the_service_asks_for_holds_for_the_whole_account_and_the_next_process",),
    ),
    Mutant(
        name="a certificate that does not fit closes nothing",
        module=_WATCH,
        old="    errors.TlsFailed: 60.0,\n",
        new="",
        caught_by=(
            f"{_IN_GATE}_a_certificate_that_does_not_fit_closes_the_gate_at_once_and_burns_no_attempt",
        ),
    ),
    Mutant(
        name="an answer that was not agreed on closes nothing",
        module=_WATCH,
        old="    errors.Contract: 300.0,\n",
        new="",
        caught_by=(
            f"{_IN_GATE}_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
)

MUTANTS = (
    *_DRAINERS,
    *_GATES,
    *_PIPELINE,
    *_PACE,
)
