"""The story: a stack comes up, people sign up, each ends somewhere, and KohortPay's own list judges."""

import os
import secrets
import statistics
import time
from datetime import datetime
from pathlib import Path

import django
from django.db import connections

from kohort_sync import conf
from kohort_sync.client import errors
from project.demo import cast as casting
from project.demo import service, stack, standings, verdict
from project.demo.cast import Person
from project.demo.processes import Processes
from project.demo.screen import Row, Screen
from project.demo.service import Sandbox
from project.demo.stack import KohortPay, Plan
from project.demo.verdict import Evidence
from project.demo.visitor import Visitor

TIME_LIMIT = 180.0
"""Seconds after which a run has failed."""
_POLL = 0.1
# With calls of one second, an unknown outcome has settled after 28 seconds instead of after five minutes: it
# can be watched.
_SANDBOX_DEADLINE = 1.0


class Story:
    """Tell the story once."""

    def __init__(self, processes: Processes, screen: Screen, *, state: Path) -> None:
        self.processes, self.screen = processes, screen
        self.real_service = _real_service()
        self.plan = Plan(
            state=state,
            kohortpay=self.real_service,
            deadline=None if self.real_service else _SANDBOX_DEADLINE,
        )
        # Addresses that no run has used before: a service keeps its customers.
        run = secrets.token_hex(3)
        self.admin = casting.admin(run)
        self.cast = [self.admin, *casting.ordinary_people(run), *casting.special_people(run)]
        if not self.real_service:
            self.cast += casting.unlucky_people(run)
        self.password = secrets.token_urlsafe(9)
        self.answered: dict[str, float] = {}
        self.settled: dict[str, float] = {}
        self.standings: dict[str, standings.Standing] = {}
        self.is_told = False

    def tell(self) -> bool:
        """Tell it to its end; say whether everybody ended as they must."""
        ends = time.monotonic() + TIME_LIMIT
        self._introduce()
        self.stack = stack.start(
            self.plan, self.processes, admin=self.admin, password=self.password, say=self._step
        )
        self._set_up_django()
        self.answered[self.admin.username] = time.time()
        self.screen.say("\nPeople sign up over the site's own form.")
        if not self.real_service:
            self.screen.say(
                "Two meet a fault on purpose. What became of their request is unknown, so KohortPay is asked,"
                f"\nand nothing is sent a second time before {conf.settle_window():.0f} s have passed"
                " (five minutes with the usual settings)."
            )
        self.screen.say()
        for person in self.cast:
            if person is not self.admin:
                self._sign_up(person, ends=ends)
        in_time = self._watch(self.cast, ends=ends)
        good = self._conclude(in_time=in_time)
        self.is_told = True
        return good

    def stay_up(self) -> None:
        """Keep everything running until a signal comes. Raises Failed if a process ends by itself."""
        names = ", ".join(person.username for person in self.cast)
        self.screen.say(
            f"\nStill up, for you to look around:\n"
            f"  site       {self.stack.site}/\n"
            f"  admin      {self.stack.site}/admin/\n"
            f"  KohortPay  {self.stack.kohortpay.url}/{'' if self.real_service else ' (simulated)'}\n"
            f"  logs       {self.processes.logs}\n"
            f"Log in as admin, or as anybody else, with the password {self.password}\n"
            f"  ({names})\n"
            "Ctrl-C ends everything."
        )
        while True:
            self.processes.check()
            self.processes.pause(0.5)

    # The steps

    def _introduce(self) -> None:
        if self.real_service:
            mode = "live" if self.real_service.key.startswith("sk_live_") else "test"
            self.screen.say(f"KohortPay is the service at {self.real_service.url}, in {mode} mode.")
            self.screen.say(
                "Left out, as only the sandbox can be made to fail: the 503, and the answer that is lost."
            )
        else:
            self.screen.say("KohortPay is simulated on this machine. Nothing leaves it.")
            if os.environ.get("KOHORT_API_KEY") or os.environ.get("KOHORT_BASE_URL"):
                self.screen.say("To use a real service, set both KOHORT_API_KEY and KOHORT_BASE_URL.")

    def _step(self, text: str) -> None:
        self.screen.say(f"- {text}")

    def _set_up_django(self) -> None:
        """Read the site's tables with the site's own settings."""
        os.environ.clear()
        os.environ.update(self.stack.environment)
        django.setup()

    def _sign_up(self, person: Person, *, ends: float) -> None:
        first = [other for other in self.cast if other.username == person.follows]
        self._watch(first, ends=ends)
        if person.fault:
            with Sandbox(self.stack.kohortpay.url) as sandbox:
                sandbox.fail_once(person.fault, email=person.email)
        visitor = Visitor(self.stack.site)
        try:
            self.answered[person.username] = visitor.sign_up(person, password=self.password)
        finally:
            visitor.close()
        self._look()

    def _watch(self, people: list[Person], *, ends: float) -> bool:
        """Watch until these people are settled; False where that takes too long or will never be."""
        while True:
            self._look()
            if all(person.username in self.settled for person in people):
                return True
            self.processes.check()
            if time.monotonic() > ends or standings.why_hopeless():
                return False
            self.processes.pause(_POLL)

    def _look(self) -> None:
        """Read the tables and show them."""
        self.standings = standings.read()
        now = time.time()
        for person in self.cast:
            standing = self.standings.get(person.username)
            if standing is None or not standing.settled:
                self.settled.pop(person.username, None)
            elif person.username not in self.settled:
                linked_at = standing.linked_at
                self.settled[person.username] = linked_at.timestamp() if linked_at else now
        self.screen.show([self._row(person, now) for person in self.cast])

    def _row(self, person: Person, now: float) -> Row:
        standing = self.standings.get(person.username)
        settled = self.settled.get(person.username)
        answered = self.answered.get(person.username)
        words = standing.words if standing else ""
        if not standing:
            tone = "quiet"
        elif settled is None:
            tone = "waiting"
        else:
            tone = "good" if standing.state == "linked" else "quiet"
        return Row(
            name=person.name,
            special=person.special,
            words=words,
            tone=tone,
            kohort_id=standing.kohort_id if standing else "",
            passing=bool(standing and standing.leased),
            # The link may be there before the form's answer is.
            seconds=max((settled or now) - answered, 0.0) if answered else None,
        )

    # The end

    def _conclude(self, *, in_time: bool) -> bool:
        self._print_links()
        self._print_times()
        if not in_time:
            why = standings.why_hopeless() or f"Not everybody was settled within {TIME_LIMIT:.0f} seconds."
            self.screen.say(f"\nGiven up waiting. {why}")
        good = self._print_verdict()
        connections.close_all()
        if not good:
            self._print_logs()
        return good

    def _print_links(self) -> None:
        self.screen.say("\nThe links, each with its KohortPay id and the reference that proves whose it is:")
        width = max(len(person.name) for person in self.cast)
        for person in self.cast:
            standing = self.standings.get(person.username)
            if standing is None:
                told = "no link"
            elif standing.state == "linked":
                told = f"{standing.kohort_id}  {standing.reference}"
            else:
                told = f"none. {standing.reason}"
            self.screen.say(f"  {person.name.ljust(width)}  {told}")

    def _print_times(self) -> None:
        linked = [
            (standing, self.answered[person.username])
            for person in self.cast
            if not person.special and (standing := self.standings.get(person.username)) and standing.linked_at
        ]
        if not linked:
            return
        waits = [_seconds(standing.linked_at) - answered for standing, answered in linked]
        works = [_seconds(standing.linked_at) - _seconds(standing.promised_at) for standing, _ in linked]
        early = sum(wait <= 0 for wait in waits)
        before = f" ({early} of them before it was back)" if early else ""
        self.screen.say(
            f"\nHow long {len(linked)} ordinary people took to be linked, in the median:\n"
            f"  {max(statistics.median(waits), 0.0):.2f} s from the form's answer{before}\n"
            f"  {statistics.median(works):.2f} s from the moment the user was saved"
        )

    def _print_verdict(self) -> bool:
        try:
            evidence = self._evidence()
        except errors.KohortError as error:
            self.screen.say(f"\nNo verdict, because KohortPay's own list could not be had. {error}")
            return False
        self.screen.say(f"\nThe verdict, by KohortPay's own list ({evidence.asked}):")
        wrong = verdict.judge(self.cast, evidence)
        width = max(map(len, wrong))
        well = {person.name: verdict.in_words(person, self.cast, evidence) for person in self.cast}
        for name, sentences in wrong.items():
            for sentence in sentences:
                self.screen.say(f"  WRONG  {name.ljust(width)}  {sentence}")
            if not sentences and name in well:
                self.screen.say(f"  ok     {name.ljust(width)}  {well[name]}")
        good = not any(wrong.values())
        self.screen.say("Everybody ended as they must." if good else "Not everybody ended as they must.")
        return good

    def _evidence(self) -> Evidence:
        if self.real_service:
            return self._evidence_of_a_service()
        with Sandbox(self.stack.kohortpay.url) as sandbox:
            return Evidence(
                customers=sandbox.customers(),
                standings=self.standings,
                creates=sandbox.creates(),
                faults_left=sandbox.faults_left(),
            )

    def _evidence_of_a_service(self) -> Evidence:
        """Ask it through its documented API, which lists by reference only where answers show references."""
        try:
            return Evidence(
                customers=service.by_reference(self.standings.values()),
                standings=self.standings,
                asked="GET /customers?search=..., for each reference",
            )
        except service.NoReferences:
            return Evidence(
                customers=service.by_id(self.standings.values()),
                standings=self.standings,
                asked="GET /customers/ID, for each link, because this service shows no references",
                told_by="by id and by e-mail address",
            )

    def _print_logs(self) -> None:
        self.screen.say(f"\nThe last lines of each log in {self.processes.logs}:")
        for process in self.processes.running:
            self.screen.say(f"{process.name}:\n{process.tail()}")


def _real_service() -> KohortPay | None:
    url, key = os.environ.get("KOHORT_BASE_URL"), os.environ.get("KOHORT_API_KEY")
    return KohortPay(url=url.rstrip("/"), key=key) if url and key else None


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
