"""Pages under a strict Content-Security-Policy: none has anything that the policy would refuse.

What a browser itself says is heard by `python -m tools.screenshots`, which fails on the first complaint.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests
from django.conf import settings
from django.test import Client
from django.urls import reverse

from kohort_sync.models import State
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service
from project.accounts.models import User
from project.csp import POLICY
from tests.edges.test_admin import one_of_each, page_of
from tests.site import people

pytestmark = [pytest.mark.django_db, pytest.mark.security(23)]

_LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "form": "action", "a": "href"}


class Complaints(HTMLParser):
    """Collect what a browser under the policy of the demo would refuse to show, to run or to load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        # A block of data is not run.
        if tag == "style" or (
            tag == "script" and "src" not in given and given.get("type") != "application/json"
        ):
            self.found.append(f"<{tag}> in the page")
        if tag in {"base", "object", "embed", "iframe"}:
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        address = given.get(_LOADING.get(tag, ""), "")
        if re.match(r"(?:[a-z]+:)?//|javascript:|data:", address, re.IGNORECASE):
            self.found.append(f"{tag} {address}")


def test_what_a_browser_would_refuse_is_found_here() -> None:
    refused = (
        '<style>a{}</style><p style="x" onclick="y">', '<script>1</script><script src="//cdn.test/a.js">',
        '<a href="javascript:1">', '<img src="https://elsewhere.test/a.png"><base href="/">',
    )  # fmt: skip

    assert [len(Complaints(text).found) for text in refused] == [3, 2, 1, 2]
    assert Complaints('<a href="/x"><script src="/a.js"></script><p class="onward">').found == []


def pages_of_the_site() -> Iterator[str]:
    for name in ("home", "profile", "status"):
        yield reverse(name)
    yield reverse("admin:app_list", args=["kohort_sync"])
    for row in one_of_each():
        yield page_of(type(row), "changelist")
        yield f"{page_of(type(row), 'changelist')}?q=nobody"
        yield page_of(type(row), "change", row.pk)
        yield page_of(type(row), "history", row.pk)
    for number, state in enumerate(State):
        link = people.place(User.objects.create_user(f"u{number}", f"u{number}@example.org"), state)
        yield page_of(type(link), "change", link.pk)


def test_no_page_holds_what_the_policy_refuses(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss", "boss@example.org"))

    of_visitors = [(Client(), reverse(name)) for name in ("home", "sign-up", "log-in", "admin:login")]
    for visitor, address in [*of_visitors, *((client, address) for address in pages_of_the_site())]:
        page = visitor.get(address)

        assert page.status_code == 200, address
        assert page.headers["Content-Security-Policy"] == POLICY
        assert Complaints(page.content.decode()).found == [], address


def test_the_policy_allows_nothing_by_default_and_nothing_inline() -> None:
    directives = dict(each.strip().partition(" ")[::2] for each in POLICY.split(";"))

    assert directives["default-src"] == "'none'"
    assert {name: value for name, value in directives.items() if value not in ("'none'", "'self'")} == {}
    assert {"base-uri", "form-action", "frame-ancestors"} <= {*directives}  # not covered by default-src


@pytest.mark.parametrize(
    "script",
    sorted(file for part in ("project", "kohort_sync") for file in (settings.BASE_DIR / part).rglob("*.js")),
    ids=lambda file: file.name,
)
def test_no_script_writes_styles_or_runs_text(script: Path) -> None:
    text = script.read_text()

    assert re.findall(r"\.style\b|cssText|setAttribute\(.style|innerHTML\s*=|eval\(|new Function", text) == []


def test_the_page_of_the_sandbox_allows_its_own_style_alone() -> None:
    service = Service(seed=1)
    service.add_customer(email="<style>@example.org", first_name="<img src=x onerror=1>")
    with SandboxServer(service) as sandbox:
        page = requests.get(sandbox.url, timeout=5)

    style = page.text.partition("<style>")[2].partition("</style>")[0]
    known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{known}'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert Complaints(page.text).found == ["<style> in the page"]
