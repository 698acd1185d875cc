"""Findings: whether anybody was lost, doubled, mixed up, made up, left hanging, outdated or betrayed.

Each kind is a function that yields sentences with ids, and never an address or a key.
"""

import base64
import mmap
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.checker.histories import Change, Histories, Link, Row, UnjudgeableError
from tests.chaos.checker.people import People
from tests.chaos.checker.remote import Remote

# Whoever has one of these waits for nothing.
_SETTLED = {"linked", "erased"}
_NOBODY = "@erased.invalid"
_FIELDS = ("email", "first_name", "last_name")
_MIRRORED = (*_FIELDS, "reference", "organization", "livemode", "lives")


@dataclass(frozen=True)
class Case:
    """Hold everything that a judge may look at."""

    run: Histories
    people: People
    remote: Remote

    def waits_for_a_person(self, link: Link) -> bool:
        """Say whether a link is listed for somebody to decide, whatever it says."""
        return link.state in self.run.about["reasons"]


def lost(case: Case) -> Iterator[str]:
    """Find users who have neither a living customer that is linked to them nor a reason that can be read."""
    known = {case.people.owner(row) for row in case.remote.customers.values() if row.lives}
    for user in case.people.wanted():
        links = case.people.links[user.user]
        if any(_is_answer(case, link) for link in links):
            continue
        beside = ", though the service has a living customer of theirs" if user.user in known else ""
        states = "; ".join(_why_no_answer(case, link) for link in links) or "there is no link"
        yield f"User {user.user}: {states}{beside}."


def _is_answer(case: Case, link: Link) -> bool:
    if case.waits_for_a_person(link):
        return bool(link.reason.strip())
    return link.state == "linked" and case.remote.lives(link.kohort_id)


def _why_no_answer(case: Case, link: Link) -> str:
    if case.waits_for_a_person(link):
        return f"link {link.id} is {link.state} and gives no reason"
    if link.state != "linked":
        return f"link {link.id} is {link.state}"
    return f"link {link.id} is linked to {link.kohort_id}, which does not live at the service"


def duplicate(case: Case) -> Iterator[str]:
    """Find references and users that had two living customers at any time, if only for a moment."""
    told: list[set[str]] = []
    for name, customers in sorted(case.remote.twins.items()):
        # A reference comes before the user whose it is; the same customers are one finding.
        if not any(customers <= before for before in told):
            told.append(customers)
            ids = ", ".join(sorted(customers))
            yield f"The {name} had more than one living customer at a time: {ids}."


def misbound(case: Case) -> Iterator[str]:
    """Find links to a customer that is somebody else's."""
    sharing = Counter(link.kohort_id for link in case.run.links if link.kohort_id is not None)
    for link in case.run.links:
        if link.kohort_id is None:
            continue
        wrongs = _wrongs(case, link)
        if sharing[link.kohort_id] > 1:
            wrongs.append("another link has it too")
        if wrongs:
            yield f"Link {link.id} to {link.kohort_id}: {'; '.join(wrongs)}."


def _wrongs(case: Case, link: Link) -> list[str]:
    """Return what shows by itself that a link's customer is not its user's."""
    row = case.remote.customers.get(link.kohort_id or "")
    if row is None:
        return ["the service never had it"]
    about, wrongs = case.run.about, []
    if row.reference != link.reference:
        wrongs.append(f"its reference is {row.reference} and not {link.reference}")
    if (row.organization, row.livemode) != (about["organization"], about["livemode"]):
        wrongs.append("it is of another organization or mode")
    had = case.people.addresses.get(link.user or "", set())
    if link.user is not None and link.state not in {"erasing", "erased"} and row.email not in had:
        wrongs.append(f"its address was never one of user {link.user}")
    return wrongs


def phantom(case: Case) -> Iterator[str]:
    """Find customers with an address, at any time, that no user was ever committed with."""
    for customer, addresses in case.remote.addresses.items():
        reference = case.remote.customers[customer].reference
        # What an erasure overwrites an address with is nobody's, and says so.
        unknown = addresses.keys() - case.people.holders.keys() - {f"{reference}{_NOBODY}"}
        if unknown & case.run.rolled_back:
            yield f"Customer {customer} has the address of a user who was rolled back."
        elif unknown:
            yield f"Customer {customer} has an address that was never committed."
        elif any(at < case.people.held_since.get(address, at) for address, at in addresses.items()):
            yield f"Customer {customer} had an address before anybody was committed with it."


def stuck(case: Case) -> Iterator[str]:
    """Find links that something should have been done about long ago."""
    about = case.run.about
    ended, most = about["ended"], 2 * (about["lease"] + about["settle"] + about["sweep"])
    for link in case.run.links:
        wrongs = []
        if link.state not in _SETTLED and not case.waits_for_a_person(link):
            wrongs.append(f"it is still {link.state} ({link.error or 'no error'})")
        if link.due is not None and ended - link.due > most:
            wrongs.append(f"it has been due for {ended - link.due:.0f} s")
        if link.leased_until is not None and ended - link.leased_until > most:
            wrongs.append(f"its lease ended {ended - link.leased_until:.0f} s ago and was never taken back")
        if wrongs:
            yield f"Link {link.id}, {link.state}: {'; '.join(wrongs)}."


def diverged(case: Case) -> Iterator[str]:
    """Find linked users whom the service knows otherwise than the site, or the mirror than the service.

    A link to somebody else's customer, or to none, has its own name already.
    """
    for user in case.people.wanted():
        for link in case.people.links[user.user]:
            row = case.remote.customers.get(link.kohort_id or "")
            if link.state != "linked" or row is None or not row.lives or _wrongs(case, link):
                continue
            if wrong := _differences(user, row, _FIELDS):
                beside = f", where the last error was {link.error}" if link.error else ""
                yield f"User {user.user}: the service has another {wrong} in {row.id}{beside}."
            mirrored = case.run.mirror.get(row.id)
            if mirrored is None:
                yield f"User {user.user}: the mirror lacks {row.id}."
            elif wrong := _differences(mirrored, row, _MIRRORED):
                yield f"User {user.user}: the mirror has another {wrong} than the service in {row.id}."


def _differences(one: Change | Row, other: Row, fields: tuple[str, ...]) -> str:
    return ", ".join(name for name in fields if getattr(one, name) != getattr(other, name))


def leaked(case: Case) -> Iterator[str]:
    """Find canaries in the logs, as bytes. A canary is named by its place, because it may be a key."""
    canaries = case.run.about["canaries"]
    for name in case.run.about["logs"]:
        for place, canary in enumerate(canaries, start=1):
            if times := _times(case.run.folder / name, _shapes(canary.encode())):
                yield f"{name} holds canary {place} of {len(canaries)} {times} times."


def _shapes(canary: bytes) -> re.Pattern[bytes]:
    """Return what a canary looks like as it is, and in Base64: Celery writes its messages so."""
    shapes = [canary]
    for before in range(3):
        # Only the groups of three bytes that hold nothing else look the same wherever it stands.
        whole = canary[-before % 3 :]
        shapes.append(base64.b64encode(whole[: len(whole) // 3 * 3]))
    return re.compile(b"|".join(re.escape(shape) for shape in shapes if shape))


def _times(path: Path, shapes: re.Pattern[bytes]) -> int:
    if not path.is_file():
        raise UnjudgeableError(f"{path} is missing, so nobody can say what is in it.")
    if not path.stat().st_size:
        return 0  # nothing cannot be mapped
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return sum(1 for _ in shapes.finditer(text))


KINDS: Mapping[str, Callable[[Case], Iterator[str]]] = {
    judge.__name__: judge for judge in (lost, duplicate, misbound, phantom, stuck, diverged, leaked)
}
"""Every kind of finding, in the order in which they are told."""
