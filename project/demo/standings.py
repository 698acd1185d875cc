"""Standings: where each person stands, by the site's own tables. Needs Django to be set up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Models cannot be imported before Django is set up, and the demo sets it up itself: so they are asked for.
from django.apps import apps

from kohort_sync import reasons

# A gate that is closed for one of these waits for a person, not for time.
_HOPELESS = frozenset({"key_refused", "tls_failed", "redirected", "mismatch", "other_organization"})


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Say where one person stands; `code` tells why, `settled` that nothing more is due."""

    state: str
    code: str = ""
    reference: str = ""
    kohort_id: str = ""
    mirrored_email: str = ""
    promised_at: datetime | None = None
    """When the row was written, in the transaction that saved the user."""
    linked_at: datetime | None = None
    settled: bool = True
    leased: bool = False

    @property
    def words(self) -> str:
        """Say it in a few words."""
        if self.leased:
            return "being sent"
        waits = _WORDS.get(self.state, self.state)
        return f"{waits}: {self.code.replace('_', ' ')}" if self.code and self.settled else waits

    @property
    def reason(self) -> str:
        """Say it in one sentence that ends with what to do."""
        return str(reasons.sentence(self.state, self.code))


_WORDS: Mapping[str, str] = {
    "pending": "waiting to be sent",
    "uncertain": "sent, answer unknown",
    "skipped": "not sent",
    "conflict": "conflict",
    "parked": "given up for now",
    "erasing": "being erased",
    "ignored": "left out on purpose",
}


def read() -> dict[str, Standing]:
    """Return the standing of each user who has a link, by username."""
    links = _model("CustomerLink").objects.exclude(user=None)
    return {link.user.username: _standing(link) for link in links.select_related("user", "customer")}


def why_hopeless() -> str:
    """Say why the site sends nothing until a person acts; empty where it does send."""
    account = _model("Account").objects.filter(gate="closed", gate_reason__in=_HOPELESS).first()
    return str(reasons.of_gate(account.gate_reason)) if account else ""


def _model(name: str) -> Any:
    return apps.get_model("kohort_sync", name)


def _standing(link: Any) -> Standing:
    return Standing(
        state=link.state,
        code=link.conflict_kind or link.last_error_code,
        reference=link.client_reference_id,
        kohort_id=link.customer.kohort_id if link.customer else "",
        mirrored_email=(link.customer.email_address or "") if link.customer else "",
        promised_at=link.created_at,
        linked_at=link.linked_at,
        settled=link.next_attempt_at is None and not link.lease_token,
        leased=bool(link.lease_token),
    )
