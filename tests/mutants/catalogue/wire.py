"""The wire: what is sent to whom, how long it takes, and which answer is believed."""

from tests.mutants.mutant import Mutant

_TRANSPORT = "kohort_sync/client/transport.py"
_SOCKETS = "kohort_sync/client/sockets.py"
_CUSTOMERS = "kohort_sync/client/customers.py"
_REFUSALS = "kohort_sync/client/refusals.py"
_RECORDS = "kohort_sync/client/records.py"
_ERRORS = "kohort_sync/client/errors.py"

_IN_CUSTOMERS = "tests/client/test_customers.py::test"
_IN_ERRORS = "tests/client/test_errors.py::test"
_IN_GATE = "tests/engine/test_gate.py::test"
_IN_OUTCOMES = "tests/engine/test_outcomes.py::test"
_IN_RETRIES = "tests/engine/test_retries.py::test"
_IN_TRANSPORT = "tests/client/test_transport.py::test"

_EXCHANGES = (
    Mutant(
        name="a redirect is an answer, once more",
        module=_TRANSPORT,
        old="        raise errors.Redirected(status=status, milliseconds=call.milliseconds())\n",
        new="        pass\n",
        caught_by=(f"{_IN_TRANSPORT}_a_redirect_is_never_followed",),
    ),
    Mutant(
        name="the environment is trusted",
        module=_TRANSPORT,
        old="        if self._trust_env and secure:\n",
        new="        if secure:\n",
        caught_by=(f"{_IN_TRANSPORT}_the_environment_is_ignored_unless_it_is_trusted",),
    ),
    Mutant(
        name="a plain address is proxied",
        module=_TRANSPORT,
        old="        if self._trust_env and secure:\n",
        new="        if self._trust_env:\n",
        caught_by=(f"{_IN_TRANSPORT}_a_plain_address_of_this_machine_is_never_proxied",),
    ),
    Mutant(
        name="no deadline for reading",
        module=_SOCKETS,
        old="        self._sock.settimeout(self._call.remaining())\n        size",
        new="        size",
        caught_by=(f"{_IN_TRANSPORT}_an_answer_that_drips_ends_at_the_deadline",),
    ),
    Mutant(
        name="a late call is sent",
        module=_SOCKETS,
        old="            self.timeout = min(self.timeout or math.inf, call.remaining())\n",
        new="",
        caught_by=(f"{_IN_TRANSPORT}_a_handshake_that_never_ends_is_unsent",),
    ),
    Mutant(
        name="no cap of a body",
        module=_TRANSPORT,
        old="            if size > BODY_CAP:\n",
        new="            if False:\n",
        caught_by=(f"{_IN_TRANSPORT}_a_body_of_one_byte_more_is_refused",),
    ),
    Mutant(
        name="no cap of headers",
        module=_SOCKETS,
        old="        if self.received > _WIRE_CAP:\n",
        new="        if False:\n",
        caught_by=(f"{_IN_TRANSPORT}_answers_that_are_not_final_end_at_the_cap",),
    ),
    Mutant(
        name="compression is invited",
        module=_TRANSPORT,
        old='"Accept-Encoding": "identity",',
        new='"Accept-Encoding": "gzip",',
        caught_by=(f"{_IN_TRANSPORT}_a_request_carries_the_key_json_and_nothing_that_invites_compression",),
    ),
    Mutant(
        name="compressed answers are read",
        module=_TRANSPORT,
        old='    if encoding not in ("", "identity"):\n',
        new="    if False:\n",
        caught_by=(f"{_IN_TRANSPORT}_a_compressed_answer_is_refused_without_a_look",),
    ),
    Mutant(
        name="the key goes to any address",
        module=_TRANSPORT,
        old='        if _origin(request.url or "") == self._origin:\n',
        new="        if True:\n",
        caught_by=(f"{_IN_TRANSPORT}_the_key_is_for_one_address_alone",),
    ),
    Mutant(
        name="a create is sent again on a dead connection",
        module=_TRANSPORT,
        old='if answer is None and method == "GET" and call',
        new="if answer is None and call",
        caught_by=(f"{_IN_TRANSPORT}_nothing_but_a_get_is_repeated_on_a_dead_connection",),
    ),
    Mutant(
        name="connections that were idle for long are used",
        module=_SOCKETS,
        old="return idle < call.idle_limit and super().is_connected",
        new="return super().is_connected",
        caught_by=(f"{_IN_TRANSPORT}_a_connection_that_was_idle_too_long_is_not_used_again",),
    ),
    Mutant(
        name="connections with bytes left over are used",
        module=_SOCKETS,
        old=" or self._has_unread_bytes():",
        new=":",
        caught_by=(f"{_IN_TRANSPORT}_a_record_of_tls_with_an_answer_nobody_asked_for_is_not_read_on",),
    ),
    Mutant(
        name="a fork uses the sockets of its parent",
        module=_TRANSPORT,
        old="        pid = os.getpid()\n",
        new="        pid = 0\n",
        caught_by=(f"{_IN_TRANSPORT}_a_child_process_opens_its_own_connection_and_leaves_the_parents_alone",),
    ),
    Mutant(
        name="any certificate will do, once more",
        module=_SOCKETS,
        old="    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n",
        new="    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n    context.check_hostname = False\n",
        caught_by=(f"{_IN_TRANSPORT}_a_server_without_a_valid_certificate_is_sent_nothing",),
    ),
    Mutant(
        name="an old protocol will do, once more",
        module=_SOCKETS,
        old="context.minimum_version = ssl.TLSVersion.TLSv1_2",
        new="context.minimum_version = ssl.TLSVersion.TLSv1",
        caught_by=(f"{_IN_TRANSPORT}_an_old_protocol_is_refused_unsent",),
    ),
    Mutant(
        name="the library sends as it is used to",
        module=_TRANSPORT,
        old='            response = session.get_adapter(prepared.url or "").send(\n',
        new="            response = session.send(\n",
        caught_by=(
            f"{_IN_TRANSPORT}_cookies_of_the_service_are_not_sent_back",
            f"{_IN_TRANSPORT}_a_redirect_is_never_followed",
        ),
    ),
    Mutant(
        name="a request that left has never been sent",
        module=_SOCKETS,
        old="                call.sent = True\n                self._last_call",
        new="                self._last_call",
        caught_by=(f"{_IN_TRANSPORT}_half_an_answer_or_none_is_ambiguous",),
    ),
    Mutant(
        name="an answer that says wait is the answer",
        module=_SOCKETS,
        old="        while self.status in _INTERIM:\n",
        new="        while False:\n",
        caught_by=(
            f"{_IN_TRANSPORT}_an_answer_that_is_not_final_is_never_taken_for_one_nor_mixed_with_the_next",
        ),
    ),
    Mutant(
        name="a body that the service fails on is sent",
        module=_TRANSPORT,
        old="    if _NUL.search(content):\n",
        new="    if False:\n",
        caught_by=(f"{_IN_TRANSPORT}_a_body_that_the_service_fails_on_is_refused_unsent_and_unquoted",),
    ),
)

_ANSWERS = (
    Mutant(
        name="no echo check of the reference",
        module=_REFUSALS,
        old='            ("reference", self.reference, customer.client_reference_id),\n',
        new="",
        caught_by=(
            f"{_IN_GATE}_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(
        name="no echo check of the e-mail",
        module=_REFUSALS,
        old='            ("email", self.email, customer.email_address),\n',
        new="",
        caught_by=(f"{_IN_CUSTOMERS}_get_compares_the_email_when_it_is_given",),
    ),
    Mutant(
        name="no echo check of the id",
        module=_REFUSALS,
        old='            ("id", self.kohort_id, customer.kohort_id),\n',
        new="",
        caught_by=(f"{_IN_CUSTOMERS}_an_answer_about_another_id_is_not_believed",),
    ),
    Mutant(
        name="no check of the mode",
        module=_CUSTOMERS,
        old="if customer.livemode is not None and customer.livemode is not self._livemode:",
        new="if False:",
        caught_by=(
            f"{_IN_GATE}_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(
        name="no check of the organization",
        module=_CUSTOMERS,
        old="if known and customer.organization_id is not None and customer.organization_id != known:",
        new="if False:",
        caught_by=(
            f"{_IN_GATE}_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed",
        ),
    ),
    Mutant(
        name="an answer that shows nobody is believed",
        module=_CUSTOMERS,
        old="if answer.customer.email_address is None and answer.customer.client_reference_id is None:",
        new="if False:",
        caught_by=(f"{_IN_CUSTOMERS}_a_created_customer_that_shows_neither_is_not_believed",),
    ),
    Mutant(
        name="no exact comparison of the reference",
        module=_CUSTOMERS,
        old='return self._own(listed.where("client_reference_id", reference), exchange)',
        new="return self._own(listed, exchange)",
        caught_by=(f"{_IN_CUSTOMERS}_a_look_up_believes_exact_rows_only",),
    ),
    Mutant(
        name="no exact comparison of the address",
        module=_CUSTOMERS,
        old='self._own(records.listed_in(exchange).where("email_address", wanted.reveal()), exchange)',
        new="self._own(records.listed_in(exchange), exchange)",
        caught_by=(f"{_IN_CUSTOMERS}_an_email_is_searched_encoded_twice_and_compared_byte_for_byte",),
    ),
    Mutant(
        name="rows that show no reference are nobody",
        module=_CUSTOMERS,
        old=(
            "listed = records.listed_in(exchange)\n"
            '        if listed.rows and not listed.shows("client_reference_id"):'
        ),
        new="listed = records.listed_in(exchange)\n        if False:",
        caught_by=(
            f"{_IN_OUTCOMES}_a_lost_answer_in_the_documented_dialect_is_left_to_a_person_and_never_doubled",
        ),
    ),
    Mutant(
        name="a reference in another mode is nobody",
        module=_CUSTOMERS,
        old="        if exact and not own:\n",
        new="        if False:\n",
        caught_by=(f"{_IN_CUSTOMERS}_a_reference_in_another_mode_is_not_nobody",),
    ),
    Mutant(
        name="an address that is misread is searched for",
        module=_CUSTOMERS,
        old="if not email or _NOT_SEARCHABLE.search(email) or",
        new="if not email or",
        caught_by=(f"{_IN_CUSTOMERS}_an_email_that_could_be_misread_is_not_searched",),
    ),
    Mutant(
        name="a search is encoded once",
        module=_CUSTOMERS,
        old='    value = quote(email, safe="")\n',
        new="    value = email\n",
        caught_by=(f"{_IN_CUSTOMERS}_an_email_is_searched_encoded_twice_and_compared_byte_for_byte",),
    ),
    Mutant(
        name="an id leaves its place in the path",
        module=_CUSTOMERS,
        old="    if records.ID.fullmatch(kohort_id) is None:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_CUSTOMERS}_an_id_cannot_leave_its_place_in_the_path",),
    ),
    Mutant(
        name="a null that is a 500 is sent",
        module=_CUSTOMERS,
        old='        for name in ("emailAddress", "locale"):\n',
        new="        for name in ():\n",
        caught_by=(f"{_IN_CUSTOMERS}_a_null_that_is_a_500_is_not_sent",),
    ),
    Mutant(
        name="a failure of the service is a refusal",
        module=_REFUSALS,
        old="if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:",
        new="if status == HTTPStatus.REQUEST_TIMEOUT:",
        caught_by=(f"{_IN_RETRIES}_a_failed_create_leads_where_its_class_says",),
    ),
    Mutant(
        name="a timeout of the service is a refusal",
        module=_REFUSALS,
        old="if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:",
        new="if status >= HTTPStatus.INTERNAL_SERVER_ERROR:",
        caught_by=(f"{_IN_RETRIES}_a_failed_create_leads_where_its_class_says",),
    ),
    Mutant(
        name="a taken address is a refusal of the data",
        module=_REFUSALS,
        old="    if status == HTTPStatus.CONFLICT and question.writes:\n",
        new="    if False:\n",
        caught_by=(f"{_IN_OUTCOMES}_a_change_to_an_address_in_use_is_a_conflict_that_names_the_other",),
    ),
    Mutant(
        name="a wait has no cap",
        module=_ERRORS,
        old="    return min(max((until - since).total_seconds(), 0.0), RETRY_AFTER_CAP)",
        new="    return max((until - since).total_seconds(), 0.0)",
        caught_by=(f"{_IN_ERRORS}_retry_after_is_understood_in_all_its_forms",),
    ),
    Mutant(
        name="a wait until a moment goes by our clock",
        module=_ERRORS,
        old='since = _http_date(headers.get("Date", "")) or now or datetime.now(UTC)',
        new="since = now or datetime.now(UTC)",
        caught_by=(f"{_IN_ERRORS}_a_date_is_relative_to_the_clock_of_the_service",),
    ),
    Mutant(
        name="a field that decides may be of any type",
        module=_RECORDS,
        old="            if read is None and decides:\n",
        new="            if False:\n",
        caught_by=(f"{_IN_CUSTOMERS}_a_field_that_decides_may_not_be_of_a_wrong_type",),
    ),
)

MUTANTS = (
    *_EXCHANGES,
    *_ANSWERS,
)
