"""The broker of a site without a broker: messages as files in one folder.

Kombu ships this transport; two of its habits do not suit several processes at once. It writes a message
under the name that readers look for, so now and then a worker reads half a message (one to four in 4,000,
measured) and ends with "Unrecoverable error: JSONDecodeError"; and it expects its folders to be there. Both
are put right here, and nothing else.
"""

import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Show a message to readers only once it is whole."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.processed_folder, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **_kwargs: Any) -> None:  # type: ignore[override]  # two stubs, two names
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}"
        draft = Path(self.data_folder_out) / f"{name}.draft"
        draft.write_bytes(str_to_bytes(dumps(payload)))
        # A rename is atomic; a reader sees the message or nothing.
        draft.rename(draft.with_name(f"{name}.{queue}.msg"))


class Transport(filesystem.Transport):
    """Be named by the setting `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
