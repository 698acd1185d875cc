"""Be a process of the site, as a web worker is: sign people up when told to, and say how long each took.

    python -m tests.broker.door

Reads a JSON object a line and answers with one. The site's own settings hold; nothing is patched.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import django
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction


class OthersFault(Exception):
    """Be what the callback of another app raises."""


def raise_in_callback() -> None:
    """Fail as another app's callback may."""
    raise OthersFault


def kill_myself() -> None:
    """End this process as an out-of-memory kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


BEFORE_OURS: dict[str, Callable[[], None]] = {"raise": raise_in_callback, "kill": kill_myself}


def sign_up(name: str, before: str | None = None) -> dict[str, Any]:
    """Sign somebody up as a view does; `before` names a callback that another app registered first."""
    started = time.monotonic()
    raised = ""
    try:
        with transaction.atomic():
            if before is not None:
                transaction.on_commit(BEFORE_OURS[before])
            get_user_model().objects.create_user(name, email=f"{name}@example.com")
    except OthersFault as fault:
        raised = type(fault).__name__
    return {"seconds": time.monotonic() - started, "raised": raised}


def rename(name: str, first_name: str) -> dict[str, Any]:
    """Change somebody's first name as a page of the site does."""
    user = get_user_model().objects.get(username=name)
    user.first_name = first_name
    user.save()
    return {}


def links() -> dict[str, str]:
    """Tell the state of everybody's link; empty for a user who has none."""
    states = dict(apps.get_model("kohort_sync", "CustomerLink").objects.values_list("user_id", "state"))
    users = get_user_model().objects.values_list("pk", "username")
    return {name: states.get(pk, "") for pk, name in users}


def main() -> None:
    """Answer until nobody asks any more."""
    django.setup()
    asked: dict[str, Callable[..., dict[str, Any]]] = {"sign_up": sign_up, "rename": rename, "links": links}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(asked[question.pop("do")](**question)), flush=True)


if __name__ == "__main__":
    main()
