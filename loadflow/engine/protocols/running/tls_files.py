"""The certificate files a script names, put into a TLS context; looked at before the load starts, so that a wrong path is a mistake."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from loadflow.engine.base.pem import unusable_pem
from loadflow.engine.base.regular_file import refuse_special

__all__ = ["Certificate", "Tls", "load_files", "trouble_with"]

# what a client shows: a PEM file of both, or those of chain and key, and the key's password if it has one
Certificate = str | tuple[str, str] | tuple[str, str, str] | None
Tls = tuple[bool | str, Certificate]  # `verify` and `cert`


@lru_cache(maxsize=256)
def trouble_with(verify: bool | str, cert: Certificate) -> str:
    """Why the files can't be used, and the way out; "" if they can. Looked at once for each pair."""
    if not isinstance(verify, str) and cert is None:
        return ""
    files = cert[:2] if isinstance(cert, tuple) else (cert,)
    shown = [one for one in (verify, *files) if isinstance(one, str)]
    for path in shown:
        if not Path(path).exists():
            return f"the file {path} is not there; name PEM files that can be read"
    if trouble := unusable_pem(shown, has_password=isinstance(cert, tuple) and len(cert) > 2):
        return f"{trouble}; or give cert_password, in an HTTP step" if "is encrypted" in trouble else trouble
    import ssl

    try:
        load_files(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), verify, cert)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        return f"{' and '.join(shown)} can't be used: {getattr(error, 'reason', None) or error}; name PEM files that can be read"
    return ""


def load_files(context: Any, verify: bool | str, cert: Certificate) -> None:
    """Trust a CA file or folder, show a client certificate. Raises OSError or ValueError."""
    *files, password = (cert, "") if isinstance(cert, str) else (*cert, "")[:3] if cert else ("",)
    for path in (verify, *files):
        if isinstance(path, str):
            refuse_special(path)
    if isinstance(verify, str):
        context.load_verify_locations(**{"capath" if Path(verify).is_dir() else "cafile": verify})
    if cert is not None:
        # without a password OpenSSL would ask the terminal, or the pipe that stands in its place
        context.load_cert_chain(*files, password=lambda: password)
