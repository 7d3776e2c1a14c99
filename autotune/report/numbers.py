"""Numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

MINUS: Final = "−"
STEPS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
POWERS: Final = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 4) -> str:
    """A number with so many significant digits, in scientific form only where it must be.

    >>> number(0.97125), number(12345.678), number(0.00001234), number(-0.5)
    ('0.9712', '12346', '1.234e-05', '−0.5')
    """
    if math.isnan(value):
        return "not finite"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if abs(value) >= 10 ** (digits - 1) and abs(value) < 1e7:
        text = f"{value:.0f}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def signed(value: float, digits: int = 3) -> str:
    """A difference, with its sign.

    >>> signed(0.01234), signed(-0.002)
    ('+0.0123', '−0.002')
    """
    return f"+{number(value, digits)}" if value > 0 else number(value, digits)


def epochs(value: float) -> str:
    """Reference epoch-equivalents.

    >>> epochs(12.345), epochs(0.0123)
    ('12.3 ee', '0.0123 ee')
    """
    return f"{number(value, 3)} ee"


def duration(seconds: float) -> str:
    """A time span in the unit that suits it.

    >>> duration(0.25), duration(75), duration(5400)
    ('0.25 s', '1.25 min', '1.5 h')
    """
    for size, unit in STEPS:
        if seconds >= size:
            return f"{number(seconds / size, 3)} {unit}"
    return f"{number(seconds, 2)} s"


def flops(value: float) -> str:
    """Floating-point operations with a decimal prefix.

    >>> flops(2.5e12)
    '2.5 TFLOP'
    """
    for size, prefix in POWERS:
        if value >= size:
            return f"{number(value / size, 3)} {prefix}FLOP"
    return f"{number(value, 3)} FLOP"


def money(value: float) -> str:
    """An amount in the currency that the prices were given in.

    >>> money(3.14159), money(0.0042), money(0.0)
    ('3.14', '0.0042', '0.00')
    """
    return f"{value:.2f}" if value >= 0.1 or value == 0 else number(value, 2)


def share(value: float) -> str:
    """A share of one, in percent.

    >>> share(0.1234), share(0.004)
    ('12 %', '0.4 %')
    """
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{number(percent, 1)} %"


def setting(value: Any) -> str:
    """A configuration's value.

    >>> setting(0.0012345), setting(True), setting("sgd")
    ('0.001234', 'true', 'sgd')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    return str(value)


def plain(value: Any) -> Any:
    """A value as strict JSON has it: numbers that are not finite become None.

    >>> plain({"score": float("nan"), "config": {"lr": 0.1}})
    {'score': None, 'config': {'lr': 0.1}}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
