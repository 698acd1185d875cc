"""Sending: what a request must not do on its way (rows 30 to 40)."""

from tests.mutants.mutant import Mutant

ERRORS = "tests/client/test_errors.py"
TRANSPORT = "tests/client/test_transport.py"
GATE = "tests/engine/test_gate.py"
PUSH = "tests/engine/test_push.py"
RETRIES = "tests/engine/test_retries.py"
MATRIX = "tests/failpoints/test_matrix.py"
EACH_USER = "test_each_user_ends_with_one_customer_and_equal_data_or_is_erased"

MUTANTS = (
    Mutant(  # rows 30 and 31
        name="what never left may have arrived",
        module="kohort_sync/client/sockets.py",
        old="self._ambiguous = self.sent if own_connection else not any("
        "isinstance(f, _NEVER_SENT) for f in chain)",
        new="self._ambiguous = True",
        caught_by=(
            f"{TRANSPORT}::test_a_name_that_does_not_resolve_is_unsent",
            f"{TRANSPORT}::test_a_refused_connection_is_unsent",
            f"{TRANSPORT}::test_a_connect_timeout_is_unsent_and_takes_no_longer_than_allowed",
        ),
    ),
    Mutant(  # rows 30 and 31
        name="what never left is an open create",
        module="kohort_sync/client/errors.py",
        old="    outcome = Outcome.UNSENT\n",
        new="    outcome = Outcome.AMBIGUOUS\n",
        caught_by=(f"{ERRORS}::test_every_outcome_belongs_to_one_branch",),
    ),
    Mutant(  # row 30
        name="an error repeats what the library said",
        module="kohort_sync/client/sockets.py",
        old="self._why = next((why for kinds, why in _WORDS if any(isinstance(f, kinds) for f in chain))"
        ', "")',
        new="self._why = str(fault)",
        caught_by=(f"{TRANSPORT}::test_a_name_that_does_not_resolve_is_unsent",),
    ),
    Mutant(  # row 31
        name="a connection may take as long as a call",
        module="kohort_sync/client/transport.py",
        old="timeout=(self._connect_timeout, self._deadline),",
        new="timeout=self._deadline,",
        caught_by=(f"{TRANSPORT}::test_a_connect_timeout_is_unsent_and_takes_no_longer_than_allowed",),
    ),
    Mutant(  # row 32
        name="any certificate will do",
        module="kohort_sync/client/sockets.py",
        old='conn.cert_reqs = "CERT_REQUIRED"',
        new='conn.cert_reqs = "CERT_NONE"',
        caught_by=(
            f"{TRANSPORT}::test_a_server_without_a_valid_certificate_is_sent_nothing",
            f"{TRANSPORT}::test_a_server_whose_certificate_has_expired_is_sent_nothing",
        ),
    ),
    Mutant(  # row 32
        name="an old protocol will do",
        module="kohort_sync/client/sockets.py",
        old="context.minimum_version = ssl.TLSVersion.TLSv1_2",
        new='context.minimum_version = ssl.TLSVersion.TLSv1\n    context.set_ciphers("ALL:@SECLEVEL=0")',
        caught_by=(f"{TRANSPORT}::test_an_old_protocol_is_refused_unsent",),
    ),
    Mutant(  # row 32
        name="a certificate that does not fit concerns one row",
        module="kohort_sync/drainer/watch.py",
        old="    errors.TlsFailed: 60.0,\n",
        new="",
        caught_by=(
            f"{GATE}::test_a_certificate_that_does_not_fit_closes_the_gate_at_once_and_burns_no_attempt",
        ),
    ),
    Mutant(  # row 33
        name="a reset is a request that never left",
        module="kohort_sync/client/sockets.py",
        old="                call.sent = True\n",
        new="",
        caught_by=(f"{TRANSPORT}::test_a_reset_after_the_request_is_ambiguous",),
    ),
    Mutant(  # row 33
        name="nobody is looked up before a second create",
        module="kohort_sync/delivery/planning.py",
        old="    if link.posts:\n        return LookUp(link=link, data=data)\n",
        new="",
        caught_by=(f"{PUSH}::test_a_lost_answer_is_looked_up_and_adopted_without_a_second_create",),
    ),
    Mutant(  # row 34
        name="an open create is not counted",
        module="kohort_sync/links/claiming.py",
        old="                link.posts += 1\n",
        new="",
        caught_by=(f"{MATRIX}::{EACH_USER}[create-after create]",),
    ),
    Mutant(  # rows 24 and 35
        name="an answer may drip for ever",
        module="kohort_sync/client/sockets.py",
        old="        self._sock.settimeout(self._call.remaining())\n        size =",
        new="        size =",
        caught_by=(f"{TRANSPORT}::test_an_answer_that_drips_ends_at_the_deadline[continue-http]",),
    ),
    Mutant(  # row 35
        name="a server may read for ever",
        module="kohort_sync/client/sockets.py",
        old="            self.sock.settimeout(call.remaining())\n",
        new="            self.sock.settimeout(None)\n",
        caught_by=(f"{TRANSPORT}::test_a_server_that_does_not_read_ends_at_the_deadline",),
    ),
    Mutant(  # rows 36 and 37
        name="a redirect is an answer",
        module="kohort_sync/client/transport.py",
        old="    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:\n",
        new="    if False:\n",
        caught_by=(
            f"{TRANSPORT}::test_a_redirect_is_never_followed",
            f"{GATE}::test_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed[redirect]",
        ),
    ),
    Mutant(  # row 37
        name="a redirect is nobody's business",
        module="kohort_sync/drainer/watch.py",
        old="    errors.Contract: 300.0,\n",
        new="",
        caught_by=(
            f"{GATE}::test_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed[redirect]",
        ),
    ),
    Mutant(  # row 38
        name="a password of the machine goes before the key",
        module="kohort_sync/client/transport.py",
        old="prepared.prepare_auth(self._auth, url)",
        new="prepared.prepare_auth(requests.utils.get_netrc_auth(url) or self._auth, url)",
        caught_by=(f"{TRANSPORT}::test_netrc_does_not_replace_the_key",),
    ),
    Mutant(  # row 39
        name="the environment is always trusted",
        module="kohort_sync/client/transport.py",
        old="        if self._trust_env and secure:\n",
        new="        if secure:\n",
        caught_by=(f"{TRANSPORT}::test_the_environment_is_ignored_unless_it_is_trusted",),
    ),
    Mutant(  # row 39
        name="a proxy carries the key of a plain address",
        module="kohort_sync/client/transport.py",
        old="        if self._trust_env and secure:\n",
        new="        if self._trust_env:\n",
        caught_by=(f"{TRANSPORT}::test_a_plain_address_of_this_machine_is_never_proxied",),
    ),
    Mutant(  # row 39
        name="the environment gets the keys of the sessions",
        module="kohort_sync/client/sockets.py",
        old="context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)",
        new="context = ssl.create_default_context()",
        caught_by=(f"{TRANSPORT}::test_the_session_keys_are_not_written_for_sslkeylogfile",),
    ),
    Mutant(  # row 40
        name="a connection may idle for ever",
        module="kohort_sync/client/sockets.py",
        old="return idle < call.idle_limit and super().is_connected",
        new="return super().is_connected",
        caught_by=(
            f"{TRANSPORT}::test_a_connection_that_was_idle_too_long_is_not_used_again",
            f"{TRANSPORT}::test_a_create_after_a_while_meets_no_connection_that_the_service_is_about_to_end",
        ),
    ),
    Mutant(  # row 40
        name="anything is repeated on a new connection",
        module="kohort_sync/client/transport.py",
        old='answer is None and method == "GET" and call',
        new="answer is None and call",
        caught_by=(f"{TRANSPORT}::test_nothing_but_a_get_is_repeated_on_a_dead_connection",),
    ),
)
