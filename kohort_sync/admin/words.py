"""Words: what the codes of a link and of an attempt mean to staff."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Whose move it is in a state; the colour of its mark. "quiet" where nobody's.
TONES: Mapping[str, str] = {
    "pending": "waiting",
    "uncertain": "waiting",
    "erasing": "waiting",
    "linked": "good",
    "rejected": "person",
    "conflict": "person",
    "parked": "person",
}

OPERATIONS: Mapping[str, str | Promise] = {
    "create": _("create the customer"),
    "update": _("send changes"),
    "look_up": _("look for the customer"),
    "get": _("compare with KohortPay"),
    "resync": _("resync"),
}

OUTCOMES: Mapping[str, str | Promise] = {
    "ok": _("done"),
    "asked": _("asked for"),
    "unsent": _("not sent"),
    "refused": _("turned away"),
    "ambiguous": _("answer unknown"),
    "definitive": _("refused"),
    "contract": _("answer not believed"),
}

TRIGGERS: Mapping[str, str | Promise] = {
    "signup": _("sign-up"),
    "change": _("change"),
    "bulk": _("bulk"),
    "look_up": _("look-up"),
    "person": _("a person"),
    "command": _("a command"),
}
