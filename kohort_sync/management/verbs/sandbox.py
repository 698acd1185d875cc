"""Sandbox: serve a simulated KohortPay."""

from argparse import ArgumentParser
from typing import Any

from kohort_sync.management.verbs.console import Console, bad_usage, stoppable
from kohort_sync.management.verbs.verb import OK, Verb
from kohort_sync.testing.answers import Dialect
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service


def run(console: Console, *, port: int, dialect: Dialect, latency: str, **_: Any) -> int:
    """Serve the simulated service until a signal ends it."""
    service = Service(dialect=dialect, latency=latency)
    try:
        server = SandboxServer(service, port=port)
    except (OSError, OverflowError) as error:
        raise bad_usage(
            f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for a free one."
        ) from error
    with stoppable() as stop:
        server.start()
        key = next(iter(service.keys))
        console.show({"url": server.url, "key": key})
        console.say(
            f"A simulated KohortPay serves {server.url} (dialect: {dialect}).",
            f'KOHORT_SYNC = {{"API_KEY": "{key}", "BASE_URL": "{server.url}"}}',
            "Open the address in a browser to see its customers. Ctrl-C ends it.",
        )
        stop.wait()
        server.stop()
    return OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8555, help="0 picks a free one (default: 8555)")
    parser.add_argument(
        "--dialect",
        choices=["seen", "documented"],
        default="seen",
        help="answer as the service was seen to, or as its documentation says (default: seen)",
    )
    parser.add_argument(
        "--latency",
        choices=["none", "test", "live"],
        default="test",
        help="be as slow as nothing, a test key or a live key (default: test)",
    )


VERB = Verb(
    name="sandbox",
    about="Serve a simulated KohortPay on this machine, for development.",
    example="sandbox --port 8555",
    run=run,
    options=_options,
    takes_account=False,
)
