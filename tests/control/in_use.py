"""What of a process's memory is in use: its size also holds what the allocators keep free, which comes and goes with what ran last."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["in_use"]

FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")  # of mallinfo2(3)


class _MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


def in_use() -> tuple[int, int]:
    """Blocks of Python's allocator, and bytes of the C library's, without garbage; (blocks, 0) where the C library does not say."""
    gc.collect()
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return sys.getallocatedblocks(), 0
    mallinfo2.restype = _MallInfo
    found = mallinfo2()
    return sys.getallocatedblocks(), found.uordblks + found.hblkhd
