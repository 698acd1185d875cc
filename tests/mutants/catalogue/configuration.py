"""Configuration: clocks and keys (rows 71 to 73)."""

from tests.mutants.mutant import Mutant

TRANSPORT = "tests/client/test_transport.py"
TIME = "tests/databases/test_time.py"
CHECKS = "tests/edges/test_checks.py"
ATTACKS = "tests/engine/test_attacks.py"
MISHAPS = "tests/engine/test_mishaps.py"
SERVICES = "tests/test_services.py"

MUTANTS = (
    Mutant(  # row 71
        name="rows go by the clock of the process",
        module="kohort_sync/clock.py",
        old="    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))\n",
        new="    moment = timezone.now()\n",
        caught_by=(
            f"{TIME}::test_a_lease_goes_by_the_clock_of_the_database",
            f"{TIME}::test_a_step_of_this_process_clock_neither_ends_a_lease_nor_makes_it_last",
        ),
    ),
    Mutant(  # row 71
        name="a lease is measured by the clock on the wall",
        module="kohort_sync/links/claiming.py",
        old="        return time.monotonic() + seconds < self.ends\n",
        new="        return time.time() + seconds < self.claimed_at.timestamp() + conf.row_lease()\n",
        caught_by=(f"{TIME}::test_a_step_of_this_process_clock_neither_ends_a_lease_nor_makes_it_last",),
    ),
    Mutant(  # row 72
        name="any new key is taken over",
        module="kohort_sync/drainer/line.py",
        old="            except (errors.NotFound, errors.Mismatch):\n                return False\n",
        new="            except (errors.NotFound, errors.Mismatch):\n                pass\n",
        caught_by=(f"{ATTACKS}::test_a_key_of_another_organization_sends_nobody_there",),
    ),
    Mutant(  # row 72
        name="both modes share their rows",
        module="kohort_sync/conf.py",
        old="""        return f"{self.alias}/{'live' if self.livemode else 'test'}\"""",
        new='        return f"{self.alias}/test"',
        caught_by=(
            f"{MISHAPS}::test_a_key_of_the_other_mode_in_the_middle_touches_nobody_of_this_one",
            f"{SERVICES}::test_a_new_mode_begins_uncovered",
        ),
    ),
    Mutant(  # row 73
        name="a key goes over http",
        module="kohort_sync/client/transport.py",
        old='    if parts.scheme == "http" and not _is_this_machine(parts.hostname):\n',
        new="    if False:\n",
        caught_by=(
            f"{TRANSPORT}::test_an_address_that_could_leak_the_key_is_refused",
            f"{CHECKS}::test_a_mistake_is_reported_once_under_its_own_id",
        ),
    ),
    Mutant(  # row 73
        name="a live key goes over http to this machine",
        module="kohort_sync/client/transport.py",
        old='    if parts.scheme == "http" and mode != "test":\n',
        new="    if False:\n",
        caught_by=(f"{TRANSPORT}::test_a_live_key_never_goes_over_http",),
    ),
    Mutant(  # row 73
        name="any text is a key",
        module="kohort_sync/client/transport.py",
        old="    found = _KEY.fullmatch(key.reveal().strip())\n",
        new="    found = _KEY.match(key.reveal().strip())\n",
        caught_by=(f"{TRANSPORT}::test_a_key_that_cannot_be_right_is_refused_unquoted",),
    ),
    Mutant(  # row 73
        name="blanks around a key are sent",
        module="kohort_sync/client/transport.py",
        old="Secret(key.reveal().strip())",
        new="key",
        caught_by=(f"{TRANSPORT}::test_blanks_around_a_key_are_not_sent",),
    ),
    Mutant(  # row 73
        name="an app without a usable key works on",
        module="kohort_sync/conf.py",
        old="    if mode is None:\n        return {}\n",
        new="",
        caught_by=(f"{MISHAPS}::test_an_app_that_is_switched_off_keeps_its_rows_for_later",),
    ),
)
