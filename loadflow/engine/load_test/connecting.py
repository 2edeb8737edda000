"""How a test says in `user_detail_dict` how its users connect: types, what contradicts, and what a plan is given."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from loadflow.engine.base.host_port import host_and_port
from loadflow.engine.base.values import shown
from loadflow.engine.load_test.http_version import USERS
from loadflow.engine.plan.connections import Connections, Kept, TlsTerms
from loadflow.engine.plan.proxies import WRITTEN, NamedProxy, Proxy, named_proxy, no_proxy_of
from loadflow.engine.protocols.python.place import PYTHON_USER
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import A_LIST, BY_KIND, TEXT, Choice, Flag, Name, Part, Settled, Text
from loadflow.engine.script.placeholders import has_placeholder
from loadflow.engine.script.visit import steps_of_test

__all__ = [
    "ConnectionWord",
    "LocalAddress",
    "ProxyUrl",
    "Resolve",
    "TlsOffer",
    "connecting_faults",
    "connections_of",
    "no_local_address",
    "sends_http",
]

SENDS_HTTP = (*USERS, PYTHON_USER)
KEYS = ("proxy", "resolve", "local_address", "connection", "tls")
TLS_VERSIONS = ("1.2", "1.3")
MOST_CIPHERS = 64
KEPT: tuple[Kept, ...] = ("keep", "per_pass", "per_request")
MOST_ADDRESSES = 1024
CIPHER = re.compile(r"[A-Z0-9-]+")
HOST = re.compile(r"[\w.~-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)
RESOLVE_FORM = 'write it as curl does: {"shop.example:443": "127.0.0.1:8443"}'


def _is_open(text: str, info: ValidationInfo) -> bool:
    """Whether placeholders hide what it will be. Raises where none may be left."""
    if not has_placeholder(text):
        return False
    if info.context and info.context.get("final"):
        raise wrong("still holds a placeholder", "its value must be known before the run starts")
    return True


def _proxy(text: str, info: ValidationInfo) -> str:
    if text.strip() and not _is_open(text, info):
        try:
            Proxy.of(text)
        except ValueError as error:
            raise wrong(str(error), 'write it like "http://proxy.example:3128", or "" for none') from None
    return text


def _place(text: str) -> bool:
    """Whether it is `host:port` or `host`."""
    return HOST.fullmatch(text) is not None or (":" in text and host_and_port(text) is not None)


def _resolve(places: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    for place, address in places.items():
        for text in (place, address):
            if not _is_open(text, info) and not _place(text):
                raise wrong(f"{shown(text)} is neither a host nor a host and a port", RESOLVE_FORM, place)
    return {place.lower(): address for place, address in places.items()}


def _local(text: str, info: ValidationInfo) -> str:
    if not _is_open(text, info):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise wrong(f"{shown(text)} is not an IP address", "write one of this machine's, for example 10.0.0.5") from None
    return text


def _cipher(name: str) -> str:
    """A cipher of TLS 1.2 by its name in OpenSSL, which must know it."""
    try:
        if not CIPHER.fullmatch(name):
            raise ssl.SSLError
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(name)
    except ssl.SSLError:
        raise wrong(
            f"{shown(name)} is no cipher of TLS 1.2 here", "`openssl ciphers -tls1_2 ALL` lists them, as ECDHE-RSA-AES128-GCM-SHA256"
        ) from None
    return name


class TlsOffer(Part):
    """What TLS offers, and whether a user goes on with the session of an earlier connection."""

    noun: ClassVar[str] = "tls"
    versions: Annotated[list[Annotated[str, Choice("TLS version", TLS_VERSIONS)]], Field(min_length=1, max_length=2)] | None = None
    ciphers: Annotated[list[Annotated[Name, AfterValidator(_cipher)]], Field(min_length=1, max_length=MOST_CIPHERS)] | None = None
    resume: Settled[Flag] = False

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if raw.get("ciphers") is not None and raw.get("versions") == ["1.3"]:
            yield Fault(("ciphers",), "are those of TLS 1.2, which versions does not have", "add 1.2 to versions, or remove them")

    def terms(self) -> TlsTerms:
        return TlsTerms(tuple(sorted(set(self.versions or ()))), tuple(self.ciphers or ()), self.resume is True)


ProxyUrl = Annotated[Text, AfterValidator(_proxy)]
Resolve = Annotated[dict[str, Name], AfterValidator(_resolve)]
_Address = Annotated[Name, AfterValidator(_local)]
_Addresses = Annotated[list[_Address], Field(min_length=1, max_length=MOST_ADDRESSES)]
LocalAddress = Annotated[Annotated[_Address, TEXT] | Annotated[_Addresses, A_LIST], BY_KIND]
ConnectionWord = Annotated[str, Choice("way to keep connections", KEPT)]


def connecting_faults(test: dict[str, object]) -> Iterable[Fault]:
    """Of `LD_start_test`, as it was written: keys about HTTP where nobody sends it."""
    detail = test.get("user_detail_dict")
    if not isinstance(detail, dict) or not any(key in detail for key in KEYS):
        return
    users = [detail.get("user", USERS[0]), *(step["user"] for _, step in steps_of_test(test) if "user" in step)]
    if not all(isinstance(user, str) for user in users) or sends_http(*users):
        return
    for key in KEYS:
        if key in detail:
            yield Fault(("user_detail_dict", key), f"has no meaning for user {users[0]!r}", f"it is for {', '.join(SENDS_HTTP)}")


def sends_http(*users: str) -> bool:
    """Whether the words of this module have a meaning for one of these user types."""
    return any(user in SENDS_HTTP for user in users)


def connections_of(detail: Any, users: Iterable[str], env: Mapping[str, str]) -> Connections:
    """What a plan is given of a whole `UserDetail`; where no user sends HTTP there is nothing to say."""
    if not sends_http(*users):
        return Connections()
    if detail.http_version == 3:
        proxies = {}  # it goes over UDP
    elif "proxy" in detail.model_fields_set:
        written = (detail.proxy or "").strip()
        written = written if not written or "://" in written else f"http://{written}"  # in which form credentials are known as such
        proxies = dict.fromkeys(("http", "https"), NamedProxy(written, WRITTEN)) if written else {}
    else:
        proxies = {scheme: named for scheme in ("http", "https") if (named := named_proxy(scheme, env)) is not None}
    local = detail.local_address
    return Connections(
        proxies=proxies,
        no_proxy=no_proxy_of(env) if any(one.by != WRITTEN for one in proxies.values()) else "",
        resolve=detail.resolve or {},
        local_addresses=tuple([local] if isinstance(local, str) else local or ()),
        kept=detail.connection,
        streams=detail.streams,
        tls=detail.tls.terms() if detail.tls is not None else TlsTerms(),
    )


def no_local_address(addresses: Iterable[str]) -> str | None:
    """The first of the addresses that is none of this machine's; None where all are."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as plain:
            try:
                plain.bind((address, 0))
            except OSError:
                return address
    return None
