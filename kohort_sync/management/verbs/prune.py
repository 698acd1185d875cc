"""Prune: remove at once what is older than RETENTION_DAYS."""

from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs.console import Console, for_a_person, number, stoppable
from kohort_sync.management.verbs.verb import OK, Verb

Pruned = tuple[int, int, int]


def run(console: Console, *, account: str, **_: Any) -> int:
    """Remove it chunk by chunk."""
    key = services.account_key(account)
    with stoppable() as stop:

        def progress(pruned: Pruned) -> None:
            console.say(_words(pruned))
            if stop.is_set():
                raise for_a_person(
                    f"Interrupted after this: {_words(pruned)}. Run it again; it goes on where it stopped."
                )

        pruned = services.prune(account, progress=progress)
    attempts, customers, runs = pruned
    console.show({"account": key, "attempts": attempts, "customers": customers, "runs": runs})
    console.say(f"{key}: {_words(pruned)}; nothing older than RETENTION_DAYS is left.")
    return OK


def _words(pruned: Pruned) -> str:
    attempts, customers, runs = pruned
    removed = f"{number(attempts, 'attempt')} and {number(runs, 'run')} removed"
    return f"{removed}, {number(customers, 'customer')} of deleted users emptied"


VERB = Verb(
    name="prune",
    about="Remove at once the history, and what is known of deleted users, after RETENTION_DAYS.",
    details="The sweep does the same little by little. Links are never removed.",
    example="prune",
    run=run,
)
