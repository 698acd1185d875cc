"""What people do on the site, each a request and a transaction."""

import importlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.chaos.site.models import History


class _RolledBack(Exception):
    pass


def sign_up(sent: dict[str, Any]) -> list[str]:
    """Create one user. With `die` the process is killed right after the commit, before anybody is told."""
    with transaction.atomic():
        if sent.get("die"):
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        user = get_user_model().objects.create_user(**sent["people"][0])
        _write("created", [user])
        if sent.get("roll_back"):
            raise _RolledBack
    return [str(user.pk)]


def bulk(sent: dict[str, Any]) -> list[str]:
    """Create many users past all signals, and say so only if asked to."""
    model = get_user_model()
    with transaction.atomic():
        users = model.objects.bulk_create([model(**person) for person in sent["people"]])
        _write("created", users)
        if sent.get("announce"):
            _design().announce(users)
    return [str(user.pk) for user in users]


def change(sent: dict[str, Any]) -> list[str]:
    """Change what is given of one user."""
    with transaction.atomic():
        user = get_user_model().objects.select_for_update().get(pk=sent["users"][0])
        for name, value in sent["values"].items():
            setattr(user, name, value)
        user.save()
        _write("changed", [user])
    return [str(user.pk)]


def swap(sent: dict[str, Any]) -> list[str]:
    """Let two users exchange their e-mail addresses, in one transaction."""
    with transaction.atomic():
        one, other = get_user_model().objects.select_for_update().filter(pk__in=sent["users"]).order_by("pk")
        one.email, other.email = other.email, one.email
        one.save()
        other.save()
        _write("changed", [one, other])
    return [str(one.pk), str(other.pk)]


def delete(sent: dict[str, Any]) -> list[str]:
    """Delete one user."""
    with transaction.atomic():
        user = get_user_model().objects.select_for_update().get(pk=sent["users"][0])
        _write("deleted", [user])
        user.delete()
    return []


def resync(sent: dict[str, Any]) -> list[str]:
    """Ask for many users to be looked at again, as somebody does in the admin."""
    _design().resync(get_user_model().objects.filter(pk__in=sent["users"]))
    return []


def _design() -> Any:
    # What is under test besides the user model's signals: kohort_sync, or the usual design.
    return importlib.import_module(os.environ["CHAOS_DESIGN"])


def _write(op: str, users: Iterable[Any]) -> None:
    History.objects.bulk_create(
        History(
            op=op,
            user=str(user.pk),
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            active=user.is_active,
            at=time.time(),
        )
        for user in users
    )


def _view(act: Callable[[dict[str, Any]], list[str]]) -> Callable[[HttpRequest], JsonResponse]:
    def answer(request: HttpRequest) -> JsonResponse:
        try:
            return JsonResponse({"users": act(json.loads(request.body))})
        except _RolledBack:
            return JsonResponse({"users": []}, status=409)
        except get_user_model().DoesNotExist:
            return JsonResponse({"users": []}, status=404)
        except ValueError:
            return JsonResponse({"users": []}, status=404)

    return answer


urlpatterns = [path(act.__name__, _view(act)) for act in (sign_up, bulk, change, swap, delete, resync)]
