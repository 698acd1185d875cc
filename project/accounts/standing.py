"""Where a person stands with KohortPay, in words that they can use."""

from dataclasses import dataclass

from kohort_sync.models import CustomerLink, State


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Say one thing to one person; the tone chooses the colour and the sign beside it."""

    tone: str  # "good", "waiting", "action" (theirs), "ours" (our move) or "quiet"
    title: str
    text: str
    refreshes: bool = False
    offers_profile: bool = False


IDLE = Standing(
    tone="quiet",
    title="Group payments are switched off here",
    text="This site is not connected to KohortPay yet. Your account works as usual, and nothing about you "
    "has been sent anywhere.",
)

OLDER = Standing(
    tone="quiet",
    title="KohortPay does not know you yet",
    text="Your account is older than our connection to KohortPay. We add earlier members step by step; "
    "there is nothing that you need to do.",
)

NO_EMAIL = Standing(
    tone="action",
    title="Add an e-mail address to pay together",
    text="KohortPay needs an e-mail address to recognise you, and you have not given us one. Add it to "
    "your profile, and we will take care of the rest.",
    offers_profile=True,
)

BLOCKED = Standing(
    tone="ours",
    title="Group payments are paused for you",
    text="KohortPay knows you, and our team has put your group payments on hold. Ask us at the stall; we "
    "will gladly tell you why.",
)

CHANGED = Standing(
    tone="good",
    title="You are ready to pay together",
    text="KohortPay knows you. Your latest changes are on their way there.",
    refreshes=True,
)

BY_STATE = {
    State.PENDING: Standing(
        tone="waiting",
        title="You are on your way to KohortPay",
        text="We are introducing you to KohortPay right now. It usually takes a second or two, and this "
        "page follows along.",
        refreshes=True,
    ),
    State.UNCERTAIN: Standing(
        tone="waiting",
        title="We are checking with KohortPay",
        text="We sent your details, and the answer got lost on the way. We will look again in a few "
        "minutes, so that you do not end up there twice.",
        refreshes=True,
    ),
    State.LINKED: Standing(
        tone="good",
        title="You are ready to pay together",
        text="KohortPay knows you. You can take part in group payments whenever you like.",
    ),
    State.SKIPPED: Standing(
        tone="quiet",
        title="You are not at KohortPay",
        text="Your account is not one of those that we share with KohortPay.",
    ),
    State.REJECTED: Standing(
        tone="action",
        title="KohortPay could not accept your details",
        text="Something in your profile does not suit them. Most often it is the e-mail address: please "
        "check it, and we will try again as soon as you save.",
        offers_profile=True,
    ),
    State.CONFLICT: Standing(
        tone="ours",
        title="We need to look at this by hand",
        text="KohortPay already has a customer who might be you, for example somebody with the same e-mail "
        "address. If the address in your profile is not yours, correct it there; otherwise a person on our "
        "team will sort it out.",
        offers_profile=True,
    ),
    State.PARKED: Standing(
        tone="ours",
        title="This takes longer than it should",
        text="We tried several times to introduce you to KohortPay without success. We have been told and "
        "will look into it.",
    ),
    State.ERASING: Standing(
        tone="waiting",
        title="Your details are being removed",
        text="We are removing your details from KohortPay, as requested.",
        refreshes=True,
    ),
    State.ERASED: Standing(
        tone="quiet",
        title="Your details have been removed",
        text="KohortPay no longer holds your name or your e-mail address from us.",
    ),
    State.IGNORED: Standing(
        tone="quiet",
        title="You are not at KohortPay",
        text="Our team chose to leave your account out. Ask us at the stall if that surprises you.",
    ),
}


def of(link: CustomerLink | None, *, configured: bool) -> Standing:
    """Choose what to say: by the link's state, with the cases that a state alone does not tell."""
    if link is None:
        return OLDER if configured else IDLE
    state = State(link.state)
    if state is State.UNCERTAIN and link.is_being_sent:
        return BY_STATE[State.PENDING]
    if state is State.SKIPPED and link.user is not None and not link.user.email:
        return NO_EMAIL
    if state is State.LINKED and link.customer is not None and link.customer.is_blocked:
        return BLOCKED
    if state is State.LINKED and link.next_attempt_at is not None and link.is_dirty:
        return CHANGED
    return BY_STATE[state]
