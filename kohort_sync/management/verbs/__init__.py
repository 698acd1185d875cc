"""The verbs of `manage.py kohort_sync`, in the order in which the help shows them."""

from kohort_sync.management.verbs import (
    backfill,
    blocks,
    doctor,
    drain,
    erase,
    export,
    prune,
    reconcile,
    resolve,
    resync,
    retry,
    sandbox,
    status,
)

ALL = (
    status.VERB,
    doctor.VERB,
    backfill.VERB,
    drain.VERB,
    resync.VERB,
    reconcile.VERB,
    retry.VERB,
    resolve.VERB,
    blocks.BLOCK,
    blocks.UNBLOCK,
    erase.VERB,
    export.VERB,
    prune.VERB,
    sandbox.VERB,
)
