"""Kinds of values: what each accepts, how it is described, and where it is checked."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from imagefec.errors import UserError
from imagefec.parameters import (
    Flag,
    Integer,
    Items,
    Maybe,
    Number,
    OneOf,
    RegularExpression,
    Table,
    Text,
    check_fields,
    checked,
    kinds_of,
    problem,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        (Integer(1), [1, 10**9, np.int32(5)], [0, 10**9 + 1, 1.0, True, "1", None, NAN, [1]]),
        (Number(0, 1), [0, 1, 0.5, np.float32(0.5), -0.0], [-1e-9, 1.1, NAN, INF, True, "0.5"]),
        (Number(0, 1, above=True), [1e-300, 1], [0, 0.0]),
        (Number(0, 1, below=True), [0, 0.999], [1, 1.0]),
        (Flag(), [True, False], [0, 1, "True", None, np.bool_(True)]),
        (Text(), ["a", " ", "é\n"], ["", 5, None, b"a", "a\0b"]),
        (OneOf("a", "b"), ["a", "b"], ["A", "", None, ["a"], ("a", "b")]),
        (RegularExpression(), ["a|b", ""], ["(", 5, None, b"a"]),
        (Items(Integer(1), 1, 2), [(1,), [1, 2]], [(), (1, 2, 3), 1, "1", (0,), {1}]),
        (Table(Text(), Number(0)), [{}, {"a": 1}], [{"": 1}, {"a": -1}, [("a", 1)], None]),
        (Maybe(Integer(1)), [None, 1], [0, "None"]),
    ],
)
def test_a_kind_accepts_its_values_and_no_others(kind, accepted, refused):
    assert all(kind.accepts(value) for value in accepted)
    assert not any(kind.accepts(value) for value in refused)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Integer(1), 1e4, "x is 10000.0; it must be an integer, 1 or more, at most 1,000,000,000. "
         "Write 10000."),
        (Integer(1, 9), "5", "x is '5'; it must be an integer, 1 to 9. Write 5 without quotes."),
        (Integer(1, 9), 2.5, "x is 2.5; it must be an integer, 1 to 9."),
        (Integer(1, 9), True, "x is True; it must be an integer, 1 to 9."),
        (Number(0, 1, above=True), 0, "x is 0; it must be a number, above 0, at most 1."),
        (Number(0, 1, below=True), 1, "x is 1; it must be a number, 0 or more, below 1."),
        (Items(Integer(1, 9), 1, 3), 5, "x is 5; it must be a tuple of 1 to 3 values, each an "
         "integer, 1 to 9. Write (5,)."),
        (Items(Flag(), 3, 3), (), "x is (); it must be a tuple of 3 values, each True or False."),
        (Maybe(OneOf("a", "b")), "c", "x is 'c'; it must be one of a, b, or None."),
        (Integer(1, 9), "y" * 500, f"x is '{'y' * 79}…; it must be an integer, 1 to 9."),
    ],
)  # fmt: skip
def test_a_message_says_what_was_found_what_is_allowed_and_how_to_write_it(kind, value, message):
    assert problem("x", value, kind) == message


def test_an_integer_that_python_cannot_write_is_described():
    assert problem("x", 16**9000, Integer(1, 9)) == (
        "x is a value of type int that is too large to show; it must be an integer, 1 to 9."
    )


@checked
def scaled(size: Annotated[int, Integer(1, 9)], flip: bool = False, *, name: str = "a") -> str:
    return f"{name}{size}{flip}"


def test_a_function_raises_value_error_for_a_caller_and_keeps_its_signature():
    assert scaled(3, name="b") == "b3False" and scaled(size=9, flip=True) == "a9True"
    with pytest.raises(ValueError, match="size must be an integer, 1 to 9; found 0"):
        scaled(0)
    with pytest.raises(ValueError, match="flip must be True or False; found 1"):
        scaled(1, 1)
    with pytest.raises(TypeError, match="missing a required argument"):
        scaled()
    assert scaled.__name__ == "scaled" and set(kinds_of(scaled)) == {"size", "flip", "name"}


def test_a_dataclass_raises_user_error_with_the_name_that_users_set():
    @dataclass(frozen=True)
    class Settings:
        size: Annotated[int, Integer(1, 9)]

        def __post_init__(self):
            check_fields(self, lambda field: f"group.{field}")

    assert Settings(3).size == 3
    with pytest.raises(UserError, match=r"^group\.size is 0; it must be an integer, 1 to 9\."):
        Settings(0)
