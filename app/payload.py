"""JSON bodies into typed structures by msgspec, with every fault found instead of the first.

A body that is right costs one pass of msgspec. Only one that is wrong is read again, value by
value, so that the client learns of all its faults in one answer.
"""

from __future__ import annotations

import itertools
import json
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, cast, get_args, get_origin

import msgspec

from app.errors import Fault, InvalidInputError, MalformedBodyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FAULTS = 200
"""More are not looked for: an answer must not be larger than the request by far."""
SUMMARY = "The body has values that are missing or wrong"

_Body = TypeVar("_Body", bound=msgspec.Struct)


class Number(Decimal):
    """A JSON number, exactly as it was written; text that looks like a number is none."""


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:  # its exponent is beyond what a Decimal holds
        raise ValueError(f"{text} is out of range") from error


def decode(body: bytes, kind: type[_Body]) -> _Body:
    """Read a JSON body as `kind`.

    Raises:
        MalformedBodyError: the body is not JSON.
        InvalidInputError: it is JSON of another shape; lists every fault.
    """
    body_or_faults = decode_or_explain(body, kind, {})
    if isinstance(body_or_faults, Explanation):
        raise InvalidInputError(SUMMARY, body_or_faults.faults)
    return body_or_faults


class Explanation(NamedTuple):
    """Why a body is not of the kind that was wanted, and what can still be said of the rest.

    Attributes:
        faults: each value that is missing or of a wrong type.
        mended: the body with a placeholder where each of those stood, for further checks of what
            is right; None where no placeholder serves.
    """

    faults: list[Fault]
    mended: Any


def decode_or_explain(
    body: bytes, kind: type[_Body], placeholders: Mapping[str, object]
) -> _Body | Explanation:
    """Read a JSON body as `kind`, or explain all that is wrong with its types.

    Args:
        body: JSON in UTF-8.
        kind: what it should be.
        placeholders: for each member's name, a value of its type that is above suspicion.

    Raises:
        MalformedBodyError: the body is not JSON.
    """
    try:
        return cast("_Body", _decoder(kind).decode(body))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        value = _parse(body)
    faults = list(itertools.islice(_faults(value, kind, ""), MAX_FAULTS))
    if len(faults) == MAX_FAULTS:
        raise InvalidInputError(f"{SUMMARY}; these are the first {MAX_FAULTS}", faults)
    if not faults:
        # Only what the two parsers see differently comes here, such as a lone surrogate.
        raise MalformedBodyError("The body is not JSON in UTF-8")
    for fault in faults:
        _put(value, fault.where, placeholders)
    try:
        mended = msgspec.convert(value, kind, dec_hook=_decode_number)
    except msgspec.ValidationError:
        mended = None
    return Explanation(faults, mended)


def _put(value: object, pointer: str, placeholders: Mapping[str, object]) -> None:
    """Put a placeholder where a pointer leads, if one serves there."""
    if not pointer:
        return
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    place: Any = value
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, dict) and last in placeholders:
        place[last] = placeholders[last]


@lru_cache(maxsize=64)
def _decoder(kind: type[_Body]) -> msgspec.json.Decoder[_Body]:
    return msgspec.json.Decoder(kind, dec_hook=_decode_number, float_hook=_decimal)


def _decode_number(kind: type, value: object) -> object:
    if kind is not Number:
        raise NotImplementedError(f"no decoder for {kind}")
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError("Expected a number")  # noqa: TRY004 - msgspec turns it into its own error
    return Number(value)


class _NotJSON:
    """Stands for NaN and the infinities, which Python's parser takes for JSON."""


def _parse(body: bytes) -> object:
    try:
        value: object = json.loads(
            body.decode(), parse_float=_decimal, parse_constant=lambda _text: _NotJSON()
        )
        msgspec.json.encode(value, enc_hook=repr)  # raises where a lone surrogate stands
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBodyError(f"The body is not JSON: {error.msg.lower()} at {where}") from error
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"The body is not UTF-8: byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise MalformedBodyError("The body is not JSON: a lone surrogate is no text") from error
    except (RecursionError, ValueError) as error:
        raise MalformedBodyError(
            "The body is nested too deeply or has a number too long"
        ) from error
    return value


def _faults(value: object, kind: Any, pointer: str) -> Iterator[Fault]:  # noqa: ANN401
    """Everything by which a parsed value differs from the type `kind`."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if plain is Number or get_origin(plain) is list:
        kind = plain  # what else is known of these is no matter of types
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if isinstance(value, dict):
            yield from _faults_of_members(value, kind, pointer)
        else:
            yield Fault(pointer, f"must be an object, not {_name(value)}")
    elif get_origin(kind) is list:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _faults(item, get_args(kind)[0], f"{pointer}/{index}")
        else:
            yield Fault(pointer, f"must be an array, not {_name(value)}")
    elif type(None) in get_args(kind):
        if value is not None:
            (inner,) = (arm for arm in get_args(kind) if arm is not type(None))
            yield from _faults(value, inner, pointer)
    else:
        yield from _faults_of_plain(value, kind, pointer)


def _faults_of_plain(value: object, kind: Any, pointer: str) -> Iterator[Fault]:  # noqa: ANN401
    if kind is Number:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            yield Fault(pointer, f"must be a number, not {_name(value)}")
        return
    if isinstance(value, _NotJSON):
        yield Fault(pointer, f"must not be {_name(value)}")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        told = str(error).replace("`", "").replace("got decimal", "got float")
        yield Fault(pointer, f"is wrong: {told}")


def _faults_of_members(
    value: dict[str, object], kind: type[msgspec.Struct], pointer: str
) -> Iterator[Fault]:
    for member in msgspec.structs.fields(kind):
        name = member.encode_name
        at = f"{pointer}/{escape(name)}"
        if name in value:
            yield from _faults(value[name], member.type, at)
        elif member.required:
            yield Fault(at, "is missing")


def escape(name: str) -> str:
    """A member's name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _name(value: object) -> str:
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        Decimal: "a number",
        _NotJSON: "NaN or an infinity",
    }
    return "null" if value is None else names[type(value)]
