"""Every input that was worth keeping runs through its harness, without a fuzzer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.nasty import seeds
from tests.fuzz.registry import TARGETS
from tests.fuzz.running import KEPT_FILES

if TYPE_CHECKING:
    from pathlib import Path

each_target = pytest.mark.parametrize("name", sorted(TARGETS))


def kept(name: str) -> list[Path]:
    return sorted(TARGETS[name].corpus.iterdir())


@each_target
def test_every_kept_input_is_handled(name: str) -> None:
    fuzz = TARGETS[name].load()
    for path in kept(name):
        try:
            fuzz(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} is not handled") from error


@each_target
def test_every_handwritten_input_is_handled(name: str) -> None:
    fuzz = TARGETS[name].load()
    for data in seeds(name):
        fuzz(data)


@each_target
def test_the_corpus_stays_small_and_names_tell_the_content(name: str) -> None:
    files = kept(name)
    assert 0 < len(files) <= KEPT_FILES
    for path in files:
        data = path.read_bytes()
        assert len(data) <= TARGETS[name].max_len
        assert hashlib.sha1(data, usedforsecurity=False).hexdigest().startswith(path.name)
