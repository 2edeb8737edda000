"""Which values look random or counted, and which names mark secrets.

The rule, kept simple so that a report can be understood:

- strong: a UUID; 6 or more digits; 16 or more hexadecimal digits with a digit among them; or 8 or more characters without
  blanks, of letters and digits mixed (also with `-_.~+/=:%|`), with at least 24 bits of entropy by the frequency of their characters.
  Versions, dates, media types and words with a number at the end are not.
- weak: not strong, but in a place that says what it is: 3 or more characters under a credential's name (token, csrf, session…),
  4 or more digits under an id's name or in a path. Weak values need such a name at both ends to be tied together.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from loadflow.engine.base.redact import Redactor

__all__ = [
    "has_strong_part",
    "holds_secrets",
    "is_credential_name",
    "is_id_name",
    "is_secret_name",
    "is_strong",
    "is_weak",
    "looks_like_id",
    "looks_like_secret",
]

LEAST_BITS = 24.0
LONGEST = 4096

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?=.*\d)[0-9a-f]{16,}", re.IGNORECASE)
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.~+/=:%|-]{8,}", re.ASCII)
_NOT_DRAWN = re.compile(
    r"v?\d+(\.\d+)+([-.+]\w+)?"  # a version
    r"|\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-]\d\d:?\d\d)?)?"  # a date
    r"|(application|audio|font|image|text|video|multipart)/.*"
    r"|https?://.*"
    r"|[a-z]+(-[a-z]+)*-?\d{1,3}(\.[a-z0-9]{1,5})?",  # step-2, utf-8, product12.jpg
    re.IGNORECASE,
)
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", re.ASCII)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CREDENTIAL_WORDS = frozenset(
    [
        "auth",
        "bearer",
        "csrf",
        "csrfmiddlewaretoken",
        "jsessionid",
        "jwt",
        "nonce",
        "otp",
        "pass",
        "passcode",
        "passphrase",
        "phpsessid",
        "pin",
        "sessid",
        "session",
        "sessionid",
        "sid",
        "sig",
        "signature",
        "ticket",
        "xsrf",
    ]
)
_SECRET_WORDS = _CREDENTIAL_WORDS - {"nonce"}
_COUNTS = re.compile(r"tokens$|token_?types?$", re.IGNORECASE)  # max_tokens, token_type
_ID = re.compile(r"(^|[_.\-\[])(id|ids|uuid|guid|key|no|nr|number)$|[a-z](Id|ID|Ids|Uuid|Guid|Key|Number)$")
# OAuth 2 and OpenID Connect (RFC 6749, 7521, 7636), SAML: what is worth as much as a password
_SECRET_EXACTLY = frozenset({"key", "codeverifier", "assertion", "clientassertion", "samlresponse", "samlrequest", "samlart", "wresult"})
_SECRET_KEY = re.compile(
    r"(account|admin|app|application|auth|client|encryption|functions|host|license|master|service|shared|signing|storage|subscription|system)"
    r"[-_]?key$",
    re.IGNORECASE,
)
LEAST_CODE = 8  # characters; what is shorter under the name `code` is a country, a currency or an error
_REDACTOR = Redactor()


def is_strong(value: str) -> bool:
    """Whether a value speaks for itself.

    >>> [is_strong(text) for text in ("9f86d081884c7d65", "a1B2c3D4e5", "481516", "checkout", "text/html", "2024-03-01", "step-2")]
    [True, True, True, False, False, False, False]
    """
    value = value.removeprefix("W/").strip('"')  # an entity tag (RFC 9110 section 8.8.3)
    if value.startswith("/"):
        return has_strong_part(value)
    if not 6 <= len(value) <= LONGEST or _NOT_DRAWN.fullmatch(value):
        return False
    if value.isascii() and value.isdigit():
        return True
    if _UUID.fullmatch(value) or _HEX.fullmatch(value):
        return True
    return _MIXED.fullmatch(value) is not None and _bits(value) >= LEAST_BITS


def has_strong_part(url: str) -> bool:
    """Whether a URL or the path and query of one has something drawn or counted in it."""
    return len(url) <= LONGEST and any(is_strong(part) for part in re.split(r"[/?&=;#]", url) if part)


def is_weak(value: str, name: str, *, in_path: bool = False) -> bool:
    """Whether a value may be dynamic because of where it stands."""
    if len(value) >= 3 and not re.search(r"\s", value) and is_credential_name(name):
        return True
    return value.isascii() and value.isdigit() and len(value) >= 4 and (in_path or is_id_name(name))


def looks_like_id(text: str) -> bool:
    """Whether a part of a path names one thing of many; shorter numbers count here than in `is_strong`.

    >>> [looks_like_id(text) for text in ("12345", "8f14e45fceea167a5a36dedd4bea2543", "v2", "2024", "items")]
    [True, True, False, False, False]
    """
    return (text.isascii() and text.isdigit() and len(text) >= 5) or is_strong(text)


def looks_like_secret(value: str, name: str = "") -> bool:
    """Whether a value is a credential: a JSON Web Token (RFC 7519) wherever it stands, under the name `code` anything but a short word."""
    return _JWT.search(value) is not None or (_squeezed(name) in ("code", "authcode", "authorizationcode") and len(value) >= LEAST_CODE)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is kept out of scripts: the names that reports mask, and a few words more.

    >>> [is_secret_name(name) for name in ("password", "X-Api-Key", "key", "sessionId", "max_tokens", "monkey", "design")]
    [True, True, True, True, False, False, False]
    """
    if _COUNTS.search(name):
        return False
    return (
        _REDACTOR.is_secret(name)
        or _squeezed(name) in _SECRET_EXACTLY
        or _SECRET_KEY.search(name) is not None
        or not _SECRET_WORDS.isdisjoint(_words(name))
    )


def holds_secrets(name: str) -> bool:
    """Whether everything inside an object of this name is a secret."""
    return _REDACTOR.is_secret(name) and not _COUNTS.search(name)


def is_credential_name(name: str) -> bool:
    """Whether servers hand out values under this name."""
    return is_secret_name(name) or _squeezed(name) == "code" or not _CREDENTIAL_WORDS.isdisjoint(_words(name))


def is_id_name(name: str) -> bool:
    return _ID.search(name) is not None


def _squeezed(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def _bits(value: str) -> float:
    counted = Counter(value)
    return -sum(count * math.log2(count / len(value)) for count in counted.values())
