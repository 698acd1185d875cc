"""Security: what hides the key and people, who may press which button, and what may be reached."""

from tests.mutants.mutant import Mutant

_REDACTION = "kohort_sync/redaction.py"
_RECORDS = "kohort_sync/client/records.py"
_REFUSALS = "kohort_sync/client/refusals.py"
_SOCKETS = "kohort_sync/client/sockets.py"
_TRANSPORT = "kohort_sync/client/transport.py"
_ADMIN = "kohort_sync/admin/pages.py"
_DECIDING = "kohort_sync/services/deciding.py"

_IN_ADMIN = "tests/edges/test_admin.py::test"
_IN_REDACTION = "tests/test_redaction.py::test"
_IN_TRANSPORT = "tests/client/test_transport.py::test"
_IN_CUSTOMERS = "tests/client/test_customers.py::test"
_ABOUT_ADMIN = "tests/security/test_admin.py::test"
_ABOUT_DATA = "tests/security/test_data.py::test"
_ABOUT_TRACEBACKS = "tests/security/test_tracebacks.py::test"
_CANARIES = (
    "tests/security/test_canaries.py::test_nothing_that_is_printed_on_the_way_shows_the_key_or_a_person"
)

_HIDING = (
    Mutant(
        name="a key in a text is kept",
        module=_REDACTION,
        old='    (re.compile(r"[sp]k_(?:test|live)_\\S*", re.IGNORECASE), MASK),\n',
        new="",
        caught_by=(
            f"{_IN_REDACTION}_a_key_never_comes_through",
            f"{_IN_REDACTION}_a_text_loses_what_is_secret_or_personal",
        ),
    ),
    Mutant(
        name="what a scheme was refused with is kept",
        module=_REDACTION,
        old='    (re.compile(r"\\bbearer\\b(?=[\\s:=\'\\"<])[^\\n]*", re.IGNORECASE), f"Bearer {MASK}"),\n',
        new="",
        caught_by=(f"{_IN_REDACTION}_a_text_loses_what_is_secret_or_personal",),
    ),
    Mutant(
        name="a number in a text is kept",
        module=_REDACTION,
        old='    (re.compile(r"\\+?\\d(?:[\\s().\\-/]{0,3}\\d){6,}"), MASK),\n',
        new="",
        caught_by=(f"{_IN_REDACTION}_a_text_loses_what_is_secret_or_personal",),
    ),
    Mutant(
        name="what is known of a person is kept",
        module=_REDACTION,
        old='        text = re.sub(rf"(?<!\\w){re.escape(value)}(?!\\w)", MASK, text, flags=re.IGNORECASE)\n',
        new="        pass\n",
        caught_by=(f"{_IN_REDACTION}_known_values_are_masked_as_whole_words",),
    ),
    Mutant(
        name="a secret prints itself",
        module=_REDACTION,
        old="    def __repr__(self) -> str:\n        return MASK\n",
        new="    def __repr__(self) -> str:\n        return self._text\n",
        caught_by=(
            f"{_IN_REDACTION}_a_secret_shows_itself_only_when_it_is_asked_to",
            "tests/test_conf.py::test_the_key_is_in_no_representation",
        ),
    ),
    Mutant(
        name="a secret formats itself",
        module=_REDACTION,
        old="    def __format__(self, spec: str) -> str:\n        return MASK\n",
        new="    def __format__(self, spec: str) -> str:\n        return format(self._text, spec)\n",
        caught_by=(f"{_IN_REDACTION}_a_secret_shows_itself_only_when_it_is_asked_to",),
    ),
    Mutant(
        name="a secret is pickled",
        module=_REDACTION,
        old='raise TypeError("A secret is not pickled: pass the name of the setting that holds it.")',
        new="return super().__reduce_ex__(2)",
        caught_by=(f"{_IN_REDACTION}_a_secret_is_copied_as_itself_and_never_serialized",),
    ),
    Mutant(
        name="a fingerprint tells the whole hash",
        module=_REDACTION,
        old=".hexdigest()[:8]",
        new=".hexdigest()",
        caught_by=(f"{_IN_REDACTION}_a_fingerprint_tells_keys_apart_without_telling_them",),
    ),
)

_FRAMES = (
    Mutant(
        name="frames keep their variables",
        module=_REDACTION,
        old="            traceback.clear_frames(one.__traceback__)\n",
        new="",
        caught_by=(
            f"{_ABOUT_TRACEBACKS}_a_time_limit_in_the_middle_of_a_call_shows_no_key",
            f"{_ABOUT_TRACEBACKS}_a_lost_database_shows_nobody_whatever_was_being_written",
            f"{_ABOUT_TRACEBACKS}_frames_are_emptied_along_the_whole_chain_and_stay_where_they_were",
        ),
    ),
    Mutant(
        name="the frames of a cause keep their variables",
        module=_REDACTION,
        old="            waiting += [one.__cause__, one.__context__]\n",
        new="",
        caught_by=(f"{_ABOUT_TRACEBACKS}_frames_are_emptied_along_the_whole_chain_and_stay_where_they_were",),
    ),
    Mutant(
        name="a drain shows its variables",
        module="kohort_sync/drainer/draining.py",
        old="@redaction.frames_emptied()\n",
        new="",
        caught_by=(
            f"{_ABOUT_TRACEBACKS}_a_lost_database_shows_nobody_whatever_was_being_written[drain]",
            f"{_ABOUT_TRACEBACKS}_a_time_limit_in_the_middle_of_a_call_shows_no_key[drain]",
        ),
    ),
    Mutant(
        name="a probe shows its variables",
        module="kohort_sync/drainer/line.py",
        old="@redaction.frames_emptied()\n",
        new="",
        caught_by=(f"{_ABOUT_TRACEBACKS}_a_time_limit_in_the_middle_of_a_call_shows_no_key[probe]",),
    ),
    Mutant(
        name="a sweep shows its variables",
        module="kohort_sync/sweep.py",
        old="@redaction.frames_emptied()\n",
        new="",
        caught_by=(f"{_ABOUT_TRACEBACKS}_a_lost_database_shows_nobody_whatever_was_being_written[sweep]",),
    ),
    Mutant(
        name="a rehearsed backfill shows its variables",
        module="kohort_sync/services/running.py",
        old="@redaction.frames_emptied()\ndef rehearse",
        new="def rehearse",
        caught_by=(
            f"{_ABOUT_TRACEBACKS}_a_lost_database_shows_nobody_whatever_was_being_written[rehearsal]",
        ),
    ),
    Mutant(
        name="the failure of the site's function is logged with its traceback",
        module="kohort_sync/delivery/planning.py",
        old="    logger.error(\n",
        new="    logger.exception(\n",
        caught_by=(_CANARIES,),
    ),
)

_CARRIED = (
    Mutant(
        name="what is sent prints itself",
        module=_RECORDS,
        old='        return "CustomerData(***)"\n',
        new="        return str(self.payload())\n",
        caught_by=(f"{_IN_CUSTOMERS}_nothing_prints_a_person",),
    ),
    Mutant(
        name="an answer prints its body",
        module=_TRANSPORT,
        old='        return f"Exchange(status={self.status}, milliseconds={self.milliseconds})"\n',
        new="        return str(self.body)\n",
        caught_by=(f"{_IN_TRANSPORT}_nothing_prints_the_key_or_the_person",),
    ),
    Mutant(
        name="an intent prints the address",
        module="kohort_sync/links/claiming.py",
        old="field(default=None, repr=False)",
        new="field(default=None)",
        caught_by=(f"{_ABOUT_DATA}_what_the_engine_carries_prints_nobody",),
    ),
    Mutant(
        name="a settlement prints what it writes",
        module="kohort_sync/links/settling.py",
        old="field(default_factory=dict, repr=False)",
        new="field(default_factory=dict)",
        caught_by=(f"{_ABOUT_DATA}_what_the_engine_carries_prints_nobody",),
    ),
    Mutant(
        name="a situation prints who has which address",
        module="kohort_sync/delivery/settlements.py",
        old="field(default_factory=dict, repr=False)",
        new="field(default_factory=dict)",
        caught_by=(f"{_ABOUT_DATA}_what_the_engine_carries_prints_nobody",),
    ),
    Mutant(
        name="the words of a refusal are kept of whomever they are",
        module=_REFUSALS,
        old='    said = talk if question.about is not None else ""\n',
        new="    said = talk\n",
        caught_by=(
            f"{_IN_CUSTOMERS}_a_refusal_of_a_call_that_says_nothing_of_a_person_is_kept_without_its_words",
        ),
    ),
    Mutant(
        name="a refused change is stripped of what was changed alone",
        module="kohort_sync/client/refusals.py",
        old="    about = question.about.payload() if question.about is not None else question.body()\n",
        new="    about = question.body()\n",
        caught_by=(f"{_IN_CUSTOMERS}_a_refused_change_is_told_without_what_was_not_changed",),
    ),
    Mutant(
        name="a malformed header is logged with the address",
        module=_SOCKETS,
        old="        self.headers.defects.clear()\n",
        new="",
        caught_by=(f"{_IN_TRANSPORT}_a_malformed_header_is_not_logged_with_the_address",),
    ),
    Mutant(
        name="a reason keeps the address that somebody wrote into it",
        module=_DECIDING,
        old="        reason=redaction.redact(reason, limit=_LONGEST_REASON),\n",
        new="        reason=reason,\n",
        caught_by=("tests/engine/test_decisions.py::test_the_address_of_a_person_in_a_reason_is_not_kept",),
    ),
)

_REACHED = (
    Mutant(
        name="the key goes wherever a request goes",
        module=_TRANSPORT,
        old='        if _origin(request.url or "") == self._origin:\n',
        new="        if request.url:\n",
        caught_by=(f"{_IN_TRANSPORT}_the_key_is_added_to_no_request_for_another_place",),
    ),
    Mutant(
        name="a key may have anything behind it",
        module=_TRANSPORT,
        old="    found = _KEY.fullmatch(key.reveal().strip())\n",
        new="    found = _KEY.match(key.reveal().strip())\n",
        caught_by=(f"{_IN_TRANSPORT}_a_key_that_cannot_be_right_is_refused_unquoted",),
    ),
    Mutant(
        name="a live key goes over http",
        module=_TRANSPORT,
        old='    if parts.scheme == "http" and mode != "test":\n',
        new="    if not mode:\n",
        caught_by=(f"{_IN_TRANSPORT}_a_live_key_never_goes_over_http",),
    ),
    Mutant(
        name="a key goes over http to anywhere",
        module=_TRANSPORT,
        old='    if parts.scheme == "http" and not _is_this_machine(parts.hostname):\n',
        new="    if not parts.hostname:\n",
        caught_by=(f"{_IN_TRANSPORT}_an_address_that_could_leak_the_key_is_refused",),
    ),
    Mutant(
        name="an id may be a path",
        module=_RECORDS,
        old='ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")\n',
        new='ID: Final = re.compile(r".{1,64}")\n',
        caught_by=(
            f"{_IN_CUSTOMERS}_an_id_cannot_leave_its_place_in_the_path",
            "tests/test_services.py::test_what_can_be_no_customer_is_never_adopted",
        ),
    ),
)

_BUTTONS = (
    Mutant(
        name="whoever may look may try again",
        module=_ADMIN,
        old='again"), permissions=["resync"])',
        new='again"))',
        caught_by=(
            f"{_IN_ADMIN}_a_viewer_can_press_no_button_to_try_again",
            f"{_ABOUT_ADMIN}_every_action_of_every_page_demands_a_permission_of_its_own",
        ),
    ),
    Mutant(
        name="any permission of ours is one to resync",
        module=_ADMIN,
        old='        return request.user.has_perm("kohort_sync.resync_customerlink")\n',
        new='        return request.user.has_module_perms("kohort_sync")\n',
        caught_by=(f"{_ABOUT_ADMIN}_no_permission_of_ours_stands_for_another",),
    ),
    Mutant(
        name="rows may be changed",
        module=_ADMIN,
        old=(
            '        """Refuse: an edited mirror would say what KohortPay never said."""\n'
            "        del request, obj\n        return False\n"
        ),
        new="        return super().has_change_permission(request, obj)\n",
        caught_by=(f"{_IN_ADMIN}_nobody_can_change_a_row",),
    ),
    Mutant(
        name="rows may be deleted",
        module=_ADMIN,
        old='        """Refuse: the row is the promise."""\n        del request, obj\n        return False\n',
        new="        return super().has_delete_permission(request, obj)\n",
        caught_by=(f"{_IN_ADMIN}_nobody_can_delete_a_row",),
    ),
    Mutant(
        name="nobody notes who pressed a button",
        module=_ADMIN,
        old="LogEntry.objects.log_actions(_person(request).pk, selected, CHANGE, change_message=text)",
        new="del request, selected, text",
        caught_by=(
            f"{_IN_ADMIN}_a_resync_marks_the_link_and_is_noted_with_its_actor",
            f"{_IN_ADMIN}_a_retry_takes_up_what_was_given_up_and_is_noted_with_its_actor",
        ),
    ),
    Mutant(
        name="what is searched for is shown in the address",
        module=_ADMIN,
        old='            query[_FOUND] = ",".join(map(str, keys)) or _NOTHING\n',
        new="            query[SEARCH_VAR] = term\n",
        caught_by=(f"{_ABOUT_ADMIN}_what_is_searched_for_gets_into_no_address",),
    ),
    Mutant(
        name="a search is open to everybody on the staff",
        module=_ADMIN,
        old="        if not self.has_view_permission(request):\n            raise PermissionDenied\n",
        new="",
        caught_by=(f"{_ABOUT_ADMIN}_whoever_may_not_see_the_list_cannot_search_it",),
    ),
    Mutant(
        name="a search reaches rows that the page would not show",
        module=_ADMIN,
        old="self.get_search_results(request, self.get_queryset(request), term)",
        new="self.get_search_results(request, self.model._base_manager.all(), term)",
        caught_by=(f"{_ABOUT_ADMIN}_an_action_and_a_search_reach_only_the_rows_that_the_page_shows",),
    ),
    Mutant(
        name="an action reaches rows that the page would not show",
        module=_ADMIN,
        old="        marked = services.resync(queryset, actor=_person(request))\n",
        new="        marked = services.resync(CustomerLink.objects.all(), actor=_person(request))\n",
        caught_by=(f"{_ABOUT_ADMIN}_an_action_and_a_search_reach_only_the_rows_that_the_page_shows",),
    ),
)

MUTANTS = _HIDING + _FRAMES + _CARRIED + _REACHED + _BUTTONS
