"""Be one host with one user model, from its migration to a linked customer, and print what was seen."""

import json
import os
import sys
from typing import Any

import django
from django.core.management import call_command


def main(fields: dict[str, Any]) -> dict[str, Any]:
    """Migrate, sign up, send, change, delete; return what each left behind."""
    django.setup()
    call_command("makemigrations", "kohort_sync", check=True, dry_run=True, verbosity=0)
    call_command("check", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)
    return journey(fields)


def journey(fields: dict[str, Any]) -> dict[str, Any]:
    """Follow one user. The models can be imported only now."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.db import connection as database  # noqa: PLC0415

    from kohort_sync import connection, drainer, queries, services  # noqa: PLC0415
    from kohort_sync.models import CustomerLink  # noqa: PLC0415
    from kohort_sync.testing.adapter import ServiceAdapter  # noqa: PLC0415
    from kohort_sync.testing.service import Service  # noqa: PLC0415

    with database.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")
    model: Any = get_user_model()
    service = Service(seed=1)
    with connection.through(ServiceAdapter(service)):
        user = model.objects.sign_up(**fields)
        drainer.drain("default", linger=0)
        first = CustomerLink.objects.get()
        remote = service.snapshot()
        # Once more from the database: the key is spelled there as the database likes it.
        user = model._base_manager.get()
        customer = services.customer_for(user)
        user.save()
        changed = CustomerLink.objects.get()
        drainer.drain("default", linger=0)
        missing = queries.users_without_link("default/test", using="default").count()
        user.delete()
        deleted = CustomerLink.objects.get()
        older = promised(model, fields)
    return {
        "state": first.state,
        "code": first.last_error_code,
        "user_pk": first.user_pk,
        "pk": str(user.pk) if user.pk is not None else first.user_pk,
        "remote": [
            {name: row[name] for name in ("email_address", "first_name", "last_name", "metadata")}
            for row in remote
        ],
        "customer": customer.kohort_id if customer else None,
        "noted": changed.desired_version - first.desired_version,
        "missing": missing,
        "freed": deleted.user_pk is None,
        "older": older,
    }


def promised(model: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Promise somebody whom no signal announced, twice: by a backfill and on request."""
    from django.db import connection as database  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from kohort_sync import mapping, paused, services  # noqa: PLC0415
    from kohort_sync.models import CustomerLink  # noqa: PLC0415

    with paused():
        user = model.objects.sign_up(**fields)
    with CaptureQueriesContext(database) as captured:
        backfilled = services.backfill("default").recorded
    links = CustomerLink.objects.filter(user_pk__isnull=False)
    first = links.get()
    links.delete()
    services.request_sync([user])
    second = links.get()
    key = mapping.key_of(model._base_manager.get())
    return {
        "backfilled": backfilled,
        "is_spelled_as_in_python": first.user_pk == second.user_pk == key,
        "is_the_user": first.user_id == second.user_id == model._base_manager.get().pk,
        "was_loaded": not any(" SELECT " in query["sql"] for query in captured if "INSERT" in query["sql"]),
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.usermodels.settings")
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
