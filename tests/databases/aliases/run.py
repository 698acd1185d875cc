"""Be a host with several databases, from its migration to linked customers, and print what was seen."""

import json
import os
import sys
from typing import Any

import django
from django.core.management import call_command
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext, override_settings, setup_databases, teardown_databases

WRITES = {"Elsewhere": "other", "Replica": "default"}


def main() -> dict[str, Any]:
    """Make the databases, live in them in each way, and take them away."""
    django.setup()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        return {routing: routed(routing) for routing in WRITES}
    finally:
        teardown_databases(made, verbosity=0)


def routed(routing: str) -> dict[str, Any]:
    """Live behind one router."""
    with override_settings(DATABASE_ROUTERS=[f"tests.databases.aliases.routers.{routing}"]):
        call_command("check", tags=["kohort_sync"], verbosity=0)
        seen = life(WRITES[routing])
    for alias in connections:
        call_command("flush", database=alias, interactive=False, verbosity=0)
    return seen


def life(writes: str) -> dict[str, Any]:
    """Sign up, sweep, send, change, compare. The models can be imported only now."""
    from kohort_sync import connection, drainer, services, sweep  # noqa: PLC0415
    from kohort_sync.models import Account, CustomerLink  # noqa: PLC0415
    from kohort_sync.testing.adapter import ServiceAdapter  # noqa: PLC0415
    from kohort_sync.testing.service import Service  # noqa: PLC0415
    from project.accounts.models import User  # noqa: PLC0415

    (silent,) = {"default", "other"} - {writes}
    service = Service(seed=1)
    seen: dict[str, Any] = {}
    people = User.objects.db_manager(writes)
    with connection.through(ServiceAdapter(service)), CaptureQueriesContext(connections[silent]) as astray:
        with transaction.atomic(using=writes):
            ada = people.create_user("ada", email="ada@example.com")
            callbacks = {alias: len(connections[alias].run_on_commit) for alias in connections}
        seen["callbacks"] = callbacks
        drainer.drain("default", linger=0)
        User.objects.using(writes).bulk_create([User(username="bea", email="bea@example.com")])
        seen["backfilled"] = services.backfill("default").recorded
        User.objects.using(writes).bulk_create([User(username="cleo", email="cleo@example.com")])
        seen["swept"] = sweep.sweep("default")
        drainer.drain("default", linger=0)
        ada.first_name = "Augusta"
        ada.save(using=writes)
        seen["noted"] = CustomerLink.objects.using(writes).get(user_pk=str(ada.pk)).is_dirty
        drainer.drain("default", linger=0)
        seen["marked"] = services.resync(CustomerLink.objects.using(writes).all())
        drainer.drain("default", linger=0)
        with transaction.atomic(using=writes):
            try:
                drainer.drain("default", linger=0)
            except RuntimeError:
                seen["refused"] = True
        (status,) = services.status()
        seen["status"] = {"states": status["states"], "missing": status["users_without_link"]}
        people.get(username="cleo").delete(using=writes)
    seen["freed"] = CustomerLink.objects.using(writes).filter(user_pk=None).count()
    seen["remote"] = sorted((row["email_address"], row["first_name"]) for row in service.snapshot())
    seen["rows astray"] = CustomerLink.objects.using(silent).count() + Account.objects.using(silent).count()
    seen["asked astray"] = [query["sql"] for query in astray if "kohort_sync" in query["sql"]]
    return seen


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.databases.aliases.settings")
    sys.stdout.write(json.dumps(main()))
