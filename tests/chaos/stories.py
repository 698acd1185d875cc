"""Stories: small histories of a run, made by hand, for the tests of whoever judges them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]

CANARIES = ("kanarienvogel", "sk_test_canary")
STARTED, HEALED, ENDED = 1000.0, 1100.0, 1300.0
LEASE, SETTLE, SWEEP = 10.0, 20.0, 2.0


@dataclass
class Story:
    """Hold the lines of each file of a run; the defaults are a run in which nothing happened yet."""

    committed: list[Line] = field(default_factory=list)
    rolled_back: list[Line] = field(default_factory=list)
    signups: list[Line] = field(default_factory=list)
    service: list[Line] = field(default_factory=list)
    faults: list[Line] = field(default_factory=list)
    links: list[Line] = field(default_factory=list)
    customers: dict[str, Line] = field(default_factory=dict)
    planned: int = 1
    logs: dict[str, bytes] = field(
        default_factory=lambda: {"logs/web.log": b"", "logs/worker.log": b"well\n"}
    )

    def write(self, folder: Path) -> Path:
        """Write it as a run leaves it; return the folder."""
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        for name in ("committed", "rolled_back", "signups", "service", "faults", "links"):
            _write(folder / f"{name}.jsonl", getattr(self, name))
        _write(folder / "customers.jsonl", self.customers.values())
        for name, text in self.logs.items():
            (folder / name).write_bytes(text)
        (folder / "run.json").write_text(json.dumps(self.about()))
        return folder

    def about(self) -> Line:
        """Return run.json."""
        return {
            "seed": 7, "commit": "abc1234", "design": "kohort_sync", "started": STARTED, "healed": HEALED,
            "ended": ENDED, "waited": ENDED - HEALED, "lease": LEASE, "settle": SETTLE, "sweep": SWEEP,
            "deadline": 2.0, "organization": "org_1", "livemode": False, "canaries": [*CANARIES],
            "logs": [*self.logs], "reasons": ["conflict", "parked", "rejected"], "users": self.planned,
        }  # fmt: skip

    def commits(self, op: str, user: int, *, at: float, **values: Any) -> None:
        """Let the site commit a change of a user."""
        self.committed.append({
            "id": len(self.committed) + 1, "op": op, "user": str(user), "email": address(user),
            "first_name": "Ada", "last_name": f"Number {user}", "active": True, "at": at, **values,
        })  # fmt: skip

    def works(self, method: str, *, at: float, row: Line | None, **values: Any) -> None:
        """Let the service work on a request for a tenth of a second; with a row it committed something."""
        created = method == "POST"
        self.service.append({
            "at": at, "ended": at + 0.1, "method": method, "status": 201 if created else 200,
            "path": "/customers" if created or row is None else f"/customers/{row['id']}",
            "reference": row["client_reference_id"] if created and row else None,
            "customer": row["id"] if row else None, "committed": row is not None, "row": row,
            "fault": None, "authorized": True, **values,
        })  # fmt: skip

    def becomes_customer(self, user: int, *, at: float) -> None:
        """Let a user be committed, created at the service a second later, linked and mirrored."""
        self.commits("created", user, at=at)
        self.works("POST", at=at + 1, row=row(user))
        self.links.append(link(user))
        self.mirrors(row(user))

    def mirrors(self, row: Line) -> None:
        """Let the mirror have this row of a customer, and no other one."""
        self.customers[row["id"]] = {"kohort_id": row["id"], **row}

    def signs_up(self, *, at: float, seconds: float, **values: Any) -> None:
        """Let somebody sign up."""
        self.signups.append({
            "at": at, "seconds": seconds, "ok": True, "status": 200, "web_killed": False,
            **values,
        })  # fmt: skip

    def breaks(self, kind: str, *, at: float, ended: float | None, **values: Any) -> None:
        """Let something break."""
        process = kind.startswith(("kill", "stop", "flush"))
        self.faults.append({"at": at, "ended": ended, "kind": kind, "process": process, **values})


def _write(path: Path, lines: Iterable[Line]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def address(user: int) -> str:
    """Return the address with which a user signs up."""
    return f"user{user}@example.com"


def row(user: int, **values: Any) -> Line:
    """Return a user's customer as the service has it after the create."""
    return {
        "id": f"cus_{user}", "email_address": address(user), "first_name": "Ada",
        "last_name": f"Number {user}", "client_reference_id": f"ref_{user}", "organization_id": "org_1",
        "livemode": False, "deleted_at": None, "is_blocked": False, **values,
    }  # fmt: skip


def link(user: int, **values: Any) -> Line:
    """Return a user's link, settled."""
    return {
        "id": user, "user_pk": str(user), "user_id": user, "account": "default/test",
        "client_reference_id": f"ref_{user}", "kohort_id": f"cus_{user}", "state": "linked",
        "work_class": 1, "next_attempt_at": None, "lease_until": None, "attempts": 0, "crashes": 0,
        "last_error_code": "", "reason": "", "conflict_kind": "", "created_at": STARTED, **values,
    }  # fmt: skip


def sound() -> Story:
    """Tell of five users with whom a lot went wrong, and well in the end.

    1 was created twice, because an answer was lost; 2 was renamed; 3 and 4 swapped addresses; 5 was deleted;
    6 is refused, and told why; somebody was rolled back.
    """
    story = Story()
    for user in (1, 2, 3, 4, 5):
        story.becomes_customer(user, at=STARTED + user)
    story.works("POST", at=STARTED + 5.5, row=None, reference="ref_1", status=409)
    story.works("GET", at=STARTED + 6, row=None)
    story.commits("changed", 2, at=STARTED + 20, first_name="Grace")
    _changes(story, row(2, first_name="Grace"), at=STARTED + 21)
    story.commits("changed", 3, at=STARTED + 30, email=address(4))
    story.commits("changed", 4, at=STARTED + 30, email=address(3))
    story.commits("changed", 4, at=STARTED + 31, email="four@example.com")
    _changes(story, row(4, email_address="four@example.com"), at=STARTED + 32)
    _changes(story, row(3, email_address=address(4)), at=STARTED + 33)
    story.commits("deleted", 5, at=STARTED + 40)
    story.links[4] |= {"user_pk": None, "user_id": None, "last_error_code": "user_deleted"}
    story.commits("created", 6, at=STARTED + 50, email="not an address")
    story.links.append(
        link(6, state="rejected", kohort_id=None, reason="Correct the address; the user is then sent.")
    )
    story.rolled_back.append({"email": "nobody@example.com", "at": STARTED + 60})
    story.signs_up(at=STARTED + 1, seconds=0.05)
    story.breaks("kill_child", at=STARTED + 3, ended=STARTED + 3.2)
    story.breaks("reset_after", at=STARTED + 2, ended=STARTED + 2.1)
    return story


def _changes(story: Story, row: Line, *, at: float) -> None:
    story.works("PATCH", at=at, row=row)
    story.mirrors(row)
