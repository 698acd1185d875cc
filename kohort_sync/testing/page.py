"""Draw the page that shows people what the sandbox holds."""

import base64
import hashlib
import html
import pathlib
from collections.abc import Sequence
from datetime import datetime
from string import Template
from typing import Any

from kohort_sync.testing import answers

SHOWN = 200  # customers; the rest is counted here and to be had as JSON
_COLUMNS = ("E-mail", "Mode", "First name", "Last name", "Phone", "Reference", "State", "Created", "Id")
_TEXT = (pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8")
_PAGE = Template(_TEXT)
# The page comes in one piece. Its style is known by its hash, so that no value could bring another.
_STYLE = _TEXT.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SHEET = Template("""<div class="sheet" role="region" aria-labelledby="held" tabindex="0">
<table>
<caption id="held">$caption</caption>
<thead><tr>$heads</tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>""")
_EMPTY = '<div class="sheet empty">No customers yet. The first one appears here when it is created.</div>'


def render(rows: Sequence[dict[str, Any]], *, dialect: str, latency: str, faults: int) -> str:
    """Return the page for a snapshot, newest customer first; every value is escaped."""
    return _PAGE.substitute(
        count=len(rows),
        dialect=html.escape(dialect),
        latency=html.escape(latency),
        faults=faults,
        sheet=_sheet(rows) if rows else _EMPTY,
    )


def _sheet(rows: Sequence[dict[str, Any]]) -> str:
    newest = sorted(rows, key=lambda row: row["created_at"])[: -SHOWN - 1 : -1]
    which = "All customers" if len(newest) == len(rows) else f"{len(newest)} of {len(rows)} customers"
    return _SHEET.substitute(
        caption=f"{which}, newest first",
        heads="".join(f'<th scope="col">{name}</th>' for name in _COLUMNS),
        rows="\n".join(map(_row, newest)),
    )


def _row(row: dict[str, Any]) -> str:
    mode = "live" if row["livemode"] else "test"
    cells = [
        f'<th scope="row">{_text(row["email_address"])}</th>',
        f'<td><span class="tag {mode}">{mode}</span></td>',
        *(f"<td>{_text(row[name])}</td>" for name in ("first_name", "last_name", "phone_number")),
        f"<td><code>{_text(row['client_reference_id'])}</code></td>",
        f"<td>{_state(row)}</td>",
        f"<td>{_time(row['created_at'])}</td>",
        f"<td><code>{_text(row['id'])}</code></td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _state(row: dict[str, Any]) -> str:
    states = [name for name, told in (("blocked", row["is_blocked"]), ("deleted", row["deleted_at"])) if told]
    return " ".join(f'<span class="tag bad">{name}</span>' for name in states) or "active"


def _time(value: datetime) -> str:
    told = answers.moment(value)
    return f'<time datetime="{told}">{told[:10]} {told[11:19]}</time>'


def _text(value: str | None) -> str:
    return html.escape(value) if value else "&ndash;"
