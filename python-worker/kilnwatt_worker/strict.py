"""
Turns a JSON value into a dataclass exactly as its annotations say, and refuses everything else:
what is missing, mistyped, unknown, out of range or not finite. The sentence names the field.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from kilnwatt_worker.sentences import cut

MAX_LINE_BYTES = 1024 * 1024

Built = TypeVar("Built")


class Refused(ValueError):
    """The value is not what its place in a message wants. The sentence may name parts of a broken request."""

    def __init__(self, sentence: str) -> None:
        super().__init__(cut(sentence))


@dataclasses.dataclass(frozen=True, slots=True)
class Between:
    """Inclusive limits, as in `Annotated[int, Between(1, 9)]`."""

    low: float
    high: float


def build(wanted: type[Built], raw: object, where: str = "message") -> Built:
    """An instance of the dataclass `wanted`, whose fields are the keys of `raw`, no more and no fewer."""
    if not isinstance(raw, dict):
        raise Refused(f"{where} must be an object")
    hints = get_type_hints(wanted, include_extras=True)
    names = [field.name for field in dataclasses.fields(_checked_dataclass(wanted))]
    for name in names:
        if name not in raw:
            raise Refused(f"{where} lacks the field {name}")
    for name in raw:
        if name not in names:
            raise Refused(f"{where} has the unknown field {name}")
    make: Callable[..., Built] = wanted
    return make(**{name: _value(hints[name], raw[name], f"{where}.{name}") for name in names})


def read_json(line: bytes | str) -> object:
    """The value of one line. NaN and Infinity, which Python's reader would let through, are refused."""
    if len(line) > MAX_LINE_BYTES:
        raise Refused(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        value: object = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the line is not JSON: {error}") from error
    return value


def _value(hint: object, raw: object, where: str) -> object:
    origin = get_origin(hint)
    if origin is Annotated:
        base, limits = get_args(hint)
        return _between(limits, _value(base, raw, where), where)
    if origin in (Union, UnionType):
        return _any_of(get_args(hint), raw, where)
    if origin is Literal:
        return raw if raw in get_args(hint) else _refuse(where, f"one of {', '.join(get_args(hint))}")
    if origin is tuple:
        return tuple(
            _value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(_list(raw, where))
        )
    if origin is dict:
        return {str(key): _value(get_args(hint)[1], item, f"{where}.{key}") for key, item in _dict(raw, where).items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, raw, where)
    return _plain(hint, raw, where)


def _plain(hint: object, raw: object, where: str) -> object:
    if hint is str:
        return raw if isinstance(raw, str) else _refuse(where, "a string")
    if hint is bool:
        return raw if isinstance(raw, bool) else _refuse(where, "true or false")
    if hint is int:
        return raw if isinstance(raw, int) and not isinstance(raw, bool) else _refuse(where, "a whole number")
    if hint is float:
        return _finite(raw, where)
    if hint is NoneType:
        return None if raw is None else _refuse(where, "null")
    raise TypeError(f"{where} is annotated with {hint!r}, which the wire does not know")


def _finite(raw: object, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        _refuse(where, "a finite number")
    try:
        value = float(raw)
    except OverflowError:  # a whole number with more than 308 digits
        _refuse(where, "a finite number")
    return value if math.isfinite(value) else _refuse(where, "a finite number")


def _any_of(hints: tuple[object, ...], raw: object, where: str) -> object:
    refusal: Refused | None = None
    for hint in hints:
        try:
            return _value(hint, raw, where)
        except Refused as error:
            refusal = refusal or error
    raise refusal or Refused(f"{where} has no type")


def _between(limits: Between, value: object, where: str) -> object:
    if not isinstance(value, int | float) or not limits.low <= value <= limits.high:
        _refuse(where, f"from {limits.low:.16g} to {limits.high:.16g}")
    return value


def _list(raw: object, where: str) -> list[object]:
    return raw if isinstance(raw, list) else _refuse(where, "a list")


def _dict(raw: object, where: str) -> dict[object, object]:
    return raw if isinstance(raw, dict) else _refuse(where, "an object")


def _checked_dataclass(wanted: type) -> type:
    if not dataclasses.is_dataclass(wanted):
        raise TypeError(f"{wanted!r} is not a dataclass")
    return wanted


def _refuse(where: str, wanted: str) -> NoReturn:
    raise Refused(f"{where} must be {wanted}")


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is not a number")
