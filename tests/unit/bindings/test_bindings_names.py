"""Names of C as names of Python: always identifiers, always different, the same everywhere."""

from __future__ import annotations

import ast
import keyword
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.bindings import names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("counts", "counts"),
        (".rodata", "rodata"),
        (".data.apart", "data_apart"),
        ("class", "class_"),
        ("None", "None_"),
        ("__pad", "_pad"),
        ("____", "_"),
        ("__init__", "_init__"),
        ("x.1", "x_1"),
        ("7up", "_7up"),
        ("", "_"),
        ("...", "_"),
        ("na\u00efve", "na_ve"),
        ("\ufb01le", "_le"),  # a ligature that Python would read as "file"
        ("a\nimport os", "a_import_os"),
        ("a" * 300, "a" * 200),
    ],
)
def test_a_name(text: str, name: str) -> None:
    assert names.Names().take(text) == name


def test_who_comes_first_keeps_the_name_and_the_others_are_numbered() -> None:
    assert names.Names().assign(["x.1", "x_1", "x-1", "x_1_2"]) == [
        "x_1_3",
        "x_1",
        "x_1_4",
        "x_1_2",
    ]


def test_reserved_names_are_never_given() -> None:
    assert names.Names({"open", "open_"}).assign(["open", "open_"]) == ["open_2", "open__"]


@given(st.lists(st.text(max_size=12), max_size=30), st.sets(st.text(max_size=4), max_size=5))
def test_all_are_different_identifiers(texts: list[str], reserved: set[str]) -> None:
    made = names.Names(reserved).assign(texts)
    assert len(set(made)) == len(made) == len(texts)
    for name in made:
        assert name.isidentifier()
        assert name.isascii()
        assert not keyword.iskeyword(name)
        assert not name.startswith("__")
        assert name not in reserved
        assert unicodedata.normalize("NFKC", name) == name
    assert names.Names(reserved).assign(texts) == made


def test_the_keywords_are_those_of_this_python() -> None:
    assert set(keyword.kwlist) == names.KEYWORDS


@given(st.text())
def test_a_literal_is_the_text_again(text: str) -> None:
    made = names.literal(text)
    assert ast.literal_eval(made) == text
    assert made.isascii()
    assert made.isprintable()


def test_a_literal_of_what_is_no_text() -> None:
    """BTF strings are bytes: those that are not UTF-8 are kept as lone surrogates."""
    assert ast.literal_eval(names.literal("\udc80")) == "\udc80"


@given(st.text())
def test_what_is_shown_cannot_end_a_docstring(text: str) -> None:
    made = names.shown(text)
    assert made.isascii()
    assert not set(made) & set('"\\\n\r\t`')
