"""What was put aside is removed when its time is over, and in nobody's way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.daemon.tidying import EVERY_SECONDS, Tidying
from comfywatchman.domain.files import Folders
from comfywatchman.place import plan, quarantine, staged
from comfywatchman.report.audit import AuditLog
from comfywatchman.state.keeper import Keeper, Reader
from comfywatchman.state.store import open_in_memory

OLD_SECONDS = 10 * 86_400


@pytest.fixture
def state() -> Iterator[tuple[Keeper, Reader]]:
    keeper, reader = open_in_memory()
    yield keeper, reader
    reader.close()
    keeper.close()


def put_aside(folders: Folders, name: str) -> Path:
    with staged(plan(folders, "loras", name, "a-hash")) as part:
        part.append(b"bad")
        kept = quarantine(part, "the hash is wrong")
    then = time.time() - OLD_SECONDS
    os.utime(f"{kept}.txt", (then, then))
    return kept


def test_what_is_old_goes_after_the_first_sweep_and_then_once_an_hour(
    tmp_path: Path, state: tuple[Keeper, Reader], folders: Folders
) -> None:
    path = put_aside(folders, "a.safetensors")
    swept, now = [False], [0.0]
    audit = AuditLog(tmp_path)
    tidying = Tidying(3.0, folders, state[1], audit, lambda: now[0], lambda: swept[0])
    tidying()
    assert path.exists()

    swept[0] = True
    tidying()
    assert not path.exists()

    path = put_aside(folders, "b.safetensors")
    tidying()
    assert path.exists()
    now[0] += EVERY_SECONDS
    tidying()
    assert not path.exists()


def test_where_nothing_answers_nothing_is_looked_for(
    tmp_path: Path, state: tuple[Keeper, Reader], folders: Folders
) -> None:
    path = put_aside(folders, "a.safetensors")
    Tidying(3.0, folders, state[1], AuditLog(tmp_path), answers=lambda _path: False)()
    assert path.exists()
