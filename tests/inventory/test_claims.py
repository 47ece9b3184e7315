"""Hash caches of other programs, as those programs write them and as nobody should."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import ClaimsUnreadable
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.claims import Said, Shelf, Unreadable, beside, claims_of
from tests.state.rows import HASH, OTHER_HASH

MTIME = 1_700_000_000.123456
DISKCACHE = (
    "CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, "
    "expire_time REAL, access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, "
    "size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0, filename TEXT, value BLOB)"
)


def model(path: Path, size: int = 2048) -> tuple[Path, Stamp]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (MTIME, MTIME))
    stamp = look(path)
    assert stamp is not None
    return path, stamp


@pytest.fixture
def lora(tmp_path: Path) -> tuple[Path, Stamp]:
    return model(tmp_path / "models/Lora/detail.v1.safetensors")


def database(path: Path, table: str, *rows: tuple[object, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(table)
        name = table.split()[2]
        for row in rows:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {name} VALUES ({marks})", row)
        connection.commit()
    return path


def told(found: Iterator[Said | Unreadable]) -> list[Said]:
    said = list(found)
    assert not [one for one in said if isinstance(one, Unreadable)], said
    return [one for one in said if isinstance(one, Said)]


def troubles(found: Iterator[Said | Unreadable]) -> list[str]:
    said = list(found)
    assert all(isinstance(one, Unreadable) for one in said), said
    return [one.error.code for one in said if isinstance(one, Unreadable)]


def said_beside(path: Path, stamp: Stamp) -> list[Said | ClaimsUnreadable]:
    return list(beside(path, stamp))


# -- side-cars


def test_what_lora_manager_writes_beside_a_model_is_a_claim(lora: tuple[Path, Stamp]) -> None:
    path, stamp = lora
    sidecar = path.with_name("detail.v1.metadata.json")
    content = {"file_path": "x", "size": 2048, "sha256": HASH.upper(), "autov3": "AB" * 6, "x": [1]}
    sidecar.write_text(json.dumps(content))

    assert said_beside(path, stamp) == [
        Said(path, stamp, "lora-manager", sidecar, HASH, autov3="ab" * 6)
    ]


def test_what_civitai_said_is_a_claim_by_the_file_of_this_size(lora: tuple[Path, Stamp]) -> None:
    path, stamp = lora
    sidecar = path.with_name("detail.v1.civitai.info")
    files = [
        {
            "sizeKB": 2.0,
            "hashes": {"SHA256": HASH.upper(), "AutoV3": "CD" * 6, "BLAKE3": "EF" * 32},
        },
        {"sizeKB": 9000.5, "hashes": {"SHA256": OTHER_HASH}},
        {"sizeKB": None, "hashes": {}},
    ]
    sidecar.write_text(json.dumps({"id": 1, "files": files}))

    assert said_beside(path, stamp) == [
        Said(path, stamp, "civitai-info", sidecar, HASH, autov3="cd" * 6, blake3="ef" * 32)
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"size": 2047, "sha256": HASH},
        {"size": 2048, "sha256": "no hash"},
        {"size": 2048, "sha256": None},
        {"size": 2048, "sha256": HASH, "hash_status": "pending"},
        {},
    ],
    ids=["of another size", "no digits", "none", "not done", "empty"],
)
def test_a_sidecar_that_does_not_speak_of_this_file_says_nothing(
    lora: tuple[Path, Stamp], content: dict[str, object]
) -> None:
    path, stamp = lora
    path.with_name("detail.v1.metadata.json").write_text(json.dumps(content))

    assert said_beside(path, stamp) == []


def test_two_files_of_a_version_with_this_size_say_nothing(lora: tuple[Path, Stamp]) -> None:
    path, stamp = lora
    files = [{"sizeKB": 2.0, "hashes": {"SHA256": digest}} for digest in (HASH, OTHER_HASH)]
    path.with_name("detail.v1.civitai.info").write_text(json.dumps({"files": files}))

    assert said_beside(path, stamp) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b'{"sha256": 5}', b"\xff\xfe", b"[" * 200_000, b'{"size": "x"}'],
    ids=["empty", "cut off", "list", "number", "no text", "deep", "size"],
)
def test_a_sidecar_that_is_none_is_told_and_harms_nobody(
    lora: tuple[Path, Stamp], content: bytes
) -> None:
    path, stamp = lora
    path.with_name("detail.v1.metadata.json").write_bytes(content)
    (error,) = said_beside(path, stamp)

    assert isinstance(error, ClaimsUnreadable)
    assert "detail.v1.metadata.json" in error.cause


def test_a_sidecar_without_end_is_not_read(lora: tuple[Path, Stamp]) -> None:
    path, stamp = lora
    with path.with_name("detail.v1.metadata.json").open("wb") as file:
        file.truncate(1 << 40)
    (error,) = said_beside(path, stamp)

    assert isinstance(error, ClaimsUnreadable)
    assert "larger" in error.cause


def test_a_pipe_under_the_name_of_a_sidecar_stops_nobody(lora: tuple[Path, Stamp]) -> None:
    path, stamp = lora
    os.mkfifo(path.with_name("detail.v1.civitai.info"))
    (error,) = said_beside(path, stamp)

    assert isinstance(error, ClaimsUnreadable)


# -- databases


def test_civitai_toolkit_speaks_of_the_file_that_was_written_when_it_looked(
    tmp_path: Path, lora: tuple[Path, Stamp]
) -> None:
    path, stamp = lora
    changed, changed_stamp = model(tmp_path / "models/Lora/changed.safetensors")
    packs = tmp_path / "custom_nodes"
    cache = database(
        packs / "ComfyUI-Civitai-Toolkit/data/civitai_helper.db",
        "CREATE TABLE versions (hash TEXT, model_id INTEGER, local_path TEXT, local_mtime REAL)",
        (HASH, 1, str(path), MTIME),
        (OTHER_HASH, 2, str(changed), MTIME - 60),
        (OTHER_HASH, 3, "/somewhere/else.safetensors", MTIME),
        (OTHER_HASH, 4, None, None),
    )
    shelf = Shelf((packs,), models={path: stamp, changed: changed_stamp})

    assert told(claims_of(shelf)) == [Said(path, stamp, "civitai-toolkit", cache, HASH)]


@pytest.mark.parametrize("place", ["cache/model/default.sqlite", "model_cache.sqlite"])
def test_the_cache_of_lora_manager_is_read_in_its_settings_and_in_its_pack(
    tmp_path: Path, lora: tuple[Path, Stamp], place: str
) -> None:
    path, stamp = lora
    table = (
        "CREATE TABLE models (model_type TEXT, file_path TEXT, size INTEGER, sha256 TEXT, "
        "hash_status TEXT)"
    )
    row = ("lora", str(path), stamp.size, HASH, "completed")
    own = database(tmp_path / "settings" / place, table, row)
    packed = database(tmp_path / "custom_nodes/lora-manager" / place, table, row)
    shelf = Shelf((tmp_path / "custom_nodes",), (tmp_path / "settings",), models={path: stamp})

    assert [(one.told_by, one.sha256) for one in told(claims_of(shelf))] == [
        (own, HASH),
        (packed, HASH),
    ]


def test_what_waits_in_a_write_ahead_log_is_read_and_nothing_is_left_beside_it(
    tmp_path: Path, lora: tuple[Path, Stamp]
) -> None:
    path, stamp = lora
    place = tmp_path / "settings/model_cache.sqlite"
    place.parent.mkdir()
    with closing(sqlite3.connect(place, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE models (file_path TEXT, sha256 TEXT, size INTEGER)")
        writer.execute("INSERT INTO models VALUES (?, ?, 2048)", (str(path), HASH))
        writer.execute("BEGIN EXCLUSIVE")  # its owner is busy; nobody waits for that
        before = sorted(place.parent.iterdir())
        contents = [file.read_bytes() for file in before]
        found = told(claims_of(Shelf(settings_directories=(place.parent,), models={path: stamp})))

        assert [one.sha256 for one in found] == [HASH]
        assert sorted(place.parent.iterdir()) == before
        assert [file.read_bytes() for file in before] == contents


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 4096, b"no database"])
def test_a_database_that_is_none_is_told_or_says_nothing(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "model_cache.sqlite"
    place.write_bytes(content)

    assert troubles(claims_of(Shelf(settings_directories=(tmp_path,)))) in (
        [],
        ["claims-unreadable"],
    )


def test_a_table_with_other_columns_says_nothing(tmp_path: Path) -> None:
    database(tmp_path / "model_cache.sqlite", "CREATE TABLE models (id INTEGER)", (1,))

    assert told(claims_of(Shelf(settings_directories=(tmp_path,)))) == []


def test_a_view_that_never_ends_is_given_up(tmp_path: Path) -> None:
    place = tmp_path / "model_cache.sqlite"
    with closing(sqlite3.connect(place)) as connection:
        connection.execute(
            "CREATE VIEW models AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT 'x' AS file_path, 'y' AS sha256, i AS size FROM n WHERE i < 0"
        )
        connection.commit()

    assert troubles(claims_of(Shelf(settings_directories=(tmp_path,)))) == ["claims-unreadable"]


# -- stable-diffusion-webui


def test_cache_json_of_the_webui_tells_of_models_by_title_and_time(
    tmp_path: Path, lora: tuple[Path, Stamp]
) -> None:
    path, stamp = lora
    other, other_stamp = model(tmp_path / "models/Stable-diffusion/a.safetensors")
    cache = tmp_path / "cache.json"
    cache.write_text(
        json.dumps(
            {
                "hashes": {
                    "checkpoint/a.safetensors": {"mtime": MTIME, "sha256": HASH},
                    "checkpoint/gone.safetensors": {"mtime": MTIME, "sha256": HASH},
                    "lora/detail.v1": {"mtime": MTIME - 5, "sha256": OTHER_HASH},
                },
                "hashes-addnet": {"lora/detail.v1": {"mtime": MTIME, "sha256": OTHER_HASH}},
                "safetensors-metadata": {"x": 1},
            }
        )
    )
    shelf = Shelf(webui_roots=(tmp_path,), models={path: stamp, other: other_stamp})

    assert told(claims_of(shelf)) == [
        Said(other, other_stamp, "webui", cache, HASH),
        Said(path, stamp, "webui-addnet", cache, after_sha256=OTHER_HASH),
    ]


def diskcache(root: Path, key: str, value: bytes, name: str = "hashes", mode: int = 4) -> Path:
    row = (1, key, 1, 0.0, None, 0.0, 0, None, 0, mode, None, value)
    return database(root / f"cache/{name}/cache.db", DISKCACHE, row)


@pytest.mark.parametrize("protocol", range(6))
def test_the_newer_cache_of_the_webui_is_read_without_loading_its_pickles(
    tmp_path: Path, lora: tuple[Path, Stamp], protocol: int
) -> None:
    path, stamp = lora
    value = pickle.dumps({"mtime": MTIME, "sha256": HASH}, protocol)
    cache = diskcache(tmp_path, "lora/detail.v1", value)
    shelf = Shelf(webui_roots=(tmp_path,), models={path: stamp})

    assert told(claims_of(shelf)) == [Said(path, stamp, "webui", cache, HASH)]


class Calls:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_would_run_something_runs_nothing(
    tmp_path: Path, lora: tuple[Path, Stamp]
) -> None:
    path, stamp = lora
    marker = tmp_path / "ran"
    value = pickle.dumps({"mtime": MTIME, "sha256": HASH, "x": Calls(marker)})
    diskcache(tmp_path, "lora/detail.v1", value)
    diskcache(tmp_path, "lora/detail.v1", b"\x80\x04" + b"(" * 100_000, "hashes-addnet")

    assert told(claims_of(Shelf(webui_roots=(tmp_path,), models={path: stamp}))) == []
    assert not marker.exists()


def test_a_title_that_fits_two_models_says_nothing(tmp_path: Path) -> None:
    models = dict(model(tmp_path / f"models/{place}/a.safetensors") for place in ("x", "y"))
    content = {"hashes": {"checkpoint/a.safetensors": {"mtime": MTIME, "sha256": HASH}}}
    (tmp_path / "cache.json").write_text(json.dumps(content))

    assert told(claims_of(Shelf(webui_roots=(tmp_path,), models=models))) == []


@pytest.mark.parametrize("content", [b"{", b'{"hashes": 5}', b"[" * 200_000])
def test_a_cache_json_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(content)

    assert troubles(claims_of(Shelf(webui_roots=(tmp_path,)))) == ["claims-unreadable"]
