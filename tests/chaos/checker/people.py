"""People: who the site committed, under which addresses, and which links and customers are theirs."""

from collections import defaultdict

from tests.chaos.checker.histories import Change, Histories, Link, Row


class People:
    """Answer questions about the users of one run."""

    def __init__(self, run: Histories) -> None:
        self.last: dict[str, Change] = {change.user: change for change in run.committed}
        """What was last committed about each user."""
        self.addresses: dict[str, set[str]] = defaultdict(set)
        """Every address that each user ever had."""
        self.links: dict[str, list[Link]] = defaultdict(list)
        self.holders: dict[str, set[str]] = defaultdict(set)
        """Every user who ever had an address."""
        self.held_since: dict[str, float] = {}
        """When each address was committed first; this was written down before the commit."""
        for change in run.committed:
            self.held_since[change.email] = min(change.at, self.held_since.get(change.email, change.at))
            self.addresses[change.user].add(change.email)
            self.holders[change.email].add(change.user)
        self._by_reference: dict[str, str] = {}
        for link in run.links:
            if link.user is not None:
                self.links[link.user].append(link)
                self._by_reference[link.reference] = link.user

    def wanted(self) -> list[Change]:
        """Return those who are to be customers at the end, as last committed: they live, and are active."""
        return [change for change in self.last.values() if change.op != "deleted" and change.active]

    def owner(self, row: Row) -> str | None:
        """Return the user to whom a customer belongs, as far as it can be said.

        The reference decides where a link has it; else an address that only one user ever had. One that
        went from one user to another says nothing.
        """
        if row.reference is not None and row.reference in self._by_reference:
            return self._by_reference[row.reference]
        holders = self.holders.get(row.email, set())
        return next(iter(holders)) if len(holders) == 1 else None
