"""Doctor: look at everything that can be wrong, and say for each thing what to do."""

from dataclasses import asdict
from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs import findings
from kohort_sync.management.verbs.console import Console, number
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb


def run(console: Console, **_: Any) -> int:
    """Print all findings."""
    found = list(findings.of_site())
    for status in services.status():
        found += findings.of_account(status)
    console.show({"findings": [asdict(finding) for finding in found]})
    for finding in found:
        console.say(f"{finding.level:<8} {finding.about:<9} {finding.says}")
        if finding.fix:
            console.say(f"{'':<18} -> {finding.fix}")
    unwell = sum(finding.level != findings.OK for finding in found)
    console.say(f"{number(unwell, 'thing')} to look at." if unwell else "All is well.")
    return NEEDS_A_PERSON if unwell else OK


VERB = Verb(
    name="doctor",
    about="Look at everything that can be wrong, and say what to do about it.",
    details="It asks KohortPay one harmless question for each account, and changes nothing.",
    example="doctor --json",
    run=run,
    takes_account=False,
)
