"""A million users: fills an empty PostgreSQL database by SQL, as one looks that has been used for long.

    python manage.py shell -c "from tests.bench import million; million.fill(1_000_000)"

Of a hundred users 95 are linked and rest, two are left out, one is refused, one is in conflict or given up,
one is due. Each link has two lines of history.
"""

from django.contrib.auth import get_user_model
from django.db import connection

from kohort_sync import conf
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt


def fill(users: int, *, without_link: int = 0) -> None:
    """Make so many users with all that belongs to them; the last `without_link` of them have no link.

    Needs the user model of the demo site, and one account. A million takes some minutes; to use it again, let
    it be the TEMPLATE of another database, which takes seconds.
    """
    (account,) = conf.accounts().values()
    values: dict[str, str | int] = {
        "users": users,
        "links": users - without_link,
        "account": account.key,
        "livemode": account.livemode,
        "prefix": conf.reference_prefix(),
    }
    Account.objects.get_or_create(key=account.key)
    with connection.cursor() as cursor:
        for statement in (_USERS, _CUSTOMERS, _LINKS, _ATTEMPTS):
            cursor.execute(statement.format(**_TABLES, **_TERMS), values)
            cursor.execute("ANALYZE")


_TABLES = {
    "users": get_user_model()._meta.db_table,
    "customers": Customer._meta.db_table,
    "links": CustomerLink._meta.db_table,
    "attempts": SyncAttempt._meta.db_table,
}

_REFERENCE = "%(prefix)s || md5(u.id::text)"
_METADATA = (
    """'{"signed_up_on":"' || to_char(u.date_joined AT TIME ZONE 'UTC', 'YYYY-MM-DD')"""
    """ || '","user_id":"' || u.id || '"}'"""
)


def _hash_of(json: str) -> str:
    """Hash as `mapping` does: a sweep finds nothing that has changed."""
    return f"left(encode(sha256(convert_to({_REFERENCE} || ':' || {json}, 'UTF8')), 'hex'), 16)"


_TERMS = {
    "n": "substr(u.username, 8)::int",
    "reference": _REFERENCE,
    "metadata": _METADATA,
    "hash_of_email": _hash_of("to_json(u.email)::text"),
    "hash_of_first_name": _hash_of("to_json(u.first_name)::text"),
    "hash_of_last_name": _hash_of("to_json(u.last_name)::text"),
    "hash_of_locale": _hash_of("'\"en_US\"'"),
    "hash_of_metadata": _hash_of(_METADATA),
}

_USERS = """
INSERT INTO {users} (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
    date_joined, phone_number)
SELECT '!', false, 'million' || n, 'First' || n %% 1000, 'Last' || n,
    CASE WHEN n %% 100 = 0 THEN '' ELSE 'million' || n || '@example.com' END,
    false, n %% 100 <> 1, now() - interval '1 year' * (1 - n::float / %(users)s), ''
FROM generate_series(1, %(users)s) AS n
"""

# Each was seen within the last thirty days, so a thirtieth is overdue tomorrow.
_CUSTOMERS = """
INSERT INTO {customers} (account, kohort_id, email_address, first_name, last_name, livemode, is_blocked,
    organization_id, metadata, locale, client_reference_id, created_at, updated_at, mirrored_at)
SELECT %(account)s, 'cus_' || substr(md5('theirs' || u.id), 1, 24), email, first_name, last_name,
    %(livemode)s, false, 'org_million', ({metadata})::jsonb, 'en_US', {reference}, date_joined, date_joined,
    now() - interval '30 days' * ((u.id * 7919 %% 100000) / 100001.0)
FROM {users} AS u
WHERE u.username LIKE 'million%%' AND {n} %% 100 >= 5 AND {n} <= %(links)s
ORDER BY u.id
"""

_LINKS = """
INSERT INTO {links} (account, user_id, user_pk, client_reference_id, customer_id, state, work_class,
    next_attempt_at, desired_version, synced_version, fingerprint, verify, intent, posts, lease_token,
    attempts, crashes, last_error_code, last_error, conflict_kind, conflict_ids, created_at, linked_at,
    synced_at)
SELECT %(account)s, u.id, u.id::text, {reference}, c.id, state, 1,
    now() + CASE state WHEN 'pending' THEN interval '-1 minute' WHEN 'parked' THEN interval '1 day' END,
    1, (state = 'linked')::int,
    CASE state WHEN 'linked' THEN jsonb_build_object('emailAddress', {hash_of_email}, 'firstName',
        {hash_of_first_name}, 'lastName', {hash_of_last_name}, 'locale', {hash_of_locale}, 'metadata',
        {hash_of_metadata}) ELSE '{{}}' END,
    false, '', 0, '', 0, 0,
    CASE state WHEN 'skipped' THEN CASE u.email WHEN '' THEN 'no_email' ELSE 'not_wanted' END
        WHEN 'rejected' THEN 'rejected' WHEN 'conflict' THEN 'email_in_use' WHEN 'parked' THEN 'server_error'
        ELSE '' END,
    '', CASE state WHEN 'conflict' THEN 'email_in_use' ELSE '' END,
    CASE state WHEN 'conflict' THEN jsonb_build_array('cus_' || substr(md5('other' || u.id), 1, 24))
        ELSE '[]' END,
    u.date_joined, c.created_at, c.created_at
FROM {users} AS u
LEFT JOIN {customers} AS c ON c.account = %(account)s AND c.client_reference_id = {reference}
CROSS JOIN LATERAL (SELECT CASE WHEN c.id IS NOT NULL THEN 'linked' WHEN {n} %% 100 <= 1 THEN 'skipped'
    WHEN {n} %% 100 = 2 THEN 'rejected' WHEN {n} %% 100 = 4 THEN 'pending' WHEN {n} %% 200 = 3 THEN 'conflict'
    ELSE 'parked' END AS state) AS stands
WHERE u.username LIKE 'million%%' AND {n} <= %(links)s
ORDER BY u.id
"""

_ATTEMPTS = """
INSERT INTO {attempts} (link_id, operation, outcome, status, milliseconds, error_code, trigger, actor,
    reason, created_at)
SELECT id, CASE turn WHEN 1 THEN 'create' ELSE 'update' END,
    CASE state WHEN 'linked' THEN 'ok' ELSE 'definitive' END, CASE state WHEN 'linked' THEN 200 ELSE 400 END,
    60 + id %% 100, last_error_code, 'signup', '', '',
    now() - interval '89 days' * (1 - id::float / (SELECT max(id) FROM {links}))
FROM {links} CROSS JOIN generate_series(1, 2) AS turn
ORDER BY id, turn
"""
