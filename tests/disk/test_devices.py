"""What files lie on, told from tables of machines that we do not have."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from comfywatchman.disk.devices import Device, Devices, Kind


@dataclass
class Machine:
    """A machine's ``/proc`` and ``/sys``."""

    base: Path
    now: float = 0.0
    nodes: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.base / "proc/self").mkdir(parents=True)
        (self.base / "sys/dev/block").mkdir(parents=True)
        self.table: list[str] = []
        self.mount("0:1", "/", "rootfs", "rootfs")

    def mount(self, number: str, path: str, type_: str, source: str) -> None:
        self.table.append(f"1 2 {number} / {path} rw - {type_} {source} rw")
        (self.base / "proc/self/mountinfo").write_text("\n".join(self.table))

    def disk(
        self, name: str, number: str, rotational: str, *, slaves: tuple[str, ...] = ()
    ) -> Path:
        node = self.base / "sys/devices" / name
        (node / "queue").mkdir(parents=True)
        (node / "queue/rotational").write_text(f"{rotational}\n")
        (node / "slaves").mkdir()
        for slave in slaves:
            (node / "slaves" / slave).symlink_to(self.nodes[slave])
        return self._number(name, number, node)

    def partition(self, name: str, number: str, disk: Path) -> Path:
        node = disk / name
        node.mkdir()
        (node / "partition").write_text("1\n")
        return self._number(name, number, node)

    def _number(self, name: str, number: str, node: Path) -> Path:
        (self.base / "sys/dev/block" / number).symlink_to(node)
        self.nodes[name] = node
        return node

    def devices(self) -> Devices:
        return Devices(self.base / "proc", self.base / "sys", lambda: self.now)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def on(machine: Machine, major: int, minor: int, path: str = "/models/a") -> Device:
    return machine.devices().of(os.makedev(major, minor), Path(path))


def test_two_partitions_of_one_turning_disk_are_one_device(machine: Machine) -> None:
    disk = machine.disk("sda", "8:0", "1")
    machine.partition("sda1", "8:1", disk)
    machine.partition("sda2", "8:2", disk)
    machine.mount("8:1", "/models", "ext4", "/dev/sda1")
    machine.mount("8:2", "/more", "xfs", "/dev/sda2")

    assert on(machine, 8, 1) == Device("sda", Kind.SPINNING, "ext4", local=True)
    assert on(machine, 8, 2) == Device("sda", Kind.SPINNING, "xfs", local=True)
    assert not on(machine, 8, 1).likes_company


def test_flash_takes_several_readers(machine: Machine) -> None:
    machine.partition("nvme0n1p2", "259:2", machine.disk("nvme0n1", "259:0", "0"))

    assert on(machine, 259, 2).kind is Kind.FLASH
    assert on(machine, 259, 2).likes_company


def test_an_encrypted_volume_is_what_it_lies_on(machine: Machine) -> None:
    machine.partition("sda1", "8:1", machine.disk("sda", "8:0", "1"))
    machine.disk("dm-0", "253:0", "0", slaves=("sda1",))

    assert on(machine, 253, 0) == Device("sda", Kind.SPINNING, "rootfs", local=True)


@pytest.mark.parametrize(
    ("second", "kind"), [("0", Kind.FLASH), ("1", Kind.SPINNING)], ids=["flash", "turning"]
)
def test_an_array_is_as_slow_as_the_slowest_of_its_disks(
    machine: Machine, second: str, kind: Kind
) -> None:
    machine.disk("sda", "8:0", "0")
    machine.disk("sdb", "8:16", second)
    machine.disk("md0", "9:0", "0", slaves=("sda", "sdb"))

    assert on(machine, 9, 0) == Device("md0", kind, "rootfs", local=True)


@pytest.mark.parametrize(
    ("type_", "source"),
    [
        ("nfs4", "nas:/models"),
        ("cifs", "//nas/models"),
        ("fuse.sshfs", "me@nas:/models"),
        ("9p", "share"),
        ("virtiofs", "share"),
    ],
)
def test_a_share_is_one_device_for_each_server(machine: Machine, type_: str, source: str) -> None:
    machine.mount("0:50", "/models", type_, source)

    assert on(machine, 0, 50) == Device(source, Kind.NETWORK, type_)


def test_a_subvolume_of_btrfs_is_found_by_its_place(machine: Machine) -> None:
    """The number of its files stands in no table of mounts."""
    machine.mount("0:33", "/models", "btrfs", "/dev/does-not-exist")

    assert on(machine, 0, 77, "/models/loras/a") == Device(
        "/dev/does-not-exist", Kind.UNKNOWN, "btrfs"
    )


def test_what_lies_in_memory_takes_several_readers(machine: Machine) -> None:
    machine.mount("0:24", "/models", "tmpfs", "tmpfs")

    assert on(machine, 0, 24).likes_company


@pytest.mark.parametrize("name", ["vda", "xvdb"])
def test_a_disk_of_a_virtual_machine_that_says_it_turns_is_treated_kindly(
    machine: Machine, name: str
) -> None:
    machine.disk(name, "254:0", "1")

    assert on(machine, 254, 0) == Device(name, Kind.UNKNOWN, "rootfs", local=True)
    assert not on(machine, 254, 0).likes_company


def test_a_block_device_over_the_network_is_a_network(machine: Machine) -> None:
    machine.disk("nbd0", "43:0", "0")

    assert on(machine, 43, 0) == Device("nbd0", Kind.NETWORK, "rootfs")


def test_a_pool_of_zfs_is_one_device_and_treated_kindly(machine: Machine) -> None:
    machine.mount("0:60", "/models", "zfs", "tank/models")

    assert on(machine, 0, 60) == Device("tank", Kind.UNKNOWN, "zfs")


def test_a_place_with_blanks_is_found(machine: Machine) -> None:
    machine.mount("0:50", r"/my\040models", "nfs", r"nas:/my\040models")

    assert on(machine, 0, 50).key == "nas:/my models"


def test_a_number_that_another_disk_got_is_looked_up_again(machine: Machine) -> None:
    devices = machine.devices()
    machine.mount("0:50", "/models", "nfs", "nas:/a")
    before = devices.of(os.makedev(0, 50), Path("/models/a"))
    machine.table.pop()
    machine.mount("0:50", "/models", "tmpfs", "tmpfs")
    machine.now = 61.0

    assert before.kind is Kind.NETWORK
    assert devices.of(os.makedev(0, 50), Path("/models/a")).kind is Kind.MEMORY


def test_where_nothing_tells_nothing_is_claimed(tmp_path: Path) -> None:
    devices = Devices(tmp_path / "proc", tmp_path / "sys")

    assert devices.of(os.makedev(8, 1), Path("/a")).kind is Kind.UNKNOWN
