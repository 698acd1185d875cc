"""Resolve: show how one link stands, or decide about it."""

import re
import textwrap
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from kohort_sync import decisions, services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console, bad_usage
from kohort_sync.management.verbs.standing import FOR_A_PERSON
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb
from kohort_sync.models import CustomerLink

_LONGEST_LINE = 96
_CUSTOMER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run(
    console: Console,
    *,
    account: str,
    user: str | None,
    reference: str | None,
    choice: str | None,
    customer: str | None,
    reason: str | None,
    **_: Any,
) -> int:
    """Decide, or without a choice say what there is to decide."""
    if choice is not None and reason is None:
        raise bad_usage("Say why with --reason: it is kept with the decision.")
    if (choice == decisions.ADOPT) != (customer is not None):
        raise bad_usage("--choice adopt and --customer cus_… go together: give both or neither.")
    link = subjects.link_of(account, user=user, reference=reference)
    if choice is None:
        return _show(console, link)
    with subjects.deciding(link):
        link = services.resolve(link, choice=choice, reason=str(reason), kohort_id=customer or "")
    console.show(
        {
            "account": link.account,
            "client_reference_id": link.client_reference_id,
            "choice": choice,
            "state": link.state,
        }
    )
    consequence = str(decisions.CONSEQUENCES[choice])
    follows = "" if choice == decisions.IGNORE else f" {subjects.WHO_CARRIES_IT_OUT}"
    console.say(f"{subjects.name_of(link)}: {choice}. {consequence}{follows}")
    return OK


def _show(console: Console, link: CustomerLink) -> int:
    choices = services.choices_for(link)
    kohort_id = link.customer.kohort_id if link.customer else ""
    console.show(
        {
            "account": link.account,
            "client_reference_id": link.client_reference_id,
            "state": link.state,
            "code": link.conflict_kind or link.last_error_code,
            "reason": str(link.reason),
            "last_error": link.last_error,
            "kohort_id": kohort_id,
            "conflict_ids": link.conflict_ids,
            "choices": {choice: str(decisions.CONSEQUENCES[choice]) for choice in choices},
        }
    )
    facts = {
        "state": link.state,
        "reason": str(link.reason),
        "last error": link.last_error,
        "customer": kohort_id,
        "in the way": ", ".join(map(str, link.conflict_ids)),
    }
    console.say(console.heading(subjects.name_of(link)))
    console.say(*(f"  {name:<11} {value}" for name, value in facts.items() if value))
    if choices:
        console.say("  possible    with --choice and --reason:", *_list_of(choices, indent="    "))
    else:
        console.say("  possible    nothing: no decision is needed")
    return NEEDS_A_PERSON if link.state in FOR_A_PERSON else OK


def _list_of(choices: Any, *, indent: str) -> list[str]:
    """Return the lines that say what each choice leads to."""
    return [
        textwrap.fill(
            f"{choice:<8} {decisions.CONSEQUENCES[choice]}",
            width=_LONGEST_LINE,
            initial_indent=indent,
            subsequent_indent=f"{indent}{'':<9}",
        )
        for choice in choices
    ]


def _options(parser: ArgumentParser) -> None:
    subjects.add_person(parser)
    parser.add_argument(
        "--choice", choices=list(decisions.CONSEQUENCES), help="see below; without it nothing is changed"
    )
    parser.add_argument("--customer", type=_customer, metavar="cus_...", help="the customer to adopt")
    subjects.add_reason(parser, required=False)


def _customer(text: str) -> str:
    if _CUSTOMER.fullmatch(text) is None:
        raise ArgumentTypeError("this is not the id of a KohortPay customer (cus_…)")
    return text


VERB = Verb(
    name="resolve",
    about="Decide about a user who waits for a decision, or say what can be decided.",
    details="\n".join(["choices:", *_list_of(decisions.CONSEQUENCES, indent="  ")]),
    example='resolve --user 42 --choice retry --reason "the address is free now"',
    run=run,
    options=_options,
)
