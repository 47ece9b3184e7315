"""Archives that hold pickles: torch's zip format. Nothing is unpacked to a disk."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from comfywatchman.disk.heads.pickles import Pickled, read_pickles
from comfywatchman.disk.heads.values import Head, Import, Member, Scan, Tensor

MOST_DIRECTORY = 16 << 20
"""Bytes of the table of contents; a checkpoint of a thousand tensors has 60 kB."""

_MOST_MEMBERS = 10_000
"""Members that are told; those of a real checkpoint are one for each tensor."""
_MOST_PICKLES = 16
_MOST_PEEKS = 4096
_END = b"PK\x05\x06"
_END_BYTES = 22
_TAIL = (64 << 10) + _END_BYTES

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    NotImplementedError,
    OverflowError,
    EOFError,
    RuntimeError,  # encrypted
)


def table_size(file: BinaryIO, size: int) -> int | None:
    """Return the length of the table of contents; ``None`` where the file ends before it."""
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    record = tail.rfind(_END)
    if record < 0 or len(tail) - record < _END_BYTES:
        return None
    return int.from_bytes(tail[record + 12 : record + 16], "little")


def head(file: BinaryIO, size: int) -> Head:
    """Return members, tensors and imports of an archive."""
    table = table_size(file, size)
    if table is None:
        return Head("zip", problem="it ends before its table of contents")
    if table > MOST_DIRECTORY:
        return Head("zip", warnings=("a table of contents this large was not read",))
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return Head("zip", problem="its table of contents cannot be read")


def _read(archive: zipfile.ZipFile) -> Head:
    infos = archive.infolist()
    members = tuple(Member(info.filename[:1024], info.file_size) for info in infos[:_MOST_MEMBERS])
    pickles = [info for info in infos if _is_pickle(info)]
    torch = bool(pickles)
    # A pickle under another name is one as well; torch loads only data.pkl, other readers do not.
    pickles += [
        info for info in infos[:_MOST_PEEKS] if not _is_pickle(info) and _hides(archive, info)
    ]
    scans: list[Scan] = []
    tensors: tuple[Tensor, ...] = ()
    for info in pickles[:_MOST_PICKLES]:
        found = _pickled(archive, info)
        scans.append(found.scan)
        tensors = tensors or found.tensors
    if len(pickles) > _MOST_PICKLES:
        scans.append(Scan(0, error=f"{len(pickles)} pickles, of which {_MOST_PICKLES} were read"))
    return Head(
        "torch-zip" if torch else "zip",
        tensors,
        members=members,
        member_count=len(infos),
        scan=_together(scans) if scans else None,
        facts=_facts(archive, infos),
    )


def _is_pickle(info: zipfile.ZipInfo) -> bool:
    return PurePosixPath(info.filename).suffix.lower() in {".pkl", ".pickle"}


def _hides(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether a member of another name begins as a pickle does, and reads on as one."""
    if not info.file_size >= 2 or info.is_dir() or _is_weights(info):
        return False
    try:
        with archive.open(info) as member:
            begins = member.read(4)
    except (*_BROKEN, OSError):
        return False
    return begins[:1] == b"\x80" and len(begins) > 2 and begins[1] <= 5 and begins[2:3] in _FIRST


_FIRST = frozenset(bytes([code]) for code in b"}]()c\x8c\x95X\x8a\x8f")
"""What follows the protocol in a pickle of anything but a bare number."""


def _is_weights(info: zipfile.ZipInfo) -> bool:
    """Whether it is where torch keeps raw numbers, which may begin with any bytes."""
    parts = PurePosixPath(info.filename).parts
    return len(parts) >= 2 and parts[-2] == "data" and parts[-1].isdigit()


def _pickled(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Pickled:
    try:
        with archive.open(info) as member:
            return read_pickles(cast("BinaryIO", member))
    except (*_BROKEN, OSError) as error:
        return Pickled(Scan(0, error=f"{info.filename[:200]} cannot be read: {str(error)[:200]}"))


def _together(scans: list[Scan]) -> Scan:
    imports: dict[Import, None] = {}
    for scan in scans:
        imports.update(dict.fromkeys(scan.imports))
    errors = [scan.error for scan in scans if scan.error]
    return Scan(
        sum(scan.pickles for scan in scans),
        tuple(imports),
        "; ".join(errors)[:1000] if errors else None,
        any(scan.trailing for scan in scans),
    )


def _facts(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> dict[str, str]:
    for info in infos:
        if PurePosixPath(info.filename).name == "version" and info.file_size <= 16:
            try:
                return {"torch_version": archive.read(info).decode("ascii", "replace").strip()}
            except (*_BROKEN, OSError):
                return {}
    return {}
