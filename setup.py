"""What pyproject.toml can't say: the native core, which is built where Rust is there and left out where it is not.

LOADFLOW_NATIVE=1 makes a failed build an error, LOADFLOW_NATIVE=0 leaves the core out. `loadflow doctor` says what came of it.
"""

import os
import sys

from setuptools import setup

WANTED = os.environ.get("LOADFLOW_NATIVE", "")
# without a registry the answer should come at once: everything works on Locust
os.environ.setdefault("CARGO_NET_RETRY", "0")
os.environ.setdefault("CARGO_HTTP_TIMEOUT", "15")


def extensions():
    if WANTED == "0" or (WANTED != "1" and sys.platform != "linux"):  # the event loop is epoll's
        return []
    from setuptools_rust import Binding, RustExtension

    return [
        RustExtension(
            "loadflow._native",
            path="native/Cargo.toml",
            features=["python"],
            binding=Binding.PyO3,
            args=["--locked"],
            debug=False,
            optional=WANTED != "1",
        )
    ]


setup(rust_extensions=extensions())
