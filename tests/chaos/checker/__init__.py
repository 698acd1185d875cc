"""The checker: what a run did to its users, read from files and nothing else.

It shares no code with `kohort_sync` and knows no Django. The site's own history says who was committed, the
service's log what it had at any time, and the dump of the tables what is claimed at the end; a promise is
kept where the three agree. `histories` reads, `remote` goes through the service's log, `findings` judges,
`figures` measures.
"""

from tests.chaos.checker.histories import Histories, UnjudgeableError, read
from tests.chaos.checker.verdict import KINDS, Verdict, check

__all__ = ["KINDS", "Histories", "UnjudgeableError", "Verdict", "check", "read"]
