"""Mutant: one guard taken out of a copy of the code, and who has to notice."""

from dataclasses import dataclass
from typing import Literal

Database = Literal["postgresql", "mariadb"]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """Describe one mutant.

    `old` stands exactly once in `module` (a path from the project's root) and becomes `new`. Each of
    `caught_by`, node ids of pytest, passes on the code as it is and fails on the mutant: on SQLite, or on
    the server that `database` names where only that one shows the difference.
    """

    name: str
    module: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    database: Database | None = None

    @property
    def group(self) -> tuple[Database | None, bool]:
        """Name the database that its tests need, and whether its tables have to come from the migrations."""
        return self.database, "/migrations/" in self.module

    @property
    def tiers(self) -> str:
        """Name the parts of the tests that catch it, as their paths do."""
        parts = (node.partition("::")[0].split("/")[1] for node in self.caught_by)
        return ", ".join(sorted({part.removesuffix(".py") for part in parts}))
