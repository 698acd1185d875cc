"""One person's browser: signs up over the site's own form, and looks at the status page."""

import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser

import requests

from project.demo.cast import Person

_SECONDS = 15.0
_WITHOUT_END = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Refused(Exception):
    """Say that the site did not take a sign-up, in the words of its page."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Hold what the status page shows to a person."""

    state: str
    kohort_id: str
    reason: str


class Visitor:
    """Visit the site as one person, cookies included."""

    def __init__(self, site: str) -> None:
        self.site = site.rstrip("/")
        self.session = requests.Session()
        # The site is on this machine, whatever proxy the environment names.
        self.session.trust_env = False

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    def sign_up(self, person: Person, *, password: str) -> float:
        """Fill in and send the form. Returns the Unix time at which the site's answer was here.

        Raises Refused where the site shows the form again or fails.
        """
        address = f"{self.site}/account/sign-up/"
        form = _page(self.session.get(address, timeout=_SECONDS))
        answer = self.session.post(
            address,
            data={
                "csrfmiddlewaretoken": form.fields["csrfmiddlewaretoken"],
                "first_name": person.first_name,
                "last_name": person.last_name,
                "email": person.email,
                "phone_number": "",
                "username": person.username,
                "password1": password,
                "password2": password,
            },
            timeout=_SECONDS,
            allow_redirects=False,
        )
        answered = time.time()
        if answer.headers.get("Location") != "/account/status/":
            told = _page(answer).texts.get("error-summary", "")
            raise Refused(
                f"The site did not sign {person.name} up (HTTP {answer.status_code}). {told}".strip()
            )
        return answered

    def status(self) -> Status:
        """Look at the status page."""
        page = _page(self.session.get(f"{self.site}/account/status/", timeout=_SECONDS))
        return Status(
            state=page.attributes.get("kohort-status", {}).get("data-state", ""),
            kohort_id=page.texts.get("kohort-id", ""),
            reason=page.texts.get("kohort-reason", ""),
        )


class _Page(HTMLParser):
    """Collect the form's fields by name, and the attributes and texts of elements by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "name" in found:
            self.fields[found["name"]] = found.get("value", "")
        if "id" in found:
            self.attributes[found["id"]] = found
        if tag not in _WITHOUT_END:
            self._open.append(found.get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _WITHOUT_END and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in filter(None, self._open):
            before = self.texts.get(element, "")
            self.texts[element] = re.sub(r"\s+", " ", f"{before} {data}").strip()


def _page(answer: requests.Response) -> _Page:
    return _Page(answer.text)
