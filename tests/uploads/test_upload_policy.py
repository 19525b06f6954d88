"""The upload policy as tables, without a database."""

import pytest

from roomcast.core.errors import FileTooLarge, Refused, ValidationFailed
from roomcast.uploads import policy


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("X-ray. X", "X-ray. X"),
        (". hidden .", "hidden"),
        ("a . .txt", "a.txt"),
        ("a\tb.txt", "a b.txt"),
        ('<>:"|?*.txt', "_______.txt"),
        ("a" * 201, "a" * 200),
        ("a" * 300 + ".png", "a" * 196 + ".png"),
        ("a" * 300 + "." + "b" * 16, "a" * 183 + "." + "b" * 16),
        ("a" * 300 + "." + "b" * 17, "a" * 200),
        ("é" * 150 + ".png", "é" * 98 + ".png"),
        ("é" * 150 + ".p", "é" * 99 + ".p"),
        ("a" * 195 + " " + "b" * 9 + ".png", "a" * 195 + ".png"),
    ],
)
def test_a_name_is_cut_before_its_ending(name: str, shown: str) -> None:
    assert policy.clean_filename(name) == shown


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        ("image/png", "image/png"),
        (" Image/PNG ; q=1", "image/png"),
        ("", "application/octet-stream"),
        (" ; charset=utf-8", "application/octet-stream"),
        ("application/vnd.a+b_c-1!#$&^", "application/vnd.a+b_c-1!#$&^"),
        ("a/" + "b" * 125, "a/" + "b" * 125),
    ],
)
def test_the_declared_type(declared: str, stored: str) -> None:
    assert policy.check_type(declared) == stored


@pytest.mark.parametrize("declared", ["image", "image/", "/png", "image/p ng", "image/png/x", ".a/b", "a/" + "b" * 126])
def test_a_type_that_is_none_is_refused(declared: str) -> None:
    with pytest.raises(ValidationFailed, match="like image/png") as refused:
        policy.check_type(declared)
    assert refused.value.path == ["input", "contentType"]


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValidationFailed), (-1, ValidationFailed), (1, None), (10, None), (11, FileTooLarge)]
)
def test_the_size_of_a_file(size: int, error: type[Refused] | None) -> None:
    if error is None:
        assert policy.check_size(size, 10) == size
        return
    with pytest.raises(error, match="at least one byte" if size < 1 else "at most 10 bytes") as refused:
        policy.check_size(size, 10)
    assert refused.value.path == ["input", "byteSize"]
