"""`python -P -m tests.warm LINK`: a warm process; LINK is the number of an inherited socket, at whose other end is who asks."""

from __future__ import annotations

import sys

from tests.warm.server import main

main(int(sys.argv[1]))
