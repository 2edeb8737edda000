"""Numbers as people read them: 1,234; 12.3 ms; 1.2 s; 3.4 MB; 0.08 %."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["clock_text", "count_text", "latency_text", "percent_text", "rate_text", "size_text", "span_text", "unbroken", "utc_text"]


def count_text(count: int) -> str:
    return f"{count:,}"


def rate_text(rate_per_s: float) -> str:
    """Without a unit.

    >>> rate_text(1666.66), rate_text(12.34), rate_text(0.25)
    ('1,667', '12.3', '0.25')
    """
    if rate_per_s >= 99.95:
        return f"{rate_per_s:,.0f}"
    return f"{rate_per_s:.1f}" if rate_per_s >= 9.995 or rate_per_s == 0 else f"{rate_per_s:.2f}"


def percent_text(share: float) -> str:
    """A share of 0 to 1; neither 0 % nor 100 % is said of anything that is not exactly that.

    >>> percent_text(0.0123), percent_text(1.0), percent_text(0.000001), percent_text(0.999999)
    ('1.23 %', '100 %', '< 0.01 %', '> 99.99 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if share < 0.0001:
        return "< 0.01 %"
    if share > 0.9999:
        return "> 99.99 %"
    return f"{share * 100:.1f} %" if 0.1 <= share < 0.999 else f"{share * 100:.2f} %"


def latency_text(ms: float) -> str:
    """Three digits that count, in the unit that fits.

    >>> [latency_text(ms) for ms in (0, 0.0421, 1.5, 12.34, 123.4, 999.7, 12_340, 360_000)]
    ['0 ms', '42.1 µs', '1.50 ms', '12.3 ms', '123 ms', '1.00 s', '12.3 s', '360 s']
    """
    if ms <= 0:
        return "0 ms"
    for size_ms, unit in ((0.001, "µs"), (1.0, "ms")):
        if ms < size_ms * 999.5:
            return f"{_three_digits(ms / size_ms)} {unit}"
    return f"{_three_digits(ms / 1000)} s"


def size_text(size_bytes: float) -> str:
    """Powers of 1,000, as networks are sold.

    >>> size_text(999), size_text(3_400_000)
    ('999 B', '3.40 MB')
    """
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} B" if unit == "B" else f"{_three_digits(size)} {unit}"


def span_text(seconds: float) -> str:
    """How long something took.

    >>> span_text(7.04), span_text(30), span_text(90), span_text(3600), span_text(93_780)
    ('7.0 s', '30 s', '1 min 30 s', '1 h', '1 d 2 h 3 min')
    """
    if seconds < 59.95:
        return f"{seconds:.0f} s" if seconds == round(seconds) else f"{seconds:.1f} s"
    left, parts = round(seconds), []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount:,} {unit}")
    return " ".join(parts[:3])


def clock_text(seconds: float) -> str:
    """A moment since the start.

    >>> clock_text(5), clock_text(65), clock_text(3700)
    ('0:05', '1:05', '1:01:40')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:,}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def utc_text(unix_s: float) -> str:
    """
    >>> utc_text(0)
    '1970-01-01 00:00:00 UTC'
    """
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return "unknown"


def unbroken(figure: str) -> str:
    """The figure with its unit on the same line, however narrow the cell."""
    return figure.replace(" ", "\u00a0")


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
