from __future__ import annotations

import json
from pathlib import Path

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Measured
from comfywatchman.domain.messages import DownloadQuarantined, ModelPlaced
from comfywatchman.report.audit import FILE, AuditLog

MEASURED = Measured(3, "ab" * 32)


def lines(directory: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (directory / FILE).read_bytes().splitlines()]


def test_what_is_done_to_the_disk_is_one_line_each(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path)
    audit.observe(ModelPlaced("loras", "a.gguf", Path("/m/loras/a.gguf"), MEASURED, "workflow"))
    audit.observe(
        ModelPlaced(
            "vae", "a.gguf", Path("/m/vae/a.gguf"), MEASURED, "local", Path("/m/loras/a.gguf")
        )
    )
    audit.observe(
        DownloadQuarantined("loras", "b", Path("/m/loras/q/b"), Trouble("c", "other bytes", "r"))
    )

    found = lines(tmp_path)
    assert [line["what"] for line in found] == ["placed", "placed", "quarantined"]
    assert [line["path"] for line in found][:2] == ["/m/loras/a.gguf", "/m/vae/a.gguf"]
    assert found[0]["sha256"] == MEASURED.sha256
    assert found[1]["result"] == "linked to /m/loras/a.gguf"
    assert all(line["who"] and line["timestamp"].endswith("Z") for line in found)


def test_the_file_is_ours_alone_and_only_grows(tmp_path: Path) -> None:
    AuditLog(tmp_path).note("asked: sweep", None, None, "accepted")
    AuditLog(tmp_path).note("asked: sweep", None, None, "accepted")

    assert len(lines(tmp_path)) == 2
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_name_that_is_not_utf8_is_one_whole_line(tmp_path: Path) -> None:
    AuditLog(tmp_path).note("placed", Path("/m/\udcff\n.pt"), None, "from\nworkflow")

    assert len(lines(tmp_path)) == 1


def test_a_disk_that_refuses_the_line_stops_nothing(tmp_path: Path) -> None:
    AuditLog(tmp_path / "absent").note("asked: sweep", None, None, "accepted")

    assert not (tmp_path / "absent").exists()
