"""The people of a run: they sign up, change, swap and leave over HTTP, and write down how long it took."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

import requests

from tests.chaos.plan import Act, Plan

PATIENCE = 30.0
CANARY = "kanarienvogel"
"""What every address, name and number of a run holds, so that it is found wherever it does not belong."""
_THREADS = 6


@dataclass
class Driver:
    """Do what the plan says, each act at its time; `ports` are the webs', `folder` takes the histories."""

    plan: Plan
    ports: tuple[int, ...]
    folder: Path
    die: Callable[[int], bool]
    known: list[tuple[str, str]] = field(default_factory=list)
    acts_refused: int = 0

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._number = 0
        self._signups = (self.folder / "signups.jsonl").open("a")
        self._rolled_back = (self.folder / "rolled_back.jsonl").open("a")

    def run(self, *, started: float) -> None:
        """Do every act; return when the last has been answered."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="people") as pool:
            for act in self.plan.acts:
                time.sleep(max(started + act.at - time.monotonic(), 0))
                pool.submit(self._guarded, act)
        self._signups.close()
        self._rolled_back.close()

    def _guarded(self, act: Act) -> None:
        try:
            getattr(self, f"_{act.kind}")(act)
        except (requests.RequestException, IndexError):
            # The web or the database is down: somebody who changes something tries again another day.
            with self._lock:
                self.acts_refused += 1

    def _sign_up(self, act: Act) -> None:
        person = self._person()
        web = int(act.rank * len(self.ports))
        sent: dict[str, Any] = {"people": [person]}
        if self.die(web):
            sent["die"] = True
        began, answer, broke = time.time(), None, False
        try:
            answer = self._post(web, "sign_up", sent)
        except requests.RequestException as error:
            # A web that lives and does not answer is not a web that was killed.
            broke = not isinstance(error, requests.Timeout)
        line = {
            "at": began,
            "seconds": time.time() - began,
            "ok": answer is not None and answer.status_code == requests.codes.ok,
            "status": None if answer is None else answer.status_code,
            "web_killed": broke,
        }
        self._write(self._signups, line)
        if answer is not None:
            self._remember(answer, [person])

    def _roll_back(self, act: Act) -> None:
        person = self._person()
        self._write(self._rolled_back, {"email": person["email"], "at": time.time()})
        self._send(act, "sign_up", {"people": [person], "roll_back": True})

    def _share_email(self, act: Act) -> None:
        _, email = self._somebody(act.other)
        person = {**self._person(), "email": email}
        self._send(act, "sign_up", {"people": [person]})

    def _bulk(self, act: Act) -> None:
        self._many(act, announce=False)

    def _bulk_announced(self, act: Act) -> None:
        self._many(act, announce=True)

    def _many(self, act: Act, *, announce: bool) -> None:
        people = [self._person() for _ in range(act.size)]
        answer = self._send(act, "bulk", {"people": people, "announce": announce})
        self._remember(answer, people)

    def _rename(self, act: Act) -> None:
        user, _ = self._somebody(act.other)
        name = f"{CANARY.capitalize()} {self._next()}"
        self._send(act, "change", {"users": [user], "values": {"first_name": name}})

    def _change_email(self, act: Act) -> None:
        user, _ = self._somebody(act.other)
        self._send(act, "change", {"users": [user], "values": {"email": self._person()["email"]}})

    def _swap(self, act: Act) -> None:
        one, other = self._somebody(act.other)[0], self._somebody(act.rank)[0]
        if one != other:
            self._send(act, "swap", {"users": [one, other]})

    def _delete(self, act: Act) -> None:
        user, _ = self._somebody(act.other)
        self._send(act, "delete", {"users": [user]})

    def _resync(self, act: Act) -> None:
        with self._lock:
            users = [user for user, _ in self.known]
        start = int(act.other * len(users))
        self._send(act, "resync", {"users": (users[start:] + users[:start])[: act.size]})

    def _send(self, act: Act, path: str, sent: Mapping[str, Any]) -> requests.Response:
        return self._post(int(act.rank * len(self.ports)), path, sent)

    def _post(self, web: int, path: str, sent: Mapping[str, Any]) -> requests.Response:
        # A connection each, as from as many people.
        return requests.post(
            f"http://127.0.0.1:{self.ports[web]}/{path}", json=sent, timeout=PATIENCE, allow_redirects=False
        )

    def _person(self) -> dict[str, Any]:
        number = self._next()
        return {
            "username": f"user{number}",
            "email": f"{CANARY}.{self.plan.seed}.{number}@example.com",
            "first_name": f"{CANARY.capitalize()}{number}",
            "last_name": f"Von{CANARY}",
            "phone_number": f"+4930{CANARY_NUMBER}{number:05d}",
        }

    def _next(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def _somebody(self, rank: float) -> tuple[str, str]:
        with self._lock:
            return self.known[int(rank * len(self.known))]

    def _remember(self, answer: requests.Response, people: list[dict[str, Any]]) -> None:
        if answer.status_code == requests.codes.ok:
            with self._lock:
                self.known += zip(answer.json()["users"], (person["email"] for person in people), strict=True)

    def _write(self, file: TextIO, line: Mapping[str, Any]) -> None:
        with self._lock:
            file.write(json.dumps(line) + "\n")


CANARY_NUMBER = "7654"
