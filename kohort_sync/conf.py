"""Settings: the dict `KOHORT_SYNC` of the host, read live, so that tests may override it."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.encoding import force_bytes
from django.utils.module_loading import import_string

from kohort_sync.redaction import Secret

DEFAULT_BASE_URL = "https://api.kohortpay.com"

DEFAULTS: Mapping[str, Any] = {
    "API_KEY": None,
    "BASE_URL": DEFAULT_BASE_URL,
    "ENABLED": True,
    "CUSTOMER_DATA": None,
    "SHOULD_SYNC": None,
    "REFERENCE_PREFIX": None,
    "EMAIL_VERIFIED": None,
    "ADOPT_BY_EMAIL": False,
    "WATCH": {},
    "ON_USER_DELETE": "keep",
    "DEFAULT_LOCALE": None,
    "PHONE_REGION": None,
    "NUDGE": True,
    "QUEUE": None,
    "MAX_CONCURRENCY": 64,
    "MAX_RATE": None,
    "DEADLINE": 35.0,
    "SWEEP": 60.0,
    "RETENTION_DAYS": 90,
    "TRUST_ENV": False,
    "CA_BUNDLE": None,
    "REGISTER_ADMIN": True,
}

_PREFIX_SALT = b"kohort_sync.reference_prefix"
_MODES = {"sk_test_": "test", "sk_live_": "live"}


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """Describe one configured account. The mode comes from the key alone (documented)."""

    alias: str
    api_key: Secret
    base_url: str
    livemode: bool

    @property
    def key(self) -> str:
        """Name the account's rows: alias/mode."""
        return f"{self.alias}/{'live' if self.livemode else 'test'}"


def get(name: str) -> Any:
    """Return one setting, or its default."""
    return raw().get(name, DEFAULTS[name])


def raw() -> Mapping[str, Any]:
    """Return the host's dict as it is, empty where there is none."""
    value = getattr(settings, "KOHORT_SYNC", None)
    return value if isinstance(value, Mapping) else {}


def accounts() -> dict[str, AccountSettings]:
    """Return the usable accounts by alias: none without a key, with a malformed one, or when not enabled."""
    if not enabled():
        return {}
    key = str(get("API_KEY") or "").strip()
    mode = next((mode for start, mode in _MODES.items() if key.startswith(start)), None)
    if mode is None:
        return {}
    return {
        "default": AccountSettings(
            alias="default",
            api_key=Secret(key),
            base_url=str(get("BASE_URL")).rstrip("/"),
            livemode=mode == "live",
        )
    }


def enabled() -> bool:
    """Say whether the app is to work at all. Only True itself says so: the text "False" does not."""
    return get("ENABLED") is True


def hook(name: str) -> Callable[..., Any] | None:
    """Return the host's function that a setting names by dotted path, or None where it names none.

    Raises ImportError where the path leads nowhere; a check reports that at start-up.
    """
    value = get(name)
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    return import_string(value)  # type: ignore[no-any-return]


def adopts_by_email() -> bool:
    """Say whether a customer may be taken for a user's because of its address. Only True itself says so."""
    return get("ADOPT_BY_EMAIL") is True


def erases_deleted_users() -> bool:
    """Say whether a user who is deleted here is to be erased at KohortPay too."""
    return bool(get("ON_USER_DELETE") == "erase")


def watched() -> Mapping[str, str]:
    """Return the models whose rows count as part of a user, each with its field that names the user."""
    value = get("WATCH")
    return value if isinstance(value, Mapping) else {}


def max_concurrency() -> int:
    """Return how many requests may be under way at once, at most."""
    return max(1, int(get("MAX_CONCURRENCY")))


def reference_prefix() -> str:
    """Return what the references of this installation begin with.

    Six characters come from `SECRET_KEY`, so that two sites of one organization differ, and so that the
    prefix is the same after our tables were dropped.
    """
    chosen = get("REFERENCE_PREFIX")
    if chosen is not None:
        return str(chosen)
    digest = hmac.new(force_bytes(settings.SECRET_KEY), _PREFIX_SALT, hashlib.sha256).hexdigest()
    return f"ks{digest[:6]}-"


# Times in seconds. Only DEADLINE and SWEEP are settings: a wrong combination would break the promise.


def deadline() -> float:
    """Return how long one call may take in all."""
    return float(get("DEADLINE"))


def row_lease() -> float:
    """Return how long a claimed row is ours: four calls and a margin."""
    return 4 * deadline() + 10


def settle_window() -> float:
    """Return how long after a lost answer no second create is sent: twice the row lease."""
    return 2 * row_lease()


def sweep_seconds() -> float:
    """Return how often something is expected to sweep."""
    return float(get("SWEEP"))


def late_sweep_seconds() -> float:
    """Return after how long without a sweep something must be wrong: ten minutes, or five sweeps."""
    return max(600.0, 5 * sweep_seconds())


def retention_seconds() -> float:
    """Return how long history, and what is known of deleted users, is kept."""
    return float(get("RETENTION_DAYS")) * 24 * 3600.0
