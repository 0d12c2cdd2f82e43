"""Codes, keys, nicknames and addresses."""

from __future__ import annotations

import ipaddress

import pytest

from slm_explorer.classroom.codes import (
    LETTERS,
    MAX_NAME_CHARS,
    clean_name,
    new_code,
    new_key,
    reachable_address,
    same,
)
from slm_explorer.errors import InvalidRequest


def test_codes_are_typed_as_people_type_them() -> None:
    code, key = new_code(), new_key()
    assert set(code) <= set(LETTERS)
    assert same(f" {code.lower()} ", code)
    assert same(key.replace("-", " ").lower(), key)
    assert not same(key[:-1], key)
    for wrong in ("", None, 7, ["a"], "x" * 10_000, "\ud800"):
        assert not same(wrong, code)
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("  Ada \n Lovelace ", "Ada Lovelace"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert"),
        ("a\u202eb\u200bc\x00d", "a b c d"),
        ("Ｚｏｅ", "Zoe"),
        ("Zo\u0308e", "Zöe"),
        ("e" + "\u0301" * 50 + "x", "é\u0301\u0301x"),
        ("x" * 500, "x" * MAX_NAME_CHARS),
        ("\ud800A", "A"),
    ],
)
def test_a_nickname_is_one_clean_line(typed: str, shown: str) -> None:
    assert clean_name(typed, ()) == shown


@pytest.mark.parametrize("typed", ["", "   ", "\u200b\u202e", "!!!", None, 7, "x" * 5000])
def test_what_is_no_name_is_refused(typed: object) -> None:
    with pytest.raises(InvalidRequest, match="nickname"):
        clean_name(typed, ())


def test_equal_names_get_a_number() -> None:
    taken: list[str] = []
    for _ in range(120):
        taken.append(clean_name("A" * 30, taken))
        assert len(taken[-1]) <= MAX_NAME_CHARS
    assert len({name.casefold() for name in taken}) == 120
    assert clean_name("ADA", ["ada"]) == "ADA 2"


def test_a_loopback_page_is_reachable_from_nowhere_else() -> None:
    assert reachable_address("127.0.0.1", 7860) is None
    assert reachable_address("192.168.1.5", 7860) == "http://192.168.1.5:7860/"
    assert reachable_address("fe80::1", 80) == "http://[fe80::1]:80/"
    found = reachable_address("0.0.0.0", 7860)
    if found is not None:
        assert not ipaddress.ip_address(found.split("//")[1].split(":")[0]).is_loopback
