"""One column for the statuses of all protocols: what each is called, and what a script may call it."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from loadflow.engine.records.statuses import GRPC_STATUSES, grpc_code, grpc_status, status_number, status_text, status_value
from loadflow.engine.reliability.classify import classify_error, status_class


def test_the_names_are_those_of_grpc_by_code() -> None:
    assert dict(enumerate(GRPC_STATUSES)) == {code.value[0]: code.name for code in StatusCode}


def test_every_status_of_grpc_has_a_number_of_its_own_that_is_no_other_protocols() -> None:
    numbers = [grpc_status(code) for code in range(len(GRPC_STATUSES))]
    assert len(set(numbers)) == len(GRPC_STATUSES)
    assert all(4_999 < number < 2**16 for number in numbers)
    assert [status_text(number) for number in numbers] == list(GRPC_STATUSES)
    assert [grpc_code(number) for number in numbers] == list(range(len(GRPC_STATUSES)))


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("OK", grpc_status(0)),
        ("not_found", grpc_status(5)),
        (5, grpc_status(5)),
        ("5", grpc_status(5)),
        (404, 404),
        ("404", 404),
        (200.0, 200),
    ],
)
def test_a_status_is_a_number_or_a_name(written: object, status: int) -> None:
    assert status_number(written) == status


@pytest.mark.parametrize("written", ["NOPE", True, None, 200.5, [200]])
def test_what_is_no_status_is_told(written: object) -> None:
    with pytest.raises(ValueError):
        status_number(written)


def test_statuses_of_http_stay_numbers_and_a_code_that_grpc_does_not_have_is_unknown() -> None:
    assert (status_value(404), grpc_code(404), status_value(grpc_status(99))) == (404, None, "UNKNOWN")


@pytest.mark.parametrize("code", StatusCode)
def test_a_status_has_the_class_that_an_error_with_it_has(code: StatusCode) -> None:
    from grpc import RpcError

    class Failed(RpcError):
        def code(self) -> StatusCode:
            return code

    assert status_class(grpc_status(code.value[0])) == classify_error(Failed())
