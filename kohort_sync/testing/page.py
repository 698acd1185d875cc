"""Draw the page that shows people what the sandbox holds."""

import html
from collections.abc import Sequence
from datetime import datetime
from string import Template
from typing import Any

from kohort_sync.testing import answers

SHOWN = 200  # customers; the rest is counted and to be had as JSON

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>KohortPay sandbox</title>
<style>
:root { --paper: #f6f7f9; --card: #fff; --ink: #1a2233; --soft: #566074; --line: #dde1e8; --mark: #2f5bea;
  --test: #8a5a00; --test-paper: #fff3d6; --live: #0a6b3d; --live-paper: #dcf5e7; --bad: #a3211f; --bad-paper: #fde6e5; }
@media (prefers-color-scheme: dark) { :root { --paper: #11151d; --card: #1a202b; --ink: #e8ecf4; --soft: #a3adbf;
  --line: #2d3646; --mark: #8fabff; --test: #ffd27a; --test-paper: #3a2e12; --live: #86e0b0; --live-paper: #12352a;
  --bad: #ffb0ad; --bad-paper: #451f20; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; }
p { margin: .25rem 0 1.25rem; color: var(--soft); max-width: 65ch; }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1.25rem; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .5rem .9rem; }
dt { font-size: .8rem; color: var(--soft); }
dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.sheet { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.sheet:focus-visible, a:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: .75rem .9rem; color: var(--soft); }
th, td { text-align: left; padding: .55rem .9rem; border-top: 1px solid var(--line); white-space: nowrap; }
thead th { font-size: .8rem; color: var(--soft); }
tbody th { font-weight: 600; }
code { font: .85em ui-monospace, monospace; }
.tag { display: inline-block; border-radius: 1rem; padding: .05rem .6rem; font-size: .8rem; font-weight: 600; }
.test { color: var(--test); background: var(--test-paper); }
.live { color: var(--live); background: var(--live-paper); }
.bad { color: var(--bad); background: var(--bad-paper); }
a { color: var(--mark); }
.empty { padding: 2.5rem 1rem; text-align: center; color: var(--soft); }
</style>
</head>
<body>
<main>
<h1>KohortPay sandbox</h1>
<p>A stand-in for the customers service, on this machine only. <a href="/">Reload</a> to see what has changed;
as JSON: <a href="/_sandbox/customers">customers</a>, <a href="/_sandbox/log">log</a>,
<a href="/_sandbox/faults">faults</a>.</p>
<dl>
<div><dt>Customers</dt><dd>$count</dd></div>
<div><dt>Dialect</dt><dd>$dialect</dd></div>
<div><dt>Latency</dt><dd>$latency</dd></div>
<div><dt>Faults waiting</dt><dd>$faults</dd></div>
</dl>
$sheet
</main>
</body>
</html>
""")
_SHEET = Template("""<div class="sheet" role="region" aria-labelledby="held" tabindex="0">
<table>
<caption id="held">$caption</caption>
<thead><tr><th scope="col">E-mail</th><th scope="col">Mode</th><th scope="col">First name</th>
<th scope="col">Last name</th><th scope="col">Phone</th><th scope="col">Reference</th><th scope="col">State</th>
<th scope="col">Created</th><th scope="col">Id</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>""")
_EMPTY = '<div class="sheet empty">No customers yet. The first one appears here as soon as it is created.</div>'


def render(rows: Sequence[dict[str, Any]], *, dialect: str, latency: str, faults: int) -> str:
    """Return the page for a snapshot, newest customer first; every value is escaped."""
    newest = sorted(rows, key=lambda row: row["created_at"], reverse=True)[:SHOWN]
    some = f"The newest {len(newest)} of {len(rows)} customers" if len(newest) < len(rows) else "All customers"
    sheet = _SHEET.substitute(caption=f"{some}, newest first", rows="\n".join(map(_row, newest)))
    return _PAGE.substitute(
        count=len(rows),
        dialect=html.escape(dialect),
        latency=html.escape(latency),
        faults=faults,
        sheet=sheet if rows else _EMPTY,
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
    return html.escape(value) if value else '<span aria-label="none">–</span>'
