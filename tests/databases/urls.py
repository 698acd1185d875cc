"""Pages of a host whose every request is one transaction."""

from collections.abc import Callable

from django.contrib import admin
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path

from kohort_sync import services
from tests.engine.people import sign_up

before_the_commit: Callable[[], int] = lambda: 0  # noqa: E731 — the test puts its own here


def welcome(request: HttpRequest) -> HttpResponse:
    """Save a user, and look what has gone out by then."""
    sign_up("ada")
    where = "in a transaction" if connections["default"].in_atomic_block else "alone"
    return HttpResponse(f"{where}, with {before_the_commit()} messages")


def fail(request: HttpRequest) -> HttpResponse:
    """Save a user, and fail afterwards."""
    sign_up("ada")
    raise LookupError("something after the save")


def drain(request: HttpRequest) -> HttpResponse:
    """Ask for what no request may do."""
    sign_up("ada")
    services.drain("default")
    return HttpResponse("never")


urlpatterns = [
    path("welcome/", welcome),
    path("fail/", fail),
    path("drain/", drain),
    path("admin/", admin.site.urls),
]
