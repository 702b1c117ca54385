"""JSON bodies into structures: exact numbers, every fault with its pointer, 400 for what is none.

What the tests call a fault's place is a JSON pointer (RFC 6901).
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidInputError, MalformedBodyError
from app.payload import Explanation, Number, decode, decode_or_explain, escape

if TYPE_CHECKING:
    from app.errors import Fault


class Part(msgspec.Struct):
    size: Number
    odd: Number = msgspec.field(name="a/b~c(%)", default_factory=lambda: Number(0))


class Order(msgspec.Struct):
    amount: Number
    kind: Literal["big", "small"]
    parts: list[Part] = []
    count: int = 1
    note: str = ""
    spare: Part | None = None


RIGHT = '{"amount": 1, "kind": "big"}'


def body(**members: object) -> bytes:
    return json.dumps({"amount": 1, "kind": "big"} | members).encode()


def faults_of(text: bytes, kind: type[msgspec.Struct] = Order) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        decode(text, kind)
    return {fault.where: fault.message for fault in caught.value.faults}


def outcome(text: bytes) -> Order | MalformedBodyError | InvalidInputError:
    try:
        return decode(text, Order)
    except (MalformedBodyError, InvalidInputError) as error:
        return error


def refusal_of(text: bytes) -> str:
    with pytest.raises(MalformedBodyError) as caught:
        decode(text, Order)
    return str(caught.value)


# ---- what is right


@pytest.mark.parametrize(
    "text",
    ["0", "1", "-1", "0.1", "0.10", "1e2", "1E-7", "-0.0", "1e400", "-1.5e-400", "9007199254740993",
     "0.1000000000000000055511151231257827", "123456789012345678901234567890.5",
     "9" * 4000],
)  # fmt: skip
def test_number_is_exactly_what_was_written(text: str) -> None:
    order = decode(f'{{"amount": {text}, "kind": "big"}}'.encode(), Order)
    assert isinstance(order.amount, Number)
    assert order.amount.compare_total(Decimal(text)) == 0


def test_members_that_nobody_asked_for_are_passed_over() -> None:
    assert decode(body(extra={"deep": [1]}), Order) == Order(Number(1), "big")


def test_parts_are_read_as_their_kind() -> None:
    order = decode(body(parts=[{"size": 2, "a/b~c(%)": 0.5}]), Order)
    assert order.parts == [Part(Number(2), Number("0.5"))]


def test_right_body_has_nothing_to_explain() -> None:
    assert decode_or_explain(RIGHT.encode(), Order, {}) == Order(Number(1), "big")


# ---- what is wrong in one value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('"1"', "must be a number, not a string"),
        ('""', "must be a number, not a string"),
        ("true", "must be a number, not a boolean"),
        ("null", "must be a number, not null"),
        ("[]", "must be a number, not an array"),
        ("{}", "must be a number, not an object"),
        ("NaN", "must be a number, not NaN or an infinity"),
        ("Infinity", "must be a number, not NaN or an infinity"),
        ("-Infinity", "must be a number, not NaN or an infinity"),
    ],
)
def test_value_that_is_no_number(value: str, told: str) -> None:
    text = f'{{"amount": {value}, "kind": "big"}}'.encode()
    assert faults_of(text) == {"/amount": told}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("5", "must be an array, not a number"),
        ("1.5", "must be an array, not a number"),
        ("{}", "must be an array, not an object"),
        ('"a"', "must be an array, not a string"),
        ("null", "must be an array, not null"),
        ("NaN", "must be an array, not NaN or an infinity"),
    ],
)
def test_value_that_is_no_array(value: str, told: str) -> None:
    text = f'{{"amount": 1, "kind": "big", "parts": {value}}}'.encode()
    assert faults_of(text) == {"/parts": told}


def test_items_that_are_no_objects_are_told_by_their_index() -> None:
    assert faults_of(body(parts=[{"size": 1}, 5, [], None, {"size": "x"}])) == {
        "/parts/1": "must be an object, not a number",
        "/parts/2": "must be an object, not an array",
        "/parts/3": "must be an object, not null",
        "/parts/4/size": "must be a number, not a string",
    }


@pytest.mark.parametrize("text", [b"[]", b"5", b"null", b'"a"', b"true", b"1.5", b"NaN"])
def test_body_that_is_no_object_is_told_at_the_root(text: bytes) -> None:
    told = faults_of(text)
    assert list(told) == [""]
    assert told[""].startswith("must be an object, not ")


def test_members_that_are_missing_are_told_and_those_with_a_default_are_not() -> None:
    assert faults_of(b"{}") == {"/amount": "is missing", "/kind": "is missing"}


@pytest.mark.parametrize("value", ["none", 5, None, True, ["big"]])
def test_value_that_is_none_of_the_choices(value: object) -> None:
    told = faults_of(body(kind=value))
    assert list(told) == ["/kind"]
    assert "`" not in told["/kind"]


@pytest.mark.parametrize("value", ["NaN", "1.5", "-Infinity"])
@pytest.mark.parametrize("member", ["count", "note", "kind"])
def test_fault_speaks_of_json_and_not_of_pythons_types(member: str, value: str) -> None:
    text = json.dumps({"amount": 1, "kind": "big", member: "HERE"}).replace('"HERE"', value)
    told = faults_of(text.encode())
    assert list(told) == [f"/{member}"]
    assert "_NotJSON" not in told[f"/{member}"]
    assert "decimal" not in told[f"/{member}"].lower()


def test_optional_member_that_is_right_has_no_fault() -> None:
    assert faults_of(body(amount="x", spare={"size": 1})) == {
        "/amount": "must be a number, not a string"
    }


def test_fault_inside_an_optional_member_has_its_own_pointer() -> None:
    assert faults_of(body(spare={"size": "x"})) == {"/spare/size": "must be a number, not a string"}


# ---- all that is wrong, at once


def test_every_fault_is_told_in_the_order_of_the_structure() -> None:
    text = body(amount="1", kind="none", parts=[{}, {"size": 1, "a/b~c(%)": None}], count="2")
    assert list(faults_of(text)) == [
        "/amount", "/kind", "/parts/0/size", "/parts/1/a~1b~0c(%)", "/count",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("a", "a"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("~/", "~0~1"), ("", "")],
)
def test_pointer_escapes_a_name_as_rfc_6901_says(name: str, escaped: str) -> None:
    assert escape(name) == escaped


# ---- what is not JSON


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        # Python 3.13 names the comma, older ones what stands behind it.
        (b'{"amount": 1,}', f"line 1, column {13 if sys.version_info >= (3, 13) else 14}"),
        (b'{\n  "amount": 01\n}', "line 2, column 14"),
        (b'{"amount": 1.}', "line 1, column 13"),
        (b'{"amount": .5}', "line 1, column 12"),
        (b'{"amount": +1}', "line 1, column 12"),
        (b"{'amount': 1}", "line 1, column 2"),
        (b'{"amount": 1} x', "line 1, column 15"),
        (b'{"note": "a\nb"}', "line 1, column 12"),
        (b'{"note": "\xff"}', "byte 10"),
        (b"\xff\xfe\xfd", "byte 0"),
    ],
)
def test_body_that_is_not_json_is_refused_with_the_place(text: bytes, place: str) -> None:
    assert place in refusal_of(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"amount": 1, "kind": "big", "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"amount": ' + b"9" * 5000 + b', "kind": "big"}',
        b'{"amount": 1, "kind": 5, "x": ' + b"9" * 5000 + b"}",
    ],
    ids=["arrays", "objects", "in a member", "long number", "long number beside a fault"],
)
def test_body_nested_too_deeply_or_with_a_number_too_long_is_refused(text: bytes) -> None:
    assert "nested too deeply or has a number too long" in refusal_of(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"amount": 1e99999999999999999999, "kind": "big"}',
        b'{"amount": 1, "kind": 5, "x": -1e-99999999999999999999}',
        b'{"amount": "x", "kind": "big", "count": 1e99999999999999999999}',
    ],
)
def test_exponent_beyond_any_decimal_is_refused(text: bytes) -> None:
    with pytest.raises((MalformedBodyError, InvalidInputError)):
        decode(text, Order)


@pytest.mark.parametrize("amount", ["1", '"x"'], ids=["right", "with a fault"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_body_in_another_encoding_is_refused(encoding: str, amount: str) -> None:
    text = f'{{"amount": {amount}, "kind": "big"}}'
    refusal_of(text.encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        b'{"amount": 1, "kind": "big", "note": "\\ud800"}',
        b'{"amount": 1, "kind": "\\udfff"}',
        b'{"amount": "x", "kind": "big", "note": "\\ud800"}',
        b'{"amount": 1, "kind": "big", "parts": "\\ud800"}',
        b'"\\ud800"',
        b'{"amount": 1, "kind": "big", "x": NaN}',
    ],
    ids=["text", "choice", "text beside a fault", "array", "root", "NaN where nobody asked"],
)
def test_what_only_python_takes_for_json_is_refused(text: bytes) -> None:
    refusal_of(text)


# ---- placeholders


def test_placeholder_stands_where_a_value_was_wrong_or_missing() -> None:
    found = decode_or_explain(
        body(amount="x", parts=[{}, {"size": 3}]), Order, {"amount": 7, "size": 8}
    )
    assert isinstance(found, Explanation)
    assert [fault.where for fault in found.faults] == ["/amount", "/parts/0/size"]
    assert found.mended == Order(Number(7), "big", [Part(Number(8)), Part(Number(3))])


def test_placeholder_is_found_by_the_name_and_not_by_its_escape() -> None:
    found = decode_or_explain(
        body(parts=[{"size": 1, "a/b~c(%)": "x"}]), Order, {"a/b~c(%)": 5, "a~1b~0c(%)": 6}
    )
    assert isinstance(found, Explanation)
    assert found.mended.parts[0].odd == 5


@pytest.mark.parametrize(
    "text",
    [body(kind=None), body(parts=[5]), body(parts=None), body(amount="x", kind=1), b"[]", b"{}"],
)
def test_nothing_is_mended_where_no_placeholder_serves(text: bytes) -> None:
    found = decode_or_explain(text, Order, {"amount": 0})
    assert isinstance(found, Explanation)
    assert found.faults
    assert found.mended is None


# ---- anything at all


@given(text=st.binary())
@example(b"0")
@example(b"\xef\xbb\xbf{}")
@example(b"\x00\x00")
def test_arbitrary_bytes_raise_only_errors_for_the_client(text: bytes) -> None:
    found = outcome(text)
    assert not isinstance(found, InvalidInputError) or found.faults


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(st.characters(), max_size=3)
    | st.sampled_from(["big", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["amount", "kind", "parts", "size", "a/b~c(%)", "count", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(value=_VALUES)
def test_any_json_is_an_order_or_has_faults_that_can_be_found(value: object) -> None:
    found = outcome(json.dumps(value).encode())
    if isinstance(found, MalformedBodyError):
        assert str(found)
    elif isinstance(found, InvalidInputError):
        assert found.faults
        for fault in found.faults:
            msgspec.json.encode(fault)  # it can be told
            _assert_leads_somewhere(fault, value)
    else:
        assert found.amount.is_finite()


def _assert_leads_somewhere(fault: Fault, value: object) -> None:
    names = [part.replace("~1", "/").replace("~0", "~") for part in fault.where.split("/")[1:]]
    for index, name in enumerate(names):
        if isinstance(value, list):
            value = value[int(name)]
            continue
        assert isinstance(value, dict)
        if name not in value:
            assert index == len(names) - 1
            assert fault.message == "is missing"
            return
        value = value[name]
