"""Where a step's function is: FILE.py:CLASS.METHOD."""

from __future__ import annotations

__all__ = ["PYTHON_USER", "place_trouble", "split_place"]

PYTHON_USER = "python_user"


def split_place(text: str) -> tuple[str, str, str]:
    """
    >>> split_place("/loads/shop.py:Shop.browse")
    ('/loads/shop.py', 'Shop', 'browse')
    """
    file, _, rest = text.rpartition(":")
    cls, _, method = rest.partition(".")
    return file, cls, method


def place_trouble(text: str) -> str:
    """What is wrong with such a place; "" for one that can be."""
    file, cls, method = split_place(text)
    is_one = file.endswith(".py") and cls.isidentifier() and method.isidentifier()
    return "" if is_one else "is not FILE.py:CLASS.METHOD"
