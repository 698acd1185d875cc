"""Standing: whether the app can work as it stands, and whether something waits for a person."""

from kohort_sync import conf, queries
from kohort_sync.models import State

FOR_A_PERSON = (State.REJECTED, State.CONFLICT, State.PARKED)


def is_misconfigured() -> bool:
    """Say whether somebody made a mistake: without a key the app is idle on purpose."""
    return not conf.accounts() and conf.enabled() and bool(conf.get("API_KEY"))


def why_idle() -> str:
    """Say why no account is configured, and what to do about it."""
    if not conf.enabled():
        return "kohort_sync is idle: KOHORT_SYNC['ENABLED'] is not True. Set it to True to go on."
    if not conf.get("API_KEY"):
        return "kohort_sync is idle: KOHORT_SYNC['API_KEY'] is not set. Set it to begin."
    return (
        "kohort_sync is idle: KOHORT_SYNC['API_KEY'] is not a secret key (sk_test_… or sk_live_…)."
        " Run 'manage.py check'."
    )


def needs_a_person(status: queries.AccountStatus) -> bool:
    """Say whether something of an account does not go on by itself, or not as it should."""
    return (
        status["gate"] != "open"
        or status["sweep_is_late"]
        or bool(status["failing"])
        or any(status["states"].get(state) for state in FOR_A_PERSON)
    )
