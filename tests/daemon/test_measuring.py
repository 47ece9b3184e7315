"""The thread that has model files read: whose turn it is, who waits for whom, what is kept."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.daemon.measuring import Manner
from comfywatchman.disk.devices import Device, Kind
from comfywatchman.disk.files import look
from comfywatchman.domain.files import Folders, ShortHash
from comfywatchman.domain.messages import ModelFound, RootOnline
from comfywatchman.download.pace import Bandwidth
from comfywatchman.state import care, hashes, models, workflows
from comfywatchman.state.keeper import Keeper, Reader
from tests.daemon.bench import FLASH, LIMIT, MIB, SLOW, Bench, On, wait_for
from tests.share import shared
from tests.state.rows import analysis, finding, says


@pytest.fixture
def bench(keeper: Keeper, reader: Reader, folders: Folders) -> Bench:
    return Bench(keeper, reader, folders)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- whose turn it is


def test_every_file_gets_its_hash(bench: Bench) -> None:
    paths = [bench.put(f"loras/{number}.safetensors", number * 1000) for number in range(30)]
    with bench.running():
        bench.indexed(*paths)

    assert {path: bench.hash_of(path) for path in paths} == {path: sha256(path) for path in paths}
    assert bench.reader.read(hashes.backlog) == (0, 0)
    assert bench.tally.bytes_read == sum(path.stat().st_size for path in paths)


def test_what_a_workflow_names_is_read_first_then_small_before_large(bench: Bench) -> None:
    sizes = {"large": 3000, "wanted": 2000, "small": 1000}
    paths = {name: bench.put(f"loras/{name}.pt", size) for name, size in sizes.items()}
    wanting = analysis("/wf/a.json", finding("wanted.pt"))
    bench.keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))
    with bench.running(devices=On(kinds={"loras": SLOW})):
        order = bench.indexed(*paths.values())

    assert [path.stem for path in order] == ["wanted", "small", "large"]


class Held(Bandwidth):
    """Lets nothing through before it is let go."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.go = threading.Event()

    def take(self, count: int, stop: threading.Event) -> None:
        assert self.go.wait(LIMIT)


def test_a_file_that_becomes_wanted_overtakes_those_that_wait(bench: Bench) -> None:
    paths = [bench.put(f"loras/{number}.pt", 3 * MIB + number) for number in range(40)]
    held = Held()
    with bench.running(Manner(bandwidth=held), On(kinds={"loras": SLOW})) as index:
        wait_for(index.turns.busy)
        wanting = analysis("/wf/a.json", finding("39.pt"))
        bench.keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))
        bench.desk.ring("index")
        wait_for(lambda: "39" in {t.item.path.stem for t in index.turns.lanes["sda"].heads(1)})
        held.go.set()
        order = bench.indexed(*paths)

    assert order.index(paths[39]) == 1  # after the one that was being read
    rest = [path for path in order if path != paths[39]]
    assert rest == sorted(rest, key=lambda path: path.stat().st_size)


def test_a_small_file_that_comes_late_overtakes_larger_ones_that_wait(bench: Bench) -> None:
    paths = [bench.put(f"loras/{number}.pt", 3 * MIB + number) for number in range(20)]
    held = Held()
    with bench.running(Manner(bandwidth=held), On(kinds={"loras": SLOW})) as index:
        wait_for(index.turns.busy)
        small = bench.put("loras/small.pt", MIB)
        wait_for(lambda: small in {t.item.path for t in index.turns.lanes["sda"].heads(1)})
        held.go.set()
        order = bench.indexed(*paths, small)

    assert order.index(small) == 1


def test_a_slow_device_has_one_reader_and_does_not_hold_up_a_fast_one(bench: Bench) -> None:
    slow = [bench.put(f"loras/{number}.pt", MIB) for number in range(8)]
    fast = [bench.put(f"vae/{number}.pt", MIB) for number in range(8)]
    with bench.running(Manner(workers=3), On(kinds={"loras": SLOW, "vae": FLASH})) as index:
        bench.indexed(*slow, *fast)
        readers = {key: len(list(lane.alive())) for key, lane in index.turns.lanes.items()}

    assert readers == {"sda": 1, "fast": 3}


def test_what_lies_in_memory_is_not_waited_for_on_its_slow_device(bench: Bench) -> None:
    paths = [bench.put(f"loras/{number}.pt", 2 * MIB) for number in range(60)]
    device = Device("sda", Kind.SPINNING, "ext4", local=True)
    with bench.running(devices=On(kinds={"loras": device})) as index:
        bench.indexed(*paths)
        read = {key: lane.bytes_read() for key, lane in index.turns.lanes.items()}

    if os.statvfs(paths[0]).f_files and read.get("fast", 0) == 0:
        pytest.skip("the kernel does not tell what lies in memory")
    assert sum(read.values()) == 60 * 2 * MIB
    assert read["fast"] > 0


def test_more_files_than_a_queue_holds_are_all_read(bench: Bench) -> None:
    paths = [bench.folders.models_root / f"loras/{number}.pt" for number in range(1500)]
    for path in paths:
        path.write_bytes(path.name.encode())
    found = [(path, seen, True) for path in paths if (seen := look(path)) is not None]
    bench.keeper.write(lambda c: models.note_found(c, found))
    kinds = {"loras": SLOW}
    with bench.running(devices=On(kinds=kinds)):
        bench.until(lambda: len(bench.measured()) >= len(paths))

    assert sorted(bench.measured()) == sorted(paths)


def test_a_file_that_cannot_have_the_autov3_that_somebody_states_is_read_for_it_once(
    bench: Bench,
) -> None:
    path = bench.put("embeddings/dream.safetensors", MIB)  # no header, so that there is none
    with bench.running():
        bench.indexed(path)
        plain = finding("dream")
        stated = replace(plain.reference, short_hashes=(ShortHash("AutoV3", "0123456789ab"),))
        wanting = analysis("/wf/a.json", replace(plain, reference=stated))
        bench.keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))
        bench.desk.ring("index")
        bench.until(lambda: bench.measured().count(path) == 2)
        other = bench.put("embeddings/other.safetensors", MIB)  # news, after which all is looked at
        bench.indexed(other)

    assert bench.measured() == [path, path, other]


# -- names of one file


def test_hard_links_and_symlinks_are_read_once(bench: Bench) -> None:
    path = bench.put("loras/a.safetensors", MIB)
    (path.parent / "hard.safetensors").hardlink_to(path)
    (path.parent / "soft.safetensors").symlink_to(path)
    names = [path.parent / f"{name}.safetensors" for name in ("a", "hard", "soft")]
    for name in names:
        bench.found(name)
    with bench.running(devices=On(kinds={"loras": SLOW})):
        bench.until(lambda: all(bench.hash_of(name) for name in names))

    assert bench.tally.bytes_read == MIB
    assert {bench.hash_of(name) for name in names} == {sha256(path)}


def test_a_hard_link_made_later_is_recognized_without_reading_it(bench: Bench) -> None:
    path = bench.put("loras/a.safetensors", MIB)
    with bench.running(devices=On(kinds={"loras": SLOW, "vae": SLOW})):
        bench.indexed(path)
        read_at = bench.known(path).measured_at_ns or 0
        wait_for(lambda: time.time_ns() - read_at > 50_000_000)  # not in the very same moment
        link = bench.folders.models_root / "vae/b.safetensors"
        link.hardlink_to(path)
        bench.found(link)
        bench.indexed(link)
        bench.found(path)  # its stamp is another one as well, and nobody wrote it
        bench.until(lambda: bench.measured().count(path) == 2)

    assert bench.tally.bytes_read == MIB
    assert bench.hash_of(link) == bench.hash_of(path) == sha256(path)


def test_a_file_whose_rights_were_changed_is_read_again(bench: Bench) -> None:
    """Its stamp changed, and no new name explains that: a write may hide behind it."""
    path = bench.put("loras/a.safetensors", MIB)
    with bench.running(devices=On(kinds={"loras": SLOW})):
        bench.indexed(path)
        path.chmod(0o600)
        bench.found(path)
        bench.until(lambda: bench.measured().count(path) == 2)

    assert bench.tally.bytes_read == 2 * MIB


# -- digests


def test_loras_get_the_hash_after_their_header_too(bench: Bench) -> None:
    data = os.urandom(5000)
    header = json.dumps({"w": {"dtype": "U8", "shape": [5000], "data_offsets": [0, 5000]}}).encode()
    content = len(header).to_bytes(8, "little") + header + data
    lora, vae = (bench.put(f"{name}/a.safetensors", content) for name in ("loras", "vae"))
    with bench.running():
        bench.indexed(lora, vae)

    assert bench.known(lora).digests.after_sha256 == hashlib.sha256(data).hexdigest()
    assert bench.known(vae).digests.after_sha256 is None
    assert bench.known(lora).digests.sample == bench.known(vae).digests.sample is not None


# -- what goes wrong


def test_a_file_that_cannot_be_read_holds_nobody_up(bench: Bench) -> None:
    before = [bench.put(f"loras/{number}.pt", 1000 + number) for number in range(3)]
    gone = bench.put("loras/gone.pt", 500)
    gone.unlink()
    directory = bench.put("loras/directory.pt", 400)
    directory.unlink()
    directory.mkdir()
    with bench.running():
        bench.indexed(*before)
        wait_for(lambda: {*bench.tally.hashes} >= {"changed", "failed"})

    assert bench.hash_of(gone) is None


def test_a_read_error_is_said_at_the_row_until_a_reading_comes_to_its_end(
    bench: Bench, tmp_path: Path
) -> None:
    server, place = tmp_path / "server", bench.folders.models_root / "loras"
    for name in ("bad.pt", "good.pt"):
        (server / name).parent.mkdir(exist_ok=True)
        (server / name).write_bytes(os.urandom(3 * MIB))
    place.mkdir(parents=True, exist_ok=True)
    with shared(server, place) as share:
        share.age = 10.0
        share.error_for_opening = lambda path: errno.EIO if path.name == "bad.pt" else 0
        bad, good = bench.found(place / "bad.pt"), bench.found(place / "good.pt")
        with bench.running(devices=On(kinds={"loras": SLOW})):
            bench.indexed(good)
            wait_for(lambda: trouble(bench, bad) == "disk-failed")
            assert (trouble(bench, good), bench.reader.read(care.in_trouble)) == (None, 1)
            share.error_for_opening = lambda _: 0
            bench.desk.store([RootOnline(place)])  # without it, it would take half a minute
            bench.indexed(bad)

        assert trouble(bench, bad) is None
        assert bench.hash_of(bad) == sha256(server / "bad.pt")


def trouble(bench: Bench, path: Path) -> str | None:
    found = bench.reader.read(lambda c: care.stored_in(c, path.parent))[path.name].trouble
    return None if found is None else found.code


def test_a_file_that_somebody_writes_is_waited_for(bench: Bench) -> None:
    path = bench.put("loras/a.pt", 1000)
    with path.open("r+b") as file, bench.running():
        wait_for(lambda: bool(bench.tally.hashes) or bool(bench.measured()))
        if bench.measured():
            pytest.skip("this file system gives no leases")
        assert bench.tally.hashes[0] == "written"
        file.close()
        bench.indexed(path)  # a second later, without any news

    assert bench.hash_of(path) == sha256(path)


def test_a_file_that_was_hardly_written_is_called_incomplete_and_not_read(bench: Bench) -> None:
    path = bench.folders.models_root / "loras/sparse.pt"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    bench.found(path)
    with bench.running():
        bench.until(lambda: any(isinstance(e, ModelFound) and not e.whole for e in bench.told))

    assert bench.tally.hashes == ["incomplete"]
    assert bench.tally.bytes_read == 0
    assert bench.reader.read(hashes.backlog) == (0, 0)


def test_a_file_written_just_now_is_measured_when_that_proves_something(bench: Bench) -> None:
    coarse = Device("nas", Kind.NETWORK, "nfs4")
    path = bench.put("loras/a.pt", 1000)
    began = time.monotonic()
    with bench.running(devices=On(kinds={"loras": coarse})):
        bench.indexed(path)

    assert time.monotonic() - began > 1.5
    assert not bench.known(path).racy


# -- who comes first


def test_while_comfyui_runs_a_prompt_nothing_is_read(bench: Bench) -> None:
    works = threading.Event()
    works.set()
    path = bench.put("loras/a.pt", 40 * MIB)
    with bench.running(Manner(runs_prompt=works.is_set)) as index:
        wait_for(lambda: index.standing().paused)
        before = bench.tally.bytes_read
        assert bench.measured() == []
        works.clear()
        bench.indexed(path)

    assert before < 40 * MIB
    assert bench.hash_of(path) == sha256(path)


def test_no_more_is_read_than_the_cap_allows(bench: Bench) -> None:
    paths = [bench.put(f"loras/{number}.pt", MIB) for number in range(4)]
    began = time.monotonic()
    with bench.running(Manner(bandwidth=Bandwidth(4 * MIB))):
        bench.indexed(*paths)

    assert time.monotonic() - began > 0.7


def test_it_stops_within_a_second_and_keeps_what_is_done(bench: Bench) -> None:
    small = [bench.put(f"loras/{number}.pt", 1000) for number in range(20)]
    large = bench.put("loras/large.pt", 40 * MIB)
    with bench.running(Manner(bandwidth=Bandwidth(MIB))):
        bench.indexed(*small)
        began = time.monotonic()

    assert time.monotonic() - began < 1.0
    assert bench.hash_of(large) is None
    assert all(bench.hash_of(path) for path in small)


# -- on demand


def test_on_demand_only_what_a_workflow_declares_a_hash_for_is_read(bench: Bench) -> None:
    other = bench.put("loras/other.pt", 1000)
    named = bench.put("loras/named.pt", 1000)
    declared = bench.put("loras/declared.pt", 1000)
    with bench.running(Manner(mode="on-demand")) as index:
        wanting = analysis(
            "/wf/a.json",
            finding("named.pt"),
            finding("declared.pt", declared=(says(sha256="ab" * 32),)),
        )
        bench.keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))
        assert index.standing().files == 1
        bench.desk.ring("index")
        bench.indexed(declared)
        bench.desk.ring("index")

    assert bench.measured() == [declared]
    assert bench.hash_of(other) is bench.hash_of(named) is None
