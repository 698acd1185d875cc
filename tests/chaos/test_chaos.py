"""A short chaos run, judged as the long ones are (`make chaos`)."""

import pytest

from tests.chaos import checker, plan, run
from tests.chaos.stack import OURS

pytestmark = pytest.mark.chaos

# All in all at most three minutes, of which these may pass after the last fault.
_PEACE = 110.0


def test_a_short_run_leaves_nobody_lost_doubled_mixed_up_or_betrayed() -> None:
    planned = plan.make(1, users=250, seconds=40, deadline=1.0)
    folder = run.new_folder(planned, OURS)

    run.run(planned, OURS, folder, say=print, most_after=_PEACE)
    verdict = checker.check(folder)

    assert verdict.sound, str(verdict)
    assert verdict.figures.users > 200
    assert verdict.figures.process_faults >= 6
    assert sum(verdict.figures.faults.values()) > 30
    run.remove(folder)
