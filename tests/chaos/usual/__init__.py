"""The usual design: what an able engineer writes in an afternoon, with Celery's documentation at hand.

It runs beside kohort_sync under the same seeds, so that the figures have something to stand beside. It is
meant to be good: whoever sees how to better it without a table of its own for what is still to do is asked
to. It imports nothing of kohort_sync. docs/usual-design.md shows the code and says what it is worth.
"""
