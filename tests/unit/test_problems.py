"""The tree of errors, and the problem details (RFC 9457) that each error becomes."""

from __future__ import annotations

import pytest
from tornado.web import HTTPError, MissingArgumentError

from app import errors
from app.calculator import MAX_EXPRESSION_LENGTH
from app.errors import (
    AppError,
    CalculationError,
    ConfigError,
    DispatchError,
    Fault,
    InfeasibleLoadError,
    InvalidInputError,
    InvalidProblemError,
    MalformedBodyError,
    MediaTypeError,
    StackError,
    StoreUnavailableError,
)
from app.web.problems import NotReadyError, Problem, describe

# ---- errors


def test_every_error_is_an_app_error() -> None:
    classes = [item for item in vars(errors).values() if isinstance(item, type)]
    raised = [item for item in classes if issubclass(item, Exception)]
    assert len(raised) > 8
    assert all(issubclass(item, AppError) for item in raised)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("PORT", "is wrong"), "PORT: is wrong"),
        (Fault("", "must be an object"), "must be an object"),
    ],
)
def test_fault_says_where_it_is_unless_it_is_the_whole(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_faulty_input_lists_each_fault_on_its_own_line() -> None:
    error = ConfigError("Wrong:", [Fault("A", "is missing"), Fault("B", "is wrong")])
    assert str(error) == "Wrong:\n  A: is missing\n  B: is wrong"
    assert error.faults == (Fault("A", "is missing"), Fault("B", "is wrong"))


def test_calculation_error_counts_characters_from_one_for_people() -> None:
    error = CalculationError("an operator is missing", "1 1", 2)
    assert (error.expression, error.position) == ("1 1", 2)
    assert str(error) == "an operator is missing (at character 3)"


@pytest.mark.parametrize(
    ("below", "above", "nearest"),
    [
        (995, 1010, "the nearest that can be met: 99.5 MW and 101.0 MW"),
        (995, None, "the nearest that can be met: 99.5 MW"),
        (None, 1010, "the nearest that can be met: 101.0 MW"),
        (0, None, "the nearest that can be met: 0.0 MW"),
        (None, None, "no plant can run"),
    ],
)
def test_infeasible_load_names_the_nearest_loads_that_can_be_met(
    below: int | None, above: int | None, nearest: str
) -> None:
    error = InfeasibleLoadError(1001, below, above)
    assert str(error) == f"no plan meets a load of 100.1 MW exactly; {nearest}"


# ---- problems


def test_no_error_at_all_is_told_by_its_status() -> None:
    assert describe(None, 404) == Problem(404, "Not Found")


def test_unexpected_error_tells_nothing_of_itself() -> None:
    assert describe(ValueError("/etc/secret"), 500) == Problem(500, "Internal Server Error")


@pytest.mark.parametrize("error", [DispatchError("inside"), StackError("inside"), AppError("in")])
def test_error_without_a_status_of_its_own_is_the_servers(error: AppError) -> None:
    assert describe(error, 500) == Problem(500, "Internal Server Error")


@pytest.mark.parametrize(
    ("error", "status", "title", "detail"),
    [
        (HTTPError(404), 404, "Not Found", ""),
        (HTTPError(400, "bad %s at %d", "line", 3), 400, "Bad Request", "bad line at 3"),
        (HTTPError(400, "100% wrong"), 400, "Bad Request", "100% wrong"),
        (HTTPError(400, "100%% of %s", "it"), 400, "Bad Request", "100% of it"),
        (HTTPError(599, "odd"), 599, "Unknown error", "odd"),
        (MissingArgumentError("a"), 400, "Bad Request", "Missing argument a"),
    ],
)
def test_http_error_keeps_its_status_and_its_message(
    error: HTTPError, status: int, title: str, detail: str
) -> None:
    assert describe(error, 500) == Problem(status, title, detail)


def test_calculation_error_points_into_the_expression() -> None:
    problem = describe(CalculationError("division by zero", "1/0", 1), 500)
    assert (problem.status, problem.type) == (422, "urn:problem-type:windlass:calculation")
    assert problem.detail == "division by zero (at character 2)"
    assert problem.extensions == {
        "errors": [{"pointer": "/expression", "position": 1, "detail": "division by zero"}],
        "expression": "1/0",
    }


@pytest.mark.parametrize(("length", "comes_back"), [(0, True), (1, False)])
def test_expression_comes_back_only_when_its_length_is_allowed(
    length: int, *, comes_back: bool
) -> None:
    expression = "1" * (MAX_EXPRESSION_LENGTH + length)
    problem = describe(CalculationError("too long", expression, 0), 500)
    assert ("expression" in problem.extensions) is comes_back


def test_infeasible_load_gives_the_nearest_loads_in_megawatts() -> None:
    problem = describe(InfeasibleLoadError(1001, 995, None), 500)
    assert (problem.status, problem.title) == (422, "No plan meets the load")
    assert problem.type == "urn:problem-type:windlass:infeasible-load"
    assert problem.extensions == {"nearest_below": 99.5, "nearest_above": None}


@pytest.mark.parametrize("kind", [InvalidInputError, InvalidProblemError])
def test_faulty_input_gives_each_fault_with_its_pointer(
    kind: type[InvalidInputError | InvalidProblemError],
) -> None:
    problem = describe(kind("Wrong values", [Fault("/a~1b", "is missing"), Fault("", "no")]), 500)
    assert (problem.status, problem.detail) == (422, "Wrong values")
    assert problem.type == "urn:problem-type:windlass:invalid-input"
    assert problem.extensions == {
        "errors": [{"pointer": "/a~1b", "detail": "is missing"}, {"pointer": "", "detail": "no"}]
    }


def test_malformed_body_is_400() -> None:
    found = describe(MalformedBodyError("no JSON"), 500)
    assert found == Problem(400, "Bad Request", "no JSON")


def test_wrong_media_type_is_415() -> None:
    assert describe(MediaTypeError("send JSON"), 500) == Problem(
        415, "Unsupported Media Type", "send JSON"
    )


def test_what_may_work_again_soon_is_503_with_retry_after() -> None:
    for error in (NotReadyError("it drains"), StoreUnavailableError("redis://:pw@host is silent")):
        problem = describe(error, 500)
        assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
        assert "redis://" not in problem.detail


def test_json_object_has_the_members_of_the_rfc_in_order_and_then_the_extensions() -> None:
    problem = Problem(422, "T", "D", "urn:x", {"errors": [1]})
    assert list(problem.as_json(instance="/p", request_id="r").items()) == [
        ("type", "urn:x"),
        ("title", "T"),
        ("status", 422),
        ("detail", "D"),
        ("instance", "/p"),
        ("request_id", "r"),
        ("errors", [1]),
    ]


def test_problem_without_a_kind_of_its_own_is_about_blank() -> None:
    assert Problem(404, "Not Found").as_json(instance="/", request_id="r")["type"] == "about:blank"
