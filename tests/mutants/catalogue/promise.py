"""The machinery of the promise: leases, intents, fences, and what is written down after a turn.

Some guards have a twin that stops the same accident a step earlier or later, so that a test of the whole
misses neither of the two alone. Each of them is caught by a test of its own effect, in
`tests/engine/test_guards.py`, `test_delivery.py` and `test_account.py`:

    the settle check in `intend`                 `after_look_up`
    the token in `write`                         the token in `hold`
    the margin of the lease before an intent     the same before each call
    a drain's budget before each call            the margin of the lease
    `robust` after the commit                    the broad except in `nudge`
    the key for one address                      the session knows the way to that address alone
    one row after an opening in this process     the same in the next process
    who is left out is not due                   who is left out is not planned for
"""

from tests.mutants.mutant import Mutant

_CLAIMING = "kohort_sync/links/claiming.py"
_SETTLING = "kohort_sync/links/settling.py"
_ROWS = "kohort_sync/links/rows.py"
_BULK = "kohort_sync/bulk.py"
_DECIDING = "kohort_sync/links/deciding.py"
_PLANNING = "kohort_sync/delivery/planning.py"
_OUTCOMES = "kohort_sync/delivery/outcomes.py"
_SENDING = "kohort_sync/delivery/sending.py"
_TURN = "kohort_sync/drainer/turn.py"

_IN_TIME = "tests/databases/test_time.py::test"
_IN_ATTACKS = "tests/engine/test_attacks.py::test"
_IN_DECISIONS = "tests/engine/test_decisions.py::test"
_IN_BULK = "tests/test_bulk.py::test"
_IN_GUARDS = "tests/engine/test_guards.py::test"
_IN_OUTCOMES = "tests/engine/test_outcomes.py::test"
_IN_PUSH = "tests/engine/test_push.py::test"
_IN_REMOVAL = "tests/engine/test_removal.py::test"
_IN_TRANSITIONS = "tests/engine/test_transitions.py::test"
_IN_UPDATES = "tests/engine/test_updates.py::test"
_IN_FOUND = "tests/machine/test_found.py::test"

_LEASES = (
    Mutant(
        name="no lease",
        module=_CLAIMING,
        old="free, account=account, next_attempt_at__lte=now, state__in",
        new="account=account, next_attempt_at__lte=now, state__in",
        caught_by=(f"{_IN_TIME}_a_lease_goes_by_the_clock_of_the_database",),
    ),
    Mutant(
        name="claims rows that are not due",
        module=_CLAIMING,
        old="free, account=account, next_attempt_at__lte=now, state__in",
        new="free, account=account, next_attempt_at__isnull=False, state__in",
        caught_by=(f"{_IN_TIME}_a_row_is_claimed_when_it_is_due_and_no_earlier",),
    ),
    Mutant(
        name="claims the rows of every account",
        module=_CLAIMING,
        old="free, account=account, next_attempt_at__lte=now, state__in",
        new="free, next_attempt_at__lte=now, state__in",
        caught_by=(f"{_IN_GUARDS}_a_claim_takes_the_rows_of_its_account_alone",),
    ),
    Mutant(
        name="a row whose lease was lost is claimed with others",
        module=_CLAIMING,
        old=(
            "[oldest]\n                if suspect\n                "
            "else [key for key, held, crashes in found if not _is_suspect(held, crashes)]\n"
        ),
        new="[key for key, _, _ in found]\n",
        caught_by=(f"{_IN_PUSH}_a_lease_that_was_lost_makes_the_row_claimable_again_and_alone",),
    ),
    Mutant(
        name="a row whose lease was lost is taken along behind others",
        module=_CLAIMING,
        old="[key for key, held, crashes in found if not _is_suspect(held, crashes)]",
        new="[key for key, _, _ in found]",
        caught_by=(f"{_IN_GUARDS}_a_suspect_is_not_taken_along_behind_others",),
    ),
    Mutant(
        name="a crash is charged to the whole batch",
        module=_CLAIMING,
        old="columns = _after_loss(rows.get(pk=oldest), until=until) if suspect else {}",
        new="columns = _after_loss(rows.get(pk=oldest), until=until)",
        caught_by=(f"{_IN_GUARDS}_only_leases_that_a_row_loses_alone_are_charged_to_it",),
    ),
    Mutant(
        name="no crash is counted",
        module=_CLAIMING,
        old='"crashes": link.crashes + 1,',
        new='"crashes": link.crashes,',
        caught_by=(f"{_IN_GUARDS}_only_leases_that_a_row_loses_alone_are_charged_to_it",),
    ),
    Mutant(
        name="a row that may kill comes again at once",
        module=_CLAIMING,
        old="until + timedelta(seconds=retry.after_crash(crashes=link.crashes))",
        new="until",
        caught_by=(f"{_IN_GUARDS}_a_row_that_may_kill_waits_longer_than_its_lease",),
    ),
    Mutant(
        name="what was under way is not compared after a lost lease",
        module=_CLAIMING,
        old='        "verify": True,\n        "next_attempt_at": until',
        new='        "next_attempt_at": until',
        caught_by=(f"{_IN_GUARDS}_a_lost_lease_asks_for_a_comparison",),
    ),
    Mutant(
        name="no second look after a lost lease",
        module=_CLAIMING,
        old="return columns | second_look(link)",
        new="return columns",
        caught_by=(f"{_IN_GUARDS}_a_lease_lost_with_an_intent_asks_for_a_second_look",),
    ),
    Mutant(
        name="no margin on the monotonic clock before a send",
        module=_CLAIMING,
        old="return time.monotonic() + seconds < self.ends",
        new="return True",
        caught_by=(f"{_IN_GUARDS}_nothing_is_sent_for_which_the_lease_might_not_last",),
    ),
    Mutant(
        name="the margin before a send forgets how long the call may take",
        module=_CLAIMING,
        old="return time.monotonic() + seconds < self.ends",
        new="return time.monotonic() < self.ends",
        caught_by=(f"{_IN_GUARDS}_nothing_is_sent_for_which_the_lease_might_not_last",),
    ),
    Mutant(
        name="the lease is thought to begin after the claim",
        module=_CLAIMING,
        old="ends = started + conf.row_lease()",
        new="ends = time.monotonic() + conf.row_lease()",
        caught_by=(f"{_IN_GUARDS}_a_slow_claim_makes_no_lease_longer",),
    ),
)

_INTENTS = (
    Mutant(
        name="no intent before the call",
        module=_TURN,
        old="self._allowed |= links.intend(self.batch, _intents(to_send), using=self.using)",
        new="self._allowed |= {intent.link.pk for intent in _intents(to_send)}",
        caught_by=(
            f"{_IN_TRANSITIONS}_a_row_says_uncertain_from_before_a_create_until_its_outcome_is_known",
        ),
    ),
    Mutant(
        name="sends although the intent was not written",
        module=_TURN,
        old="self._send([step for step in to_send if step.link.pk in self._allowed], self._sent)",
        new="self._send(to_send, self._sent)",
        caught_by=(f"{_IN_GUARDS}_nothing_is_sent_whose_intent_could_not_be_written",),
    ),
    Mutant(
        name="no margin of the lease in the database before an intent",
        module=_CLAIMING,
        old="lease_token=batch.token, lease_until__gt=now + lasts)",
        new="lease_token=batch.token)",
        caught_by=(f"{_IN_GUARDS}_nothing_is_intended_whose_lease_ends_within_a_call",),
    ),
    Mutant(
        name="no token before an intent",
        module=_CLAIMING,
        old="filter(lease_token=batch.token, lease_until__gt=now + lasts)",
        new="filter(lease_until__gt=now + lasts)",
        caught_by=(f"{_IN_GUARDS}_nothing_is_intended_for_a_row_that_another_holds",),
    ),
    # Its twin is the one in after_look_up.
    Mutant(
        name="no settle window in intend",
        module=_CLAIMING,
        old='if is_asked_anew or (intent.operation == "create" and has_not_settled):',
        new="if is_asked_anew:",
        caught_by=(f"{_IN_GUARDS}_no_create_is_intended_before_the_last_has_settled",),
    ),
    Mutant(
        name="no settle window after a look-up",
        module=_OUTCOMES,
        old="return link.settle_until is None or link.settle_until <= now",
        new="return True",
        caught_by=(f"{_IN_GUARDS}_a_look_up_leads_to_no_create_before_the_last_has_settled",),
    ),
    Mutant(
        name="no settle window at all",
        module=_CLAIMING,
        old="link.settle_until = batch.claimed_at + timedelta(seconds=conf.row_lease()) + settle",
        new="link.settle_until = batch.claimed_at",
        caught_by=(f"{_IN_GUARDS}_the_window_of_a_create_begins_where_its_lease_ends",),
    ),
    Mutant(
        name="the settle window begins before the lease ends",
        module=_CLAIMING,
        old="link.settle_until = batch.claimed_at + timedelta(seconds=conf.row_lease()) + settle",
        new="link.settle_until = now + settle",
        caught_by=(f"{_IN_GUARDS}_the_window_of_a_create_begins_where_its_lease_ends",),
    ),
    Mutant(
        name="sends although an erasure was asked for meanwhile",
        module=_CLAIMING,
        old='if is_asked_anew or (intent.operation == "create" and has_not_settled):',
        new='if intent.operation == "create" and has_not_settled:',
        caught_by=(f"{_IN_GUARDS}_nothing_is_intended_for_somebody_whose_erasure_was_asked_for",),
    ),
    Mutant(
        name="an open create is not said to be uncertain",
        module=_CLAIMING,
        old="                link.state = State.UNCERTAIN\n",
        new="",
        caught_by=(
            f"{_IN_TRANSITIONS}_a_row_says_uncertain_from_before_a_create_until_its_outcome_is_known",
        ),
    ),
    Mutant(
        name="creates are not counted",
        module=_CLAIMING,
        old="link.posts += 1",
        new="link.posts = link.posts or 1",
        caught_by=(f"{_IN_GUARDS}_a_create_that_is_repeated_is_counted",),
    ),
    Mutant(
        name="a conflict is still offered for decision while an answer is awaited",
        module=_CLAIMING,
        old='                link.conflict_kind, link.conflict_ids = "", []\n',
        new="",
        caught_by=(f"{_IN_FOUND}_nothing_can_be_decided_while_the_answer_to_a_repeated_create_is_awaited",),
    ),
    Mutant(
        name="no freeze",
        module=_OUTCOMES,
        old="frozen = link.intent_email or step.data.email_address",
        new="frozen = step.data.email_address",
        caught_by=(f"{_IN_GUARDS}_a_create_that_is_repeated_keeps_its_address",),
    ),
    Mutant(
        name="a refusal of the frozen address condemns the present one",
        module=_OUTCOMES,
        old="return isinstance(step, Create) and step.sent != step.data",
        new="return False",
        caught_by=(f"{_IN_FOUND}_a_refusal_of_the_first_address_does_not_condemn_the_present_one",),
    ),
    Mutant(
        name="no look-up before a second create",
        module=_PLANNING,
        old="    if link.posts:\n        return LookUp(link=link, data=data)\n    if _was_refused",
        new="    if _was_refused",
        caught_by=(f"{_IN_PUSH}_a_lost_answer_is_looked_up_and_adopted_without_a_second_create",),
    ),
    Mutant(
        name="no look-up after a refused create",
        module=_SENDING,
        old="        return courier.look_up(refusal=error)\n",
        new="        return Result(step=step, refusal=error, attempts=tuple(courier.attempts))\n",
        caught_by=(f"{_IN_OUTCOMES}_a_reference_that_is_taken_already_is_adopted_in_the_same_turn",),
    ),
)

_FENCES = (
    # The tokens of hold and write are twins: what hold does not return is never handed to write.
    Mutant(
        name="no token in write",
        module=_BULK,
        old='WHERE {key} = %s AND {guard} = %s"',
        new='WHERE {key} = %s AND %s IS NOT NULL"',
        caught_by=(f"{_IN_GUARDS}_a_write_without_the_token_of_the_row_changes_nothing",),
    ),
    Mutant(
        name="no token in write on PostgreSQL",
        module=_BULK,
        old=" AND {table}.{guard} = given.fence",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_write_without_the_token_of_the_row_changes_nothing",),
        database="postgresql",
    ),
    Mutant(
        name="only the first of many is looked for",
        module=_BULK,
        old="for value in self.rhs]",
        new="for value in [*self.rhs][:1]]",
        caught_by=(f"{_IN_BULK}_any_of_many_is_what_in_is",),
    ),
    Mutant(
        name="what is inserted on PostgreSQL gets no moment",
        module=_BULK,
        old="                field.pre_save(row, add=True)\n",
        new="                pass\n",
        caught_by=(f"{_IN_BULK}_what_is_inserted_gets_the_moment",),
        database="postgresql",
    ),
    Mutant(
        name="rows beyond the first thousand are forgotten on PostgreSQL",
        module=_BULK,
        old="    for start in range(0, len(rows), _AT_ONCE):\n",
        new="    for start in (0,):\n",
        caught_by=(f"{_IN_BULK}_many_rows_are_inserted_and_written_over",),
        database="postgresql",
    ),
    Mutant(
        name="no token in settle",
        module=_SETTLING,
        old="ours = CustomerLink.objects.using(using).filter(lease_token=batch.token)",
        new="ours = CustomerLink.objects.using(using)",
        caught_by=(f"{_IN_PUSH}_a_stale_batch_can_write_nothing",),
    ),
    Mutant(
        name="the mirror shows what a late worker saw",
        module=_SETTLING,
        old="if s.remote is not None and s.link.pk in held])",
        new="if s.remote is not None])",
        caught_by=(f"{_IN_GUARDS}_what_a_late_worker_saw_is_not_mirrored",),
    ),
    Mutant(
        name="a late worker is thought to hold its rows still",
        module=_SETTLING,
        old="filter(pk__in=keys, lease_token=batch.token)",
        new="filter(pk__in=keys)",
        caught_by=(f"{_IN_GUARDS}_rows_that_another_holds_are_no_longer_ours",),
    ),
    Mutant(
        name="no late report",
        module=_TURN,
        old="        links.report_late(self.batch, late & self._allowed, using=self.using)\n",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_worker_that_comes_back_late_says_so",),
    ),
    Mutant(
        name="a late report also marks rows that are still ours",
        module=_SETTLING,
        old="        .exclude(lease_token=batch.token)\n",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_late_report_says_nothing_about_rows_that_are_still_ours",),
    ),
    Mutant(
        name="a late report takes up whoever was left out",
        module=_SETTLING,
        old="        .exclude(state=State.IGNORED)\n",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_late_report_leaves_the_ignored_alone",),
    ),
    Mutant(
        name="the outcome of the present holder wipes a late report away",
        module=_SETTLING,
        old='desired_version=F("desired_version") + 1,',
        new="",
        caught_by=(f"{_IN_ATTACKS}_a_late_report_outlives_the_outcome_of_the_present_holder",),
    ),
    Mutant(
        name="a late report asks for one look",
        module=_SETTLING,
        old="            look_again_at=again_at,\n",
        new="",
        caught_by=(f"{_IN_UPDATES}_a_worker_that_reports_late_asks_for_two_looks",),
    ),
    Mutant(
        name="what arrives after an erasure stays",
        module=_SETTLING,
        old='state=Case(When(state=State.ERASED, then=Value(State.ERASING)), default=F("state")),',
        new="",
        caught_by=(f"{_IN_GUARDS}_a_late_report_takes_an_erasure_up_again",),
    ),
    Mutant(
        name="a change while the request is under way is lost",
        module=_SETTLING,
        old="        if held[link.pk].desired_version != link.desired_version:\n",
        new="        if False:\n",
        caught_by=(f"{_IN_PUSH}_a_change_while_the_request_is_under_way_is_not_lost",),
    ),
    Mutant(
        name="what was asked for while the request is under way is lost",
        module=_SETTLING,
        old="            _heed(link, held[link.pk], now=now)\n",
        new="",
        caught_by=(f"{_IN_ATTACKS}_a_resync_asked_for_while_a_request_is_under_way_is_not_lost",),
    ),
    Mutant(
        name="an erasure asked for while the request is under way is lost",
        module=_SETTLING,
        old="    if is_asked_anew or (link.state == State.ERASED and asked.verify):\n",
        new="    if link.state == State.ERASED and asked.verify:\n",
        caught_by=(f"{_IN_REMOVAL}_an_erasure_asked_for_while_the_row_is_being_sent_is_not_lost",),
    ),
    Mutant(
        name="two users may have one customer",
        module=_SETTLING,
        old="    if taken.setdefault(customer, link.pk) != link.pk:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_OUTCOMES}_two_users_never_get_the_same_customer",),
    ),
    Mutant(
        name="a decision that the state machine does not know is written down",
        module=_SETTLING,
        old="        if not may_become(self.link.state, self.state):\n",
        new="        if False:\n",
        caught_by=(f"{_IN_TRANSITIONS}_a_settlement_that_the_machine_does_not_know_is_refused",),
    ),
    Mutant(
        name="a decision is taken about a row that is being sent",
        module=_DECIDING,
        old="        free, pk=link.pk, state=link.state, lease_token=link.lease_token\n",
        new="        pk=link.pk, state=link.state, lease_token=link.lease_token\n",
        caught_by=(f"{_IN_DECISIONS}_nothing_is_decided_about_a_row_that_is_being_sent",),
    ),
    Mutant(
        name="a decision does not fence off whoever was sending",
        module=_DECIDING,
        old='values = changed(WorkClass.CHANGE) | {"lease_token": "", "lease_until": None} | columns',
        new="values = changed(WorkClass.CHANGE) | columns",
        caught_by=(f"{_IN_GUARDS}_a_decision_fences_off_whoever_was_sending",),
    ),
    Mutant(
        name="no second look after a decision over a lost lease",
        module=_DECIDING,
        old="        values |= second_look(link)\n",
        new="        pass\n",
        caught_by=(f"{_IN_GUARDS}_a_decision_over_a_lost_lease_asks_for_a_second_look",),
    ),
    Mutant(
        name="a decision is taken about a row that has moved on",
        module=_DECIDING,
        old="free, pk=link.pk, state=link.state, lease_token=link.lease_token",
        new="free, pk=link.pk, lease_token=link.lease_token",
        caught_by=(f"{_IN_GUARDS}_a_decision_about_a_state_that_has_passed_is_refused",),
    ),
)

_OUTCOMES_OF_TURNS = (
    Mutant(
        name="those who have waited longest wait on",
        module=_CLAIMING,
        old='rows.order_by("next_attempt_at", "pk")',
        new='rows.order_by("pk")',
        caught_by=(f"{_IN_GUARDS}_those_who_have_waited_longest_are_claimed_first",),
    ),
    Mutant(
        name="one claim takes rows of all classes",
        module=_CLAIMING,
        old="rows = due.filter(work_class=work_class)",
        new="rows = due",
        caught_by=(f"{_IN_GUARDS}_one_claim_takes_rows_of_one_class",),
    ),
    Mutant(
        name="a refusal outlives a change that was made meanwhile",
        module=_SETTLING,
        old='    link.refused = ""\n',
        new="",
        caught_by=(f"{_IN_GUARDS}_a_refusal_does_not_outlive_a_change_that_was_made_meanwhile",),
    ),
    Mutant(
        name="a change made meanwhile wipes a comparison away",
        module=_SETTLING,
        old="link.verify = link.verify or asked.verify",
        new="link.verify = asked.verify",
        caught_by=(
            f"{_IN_GUARDS}_a_comparison_that_the_outcome_asks_for_outlives_a_change_that_was_made_meanwhile",
        ),
    ),
    Mutant(
        name="of two later looks the one asked for is kept",
        module=_SETTLING,
        old="max(asked.look_again_at, link.look_again_at or asked.look_again_at)",
        new="asked.look_again_at",
        caught_by=(f"{_IN_GUARDS}_of_two_later_looks_the_last_one_is_kept",),
    ),
    Mutant(
        name="a later look that is over is asked for again",
        module=_SETTLING,
        old="if asked.look_again_at is not None and asked.look_again_at > now:",
        new="if asked.look_again_at is not None:",
        caught_by=(f"{_IN_GUARDS}_of_two_later_looks_the_last_one_is_kept",),
    ),
    Mutant(
        name="a late report is about everybody",
        module=_SETTLING,
        old="        .filter(pk=key)\n",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_late_report_is_about_its_own_linked_rows_alone",),
    ),
    Mutant(
        name="a late report is about whoever has no customer",
        module=_SETTLING,
        old="        .exclude(customer=None)\n",
        new="",
        caught_by=(f"{_IN_GUARDS}_a_late_report_is_about_its_own_linked_rows_alone",),
    ),
    Mutant(
        name="an erasure takes the words about everybody",
        module=_SETTLING,
        old='filter(link__in=keys).exclude(operation="erase")',
        new='exclude(operation="erase")',
        caught_by=(f"{_IN_GUARDS}_an_erasure_takes_the_words_about_one_user_alone",),
    ),
    Mutant(
        name="nobody knows since when a link stands",
        module=_SETTLING,
        old="link.linked_at = link.linked_at or now",
        new="link.linked_at = now",
        caught_by=(f"{_IN_GUARDS}_a_link_says_since_when_it_stands_and_when_it_was_last_in_step",),
    ),
    Mutant(
        name="a second look comes before anything could arrive",
        module=_ROWS,
        old="over = link.lease_until + timedelta(seconds=conf.settle_window())",
        new="over = link.lease_until",
        caught_by=(f"{_IN_GUARDS}_a_second_look_is_due_when_nothing_can_arrive_any_more",),
    ),
    Mutant(
        name="a second look takes the place of a later one",
        module=_ROWS,
        old="max(over, link.look_again_at or over)",
        new="over",
        caught_by=(f"{_IN_GUARDS}_a_second_look_is_due_when_nothing_can_arrive_any_more",),
    ),
    Mutant(
        name="a second look though nothing was intended",
        module=_ROWS,
        old="if not (link.intent and link.lease_until",
        new="if not (link.lease_until",
        caught_by=(f"{_IN_GUARDS}_a_second_look_is_due_when_nothing_can_arrive_any_more",),
    ),
)

MUTANTS = (*_LEASES, *_INTENTS, *_FENCES, *_OUTCOMES_OF_TURNS)
