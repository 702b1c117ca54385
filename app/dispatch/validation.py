"""Which problems are accepted: the meaning of every value, and the limits that bound the work.

Guarantees: `faults_of` lists every fault, each at the JSON pointer that the value has in the
payload of a plan request; a problem without faults is solved exactly, in bounded memory.
Values are judged before they are converted, so that `1E+999999999` costs nothing.

The listing is slow next to the solving of a common problem. `app.dispatch.quantities` therefore
judges the values as it converts them, by the same limits, and the listing follows only when it
must. The tests hold the two to the same verdicts.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import TYPE_CHECKING

from app.dispatch.problem import STEPS_PER_MW, Exact, Fuels, Kind, Plant
from app.errors import Fault, InvalidProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_PLANTS = 5_000
MAX_LOAD_MW = 1_000_000
MAX_PMAX_MW = 20_000
MAX_PRICE = 1_000_000
MAX_DECIMALS = 18
MAX_NAME_LENGTH = 200

_UNIT = 10**MAX_DECIMALS
_EXACT = (int, Decimal, Fraction)
# A value with more digits than any accepted one raises here, in linear time and before anything
# expands its exponent.
_SHORT = Context(prec=60, Emin=-60, Emax=60, traps=[Inexact])


def check(load: Exact, fuels: Fuels, plants: Sequence[Plant]) -> None:
    """Accept a problem or refuse it.

    Raises:
        InvalidProblemError: it has faults; all of them are listed.
    """
    if faults := faults_of(load, fuels, plants):
        raise InvalidProblemError("the problem cannot be planned", faults)


def faults_of(load: Exact, fuels: Fuels, plants: Sequence[Plant]) -> list[Fault]:
    """List what is wrong with a problem, in the order of the payload; empty when it is sound."""
    faults = [*_load_faults(load), *_fuel_faults(fuels)]
    if len(plants) > MAX_PLANTS:
        message = f"must hold at most {MAX_PLANTS} plants, not {len(plants)}"
        return [*faults, Fault("/powerplants", message)]
    first_with: dict[str, int] = {}
    for index, plant in enumerate(plants):
        first = first_with.setdefault(plant.name, index)
        faults.extend(_plant_faults(index, plant, first))
    return faults


class UnsoundError(ValueError):
    """Something is wrong with a problem; `check` says what."""


def ratio_of(value: Exact) -> tuple[int, int]:
    """Convert a number that exact arithmetic can afford to (numerator, denominator).

    Raises:
        UnsoundError: it is none; `faults_of` says why.
    """
    if type(value) is Decimal:
        try:
            _SHORT.plus(value)
            ratio = value.as_integer_ratio()
        except (Inexact, ValueError, OverflowError) as error:
            raise UnsoundError from error
    elif type(value) is int or type(value) is Fraction:
        ratio = value.as_integer_ratio()
    else:
        raise UnsoundError
    if ratio[1] > 1 and _UNIT % ratio[1]:
        raise UnsoundError
    return ratio


def names_are_sound(names: list[str]) -> bool:
    """Tell whether plants of these names are not too many, and the names unique and short."""
    # a dictionary: the memory that a set takes is so much more that it costs time to get
    return (
        len(dict.fromkeys(names)) == len(names) <= MAX_PLANTS
        and "" not in names
        and max(map(len, names), default=0) <= MAX_NAME_LENGTH
    )


_KINDS = frozenset(Kind)


def _number_fault(value: Exact) -> str | None:
    """Say why a value is no number that exact arithmetic can afford."""
    if type(value) is int:
        return None
    if type(value) not in _EXACT:
        return "must be an exact number"
    if isinstance(value, Decimal):
        fault = _decimal_fault(value)
        if fault is not None:
            return fault
    if _UNIT % value.as_integer_ratio()[1]:
        return f"must have at most {MAX_DECIMALS} decimals"
    return None


def _decimal_fault(value: Decimal) -> str | None:
    if not value.is_finite():
        return "must be a finite number"
    try:
        _SHORT.plus(value)
    except Inexact:
        return f"must have at most {MAX_DECIMALS} decimals and a sensible size"
    return None


def _load_faults(load: Exact) -> list[Fault]:
    fault = _number_fault(load)
    if fault is None and not 0 <= load <= MAX_LOAD_MW:
        fault = f"must be between 0 and {MAX_LOAD_MW} MW"
    if fault is None and STEPS_PER_MW % load.as_integer_ratio()[1]:
        fault = "must be a multiple of 0.1 MW"
    return [] if fault is None else [Fault("/load", fault)]


def _fuel_faults(fuels: Fuels) -> list[Fault]:
    faults = []
    for pointer, value, low, high in (
        ("/fuels/gas(euro~1MWh)", fuels.gas, -MAX_PRICE, MAX_PRICE),
        ("/fuels/kerosine(euro~1MWh)", fuels.kerosine, -MAX_PRICE, MAX_PRICE),
        ("/fuels/co2(euro~1ton)", fuels.co2, 0, MAX_PRICE),
        ("/fuels/wind(%)", fuels.wind, 0, 100),
    ):
        fault = _number_fault(value)
        if fault is None and not low <= value <= high:
            fault = f"must be between {low} and {high}"
        if fault is not None:
            faults.append(Fault(pointer, fault))
    return faults


def _plant_faults(index: int, plant: Plant, first: int) -> Iterator[Fault]:
    at = f"/powerplants/{index}"
    if not 0 < len(plant.name) <= MAX_NAME_LENGTH:
        yield Fault(f"{at}/name", f"must have 1 to {MAX_NAME_LENGTH} characters")
    elif first != index:
        yield Fault(f"{at}/name", f"must be unique; /powerplants/{first} has the same name")
    if plant.kind not in _KINDS:
        yield Fault(f"{at}/type", f"must be one of {', '.join(Kind)}")
    fault = _number_fault(plant.efficiency)
    if fault is None and not 0 < plant.efficiency <= 1:
        fault = "must be greater than 0 and at most 1"
    if fault is not None:
        yield Fault(f"{at}/efficiency", fault)
    yield from _limit_faults(at, plant)


def _limit_faults(at: str, plant: Plant) -> Iterator[Fault]:
    faults = {"pmin": _number_fault(plant.pmin), "pmax": _number_fault(plant.pmax)}
    for field, value in (("pmin", plant.pmin), ("pmax", plant.pmax)):
        if faults[field] is None and not 0 <= value <= MAX_PMAX_MW:
            faults[field] = f"must be between 0 and {MAX_PMAX_MW} MW"
    if not any(faults.values()) and plant.pmin > plant.pmax:
        faults["pmin"] = "must not be greater than pmax"
    for field, fault in faults.items():
        if fault is not None:
            yield Fault(f"{at}/{field}", fault)
