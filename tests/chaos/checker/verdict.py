"""The verdict on one run: what was found, kind by kind, and what was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.checker import figures, findings
from tests.chaos.checker.figures import Figures
from tests.chaos.checker.histories import read
from tests.chaos.checker.people import People
from tests.chaos.checker.remote import Remote

KINDS = tuple(findings.KINDS)
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Hold a sentence for each thing that was found, by kind."""

    lost: tuple[str, ...]
    duplicate: tuple[str, ...]
    misbound: tuple[str, ...]
    phantom: tuple[str, ...]
    stuck: tuple[str, ...]
    diverged: tuple[str, ...]
    leaked: tuple[str, ...]

    def by_kind(self) -> Mapping[str, tuple[str, ...]]:
        """Return them by the name of their kind."""
        return {kind: getattr(self, kind) for kind in KINDS}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Hold what is to be said about one run; `about` is its run.json."""

    about: Mapping[str, Any]
    findings: Findings
    figures: Figures

    @property
    def sound(self) -> bool:
        """Say whether nothing was found."""
        return not any(self.findings.by_kind().values())

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        found = self.findings.by_kind()
        return {
            "run": dict(self.about),
            "counts": {kind: len(sentences) for kind, sentences in found.items()},
            "findings": {kind: list(sentences) for kind, sentences in found.items()},
            "figures": asdict(self.figures),
        }

    def __str__(self) -> str:
        found = self.findings.by_kind()
        lines = [
            f"{self.about['design']}, seed {self.about['seed']}: {self.figures.users:,} users,"
            f" {sum(self.figures.faults.values()):,} faults: "
            + ", ".join(f"{kind} {len(sentences)}" for kind, sentences in found.items())
        ]
        for kind, sentences in found.items():
            lines += [f"  {kind}: {sentence}" for sentence in sentences[:_SHOWN]]
            if len(sentences) > _SHOWN:
                lines.append(f"  {kind}: and {len(sentences) - _SHOWN} more")
        return "\n".join([*lines, *self.figures.lines()])


def check(folder: Path) -> Verdict:
    """Judge the run in a folder; raise `UnjudgeableError` where there is none."""
    run = read(folder)
    people = People(run)
    remote = Remote(run, people)
    case = findings.Case(run, people, remote)
    found = {kind: tuple(judge(case)) for kind, judge in findings.KINDS.items()}
    return Verdict(about=run.about, findings=Findings(**found), figures=figures.of(case))
