"""The command: `manage.py kohort_sync VERB`. It declares the verbs and runs one of them."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError

from kohort_sync import services
from kohort_sync.management import verbs
from kohort_sync.management.verbs.console import Console, bad_usage, for_a_person

_DATABASE_FAULTS = (OperationalError, ProgrammingError, InterfaceError)


class Command(BaseCommand):
    """Offer the verbs that engineers need."""

    help = "Keep the users of this site and the customers of KohortPay in step."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs, each with an example in its help."""
        subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb in verbs.ALL:
            declared: ArgumentParser = subparsers.add_parser(
                verb.name,
                help=verb.about,
                description=f"{verb.about}\n\n{verb.details}".strip(),
                epilog=f"example:\n  python manage.py kohort_sync {verb.example}",
                formatter_class=RawDescriptionHelpFormatter,
            )
            declared.set_defaults(run=verb.run)
            declared.add_argument("--json", action="store_true", help="print one JSON object")
            if verb.takes_account:
                _add_account(declared)
            verb.options(declared)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; exit 0 if all is well, 1 if something needs a person, 2 on bad usage."""
        del args
        console = Console(
            self.stdout, self.stderr, as_json=options["json"], heading=self.style.MIGRATE_HEADING
        )
        try:
            code = options["run"](console, **options)
        except (services.UnknownAccount, ValueError) as error:
            raise bad_usage(str(error)) from error
        except _DATABASE_FAULTS as error:
            # The first line says what is missing; the others may show a statement.
            said = str(error).partition("\n")[0].rstrip(".")
            raise for_a_person(
                f"The database cannot be used: {said}. Check DATABASES, then run 'manage.py migrate'."
            ) from error
        except KeyboardInterrupt:
            raise for_a_person(
                "Interrupted. What was being sent is looked up by the next drain. Run the command again."
            ) from None
        if code:
            sys.exit(code)


def _add_account(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--account", default="default", metavar="ALIAS", help="which account (default: default)"
    )
