"""Chaos: the promise attacked with real processes, and judged by somebody who knows nothing of our code.

`plan` says what happens when, out of a seed; `stack` holds the processes and `servers` the throw-away
PostgreSQL and Redis; `driver` is the people on the site, `nemesis` breaks things; `run` does one run and
leaves three histories; `checker` reads them, and `report` writes docs/reliability.md.
"""
