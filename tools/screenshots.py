"""Take the pictures of the documentation: the demo site and its admin, with people in every common state.

    python -m tools.screenshots

Everything runs in this process, over a simulated KohortPay and a database in a temporary folder. The browser
is Debian's Chromium. It also reads the pages under their own Content-Security-Policy: what it refuses ends
this with an error.
"""

import io
import os
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import django
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.test import Client
from django.test.testcases import LiveServerThread
from playwright.sync_api import BrowserContext, ViewportSize, sync_playwright

from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service

if TYPE_CHECKING:  # models can be imported only once Django is set up
    from project.accounts.models import User

IMAGES = Path(__file__).parent.parent / "docs" / "images"
MOST_BYTES = 200_000
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SIZE: ViewportSize = {"width": 1280, "height": 800}
_SESSION = "sessionid"
_ALSO_LOOKED_AT = (
    "",
    "account/",
    "account/default_2Ftest/change/",
    "customer/",
    "customer/1/change/",
    "syncattempt/",
    "syncrun/",
)


@dataclass(frozen=True)
class Person:
    """Describe one neighbour of the pictures; without an address there is nothing to send."""

    first_name: str
    last_name: str
    email: str = ""

    @property
    def username(self) -> str:
        """Return the name for logging in."""
        return self.first_name.lower()


@dataclass(frozen=True)
class Picture:
    """Describe one picture: the file's name, the page, and whose session it is seen with.

    Without a name the page is only looked at.
    """

    name: str
    address: str
    session: str = ""


LINKED = (
    Person("Ada", "Okafor", "ada@example.org"),
    Person("Noé", "Lambert", "noe@example.org"),
    Person("Inès", "Moreau", "ines@example.org"),
    Person("Tom", "Brandt", "tom@example.org"),
)
LEFT = Person("Émile", "Roche", "emile@example.org")
NO_EMAIL = Person("Pilar", "Ortega")
REJECTED = Person("Yuki", "Tanaka", "yuki@disposable.example.org")
SAME_ADDRESS = Person("Camille", "Moreau", "ines@example.org")
UNCERTAIN = Person("Lena", "Novak", "lena@example.org")


def main() -> int:
    """Take every picture; return a shell's exit code."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is missing: apt-get install chromium fonts-dejavu", file=sys.stderr)
        return 1
    service = Service(seed=1, disposable_domains={"disposable.example.org"})
    with (
        tempfile.TemporaryDirectory(prefix="kohort-sync-pictures-") as folder,
        SandboxServer(service) as sandbox,
    ):
        _set_up_site(Path(folder), sandbox.url)
        # Before the browser starts: its event loop runs in this thread, where Django then refuses queries.
        pictures = _pictures(service, sandbox.url)
        with _site() as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
            for picture in pictures:
                context = browser.new_context(
                    viewport=_SIZE,
                    device_scale_factor=1,
                    color_scheme="light",
                    locale="en-GB",
                    timezone_id="UTC",
                )
                _take(picture, context, site=site)
                context.close()
            browser.close()
    too_big = [file.name for file in sorted(IMAGES.glob("*.png")) if file.stat().st_size > MOST_BYTES]
    if too_big:
        print(f"Over {MOST_BYTES} bytes: {', '.join(too_big)}", file=sys.stderr)
        return 1
    print(f"Pictures: {len(list(IMAGES.glob('*.png')))} in docs/images.")
    return 0


def _set_up_site(folder: Path, sandbox: str) -> None:
    """Make Django the demo site with an empty database in `folder`; its settings read the environment."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "PROJECT_STATE_DIR": str(folder),
        "KOHORT_API_KEY": DEFAULT_TEST_KEY,
        "KOHORT_BASE_URL": sandbox,
        "DEBUG": "on",
    }
    django.setup()
    call_command("migrate", verbosity=0)


def _pictures(service: Service, sandbox: str) -> list[Picture]:
    """Put people into every common state, and say what is to be seen of them."""
    staff = get_user_model().objects.create_superuser("staff", "staff@example.org")
    for person in (*LINKED, LEFT):
        _sign_up(person)
    _drain()
    _user(LEFT).delete()
    for person in (NO_EMAIL, REJECTED, SAME_ADDRESS):
        _sign_up(person)
    _drain()
    service.faults.add(Fault("reset", method="POST", email=UNCERTAIN.email))
    _sign_up(UNCERTAIN)
    _drain()
    call_command("kohort_sync", "backfill", stdout=io.StringIO())
    _drain()
    run = _reconcile(service)
    conflict = apps.get_model("kohort_sync.CustomerLink").objects.get(state="conflict")
    links = "/admin/kohort_sync/customerlink/"
    staff_cookie = _session(staff)
    return [
        Picture("home", "/"),
        Picture("sign-up", "/account/sign-up/"),
        Picture("status", "/account/status/", _session(_user(LINKED[0]))),
        Picture("admin-links", links, staff_cookie),
        Picture("admin-link", f"{links}{conflict.pk}/change/", staff_cookie),
        Picture("admin-run", f"/admin/kohort_sync/syncrun/{run}/change/", staff_cookie),
        Picture("sandbox", sandbox),
        Picture("", "/account/log-in/"),
        Picture("", "/account/profile/", _session(_user(LINKED[0]))),
        *(Picture("", f"/admin/kohort_sync/{page}", staff_cookie) for page in _ALSO_LOOKED_AT),
    ]


def _reconcile(service: Service) -> int:
    """Change customers behind the app's back, and tell what differs; return the key of the run."""
    by_address = {row["email_address"]: row["id"] for row in service.snapshot()}
    service.change(by_address[LINKED[0].email], first_name="Adah")
    service.block(by_address[LINKED[3].email])
    service.checkout(email="guest@example.org")
    call_command("kohort_sync", "reconcile", "--full", "--report-only", stdout=io.StringIO())
    return int(apps.get_model("kohort_sync.SyncRun").objects.get().pk)


def _sign_up(person: Person) -> None:
    get_user_model().objects.create_user(
        person.username, person.email, first_name=person.first_name, last_name=person.last_name
    )


def _user(person: Person) -> "User":
    return get_user_model().objects.get_by_natural_key(person.username)


def _drain() -> None:
    # It exits with 1 where something needs a person, and here something shall.
    with suppress(SystemExit):
        call_command("kohort_sync", "drain", stdout=io.StringIO())


def _session(user: "User") -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[_SESSION].value


@contextmanager
def _site() -> Iterator[str]:
    """Serve the site from a thread; yield its address."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.terminate()


def _take(picture: Picture, context: BrowserContext, *, site: str) -> None:
    if picture.session:
        context.add_cookies([{"name": _SESSION, "value": picture.session, "url": site}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(urljoin(site, picture.address), wait_until="networkidle")
    if answer is None or not answer.ok:
        raise RuntimeError(f"{picture.address} cannot be shown: {answer.status if answer else 'no answer'}.")
    if complaints or "content-security-policy" not in answer.headers:
        raise RuntimeError(f"{picture.address} is not shown as it should be: {complaints or 'no policy'}.")
    if picture.name:
        (IMAGES / f"{picture.name}.png").write_bytes(_packed(page.screenshot()))


def _packed(png: bytes) -> bytes:
    """Compress a PNG as well as zlib can, which a browser in a hurry does not."""
    head, data, position = png[:8], b"", 8
    packed = head
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        chunk = png[position : position + length + 12]
        position += len(chunk)
        if kind == b"IDAT":
            data += chunk[8:-4]
            continue
        if kind == b"IEND":
            body = b"IDAT" + min(data, zlib.compress(zlib.decompress(data), 9), key=len)
            packed += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        packed += chunk
    return packed


if __name__ == "__main__":
    sys.exit(main())
