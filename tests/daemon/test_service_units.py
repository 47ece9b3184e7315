"""The units and the agent: what is in them, and what systemd itself says of them."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comfywatchman.daemon.service.command import Started, cover, interpreter, run_line
from comfywatchman.daemon.service.doing import Doing, Done, is_ours, marked
from comfywatchman.daemon.service.launchd import Launchd
from comfywatchman.daemon.service.systemd import Systemd
from comfywatchman.daemon.service.units import (
    TEMPLATE,
    UNIT,
    agent,
    command_line,
    is_current,
    shipped,
    system_unit,
    user_unit,
)
from comfywatchman.domain.errors import NameTaken, ServiceUnavailable

ROOT = Path(__file__).parents[2]
STARTED = Started((sys.executable, "-I", "-m", "comfywatchman", "run"), (Path("/srv/models"),))

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


@pytest.mark.parametrize("name", shipped())
def test_the_file_that_is_copied_by_hand_is_the_one_the_code_makes(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == shipped()[name]


def checked(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_PAGER": ""}
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, env=environ, check=False
    )


@analyze
@pytest.mark.parametrize("by_hand", [True, False], ids=["shipped", "installed"])
@pytest.mark.parametrize("name", [UNIT, TEMPLATE])
def test_systemd_has_nothing_to_say_of_a_unit(tmp_path: Path, name: str, by_hand: bool) -> None:
    made = user_unit(STARTED) if name == UNIT else system_unit(STARTED)
    file = tmp_path / name
    file.write_text(shipped()[f"systemd/{name}"] if by_hand else made)
    manager = ("--user",) if name == UNIT else ()
    done = checked(*manager, "verify", str(file), runtime=tmp_path)

    # It ends with 0 where it does not know a key.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@analyze
def test_the_system_unit_is_exposed_as_little_as_promised(tmp_path: Path) -> None:
    file = tmp_path / TEMPLATE
    file.write_text(system_unit(STARTED))
    done = checked("security", "--offline=true", "--threshold=12", str(file), runtime=tmp_path)

    assert done.returncode == 0, done.stdout


@analyze
def test_the_user_unit_needs_no_mount_namespace_and_is_hardened_all_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / UNIT
    file.write_text(user_unit(STARTED))
    done = checked("security", "--offline=true", "--threshold=65", str(file), runtime=tmp_path)

    assert done.returncode == 0, done.stdout
    keys = {line.partition("=")[0] for line in file.read_text().splitlines()}
    assert not keys & {"ProtectSystem", "ProtectHome", "PrivateTmp", "ReadWritePaths"}


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("/opt/a.py", "/opt/a.py"),
        ("/home/me/100%", "/home/me/100%%"),  # specifiers
        ("/a b/c", '"/a b/c"'),
        ("$HOME", "$$HOME"),  # a variable
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
        ("a;b", '"a;b"'),
        ("two\nlines", '"two\\nlines"'),
        (os.fsdecode(b"/caf\xe9"), '"/caf\\xe9"'),  # no UTF-8
    ],
)
def test_an_argument_means_itself_to_systemd(argument: str, written: str) -> None:
    assert command_line(["/bin/x", argument]) == f"/bin/x {written}"


def test_where_models_go_may_have_any_name() -> None:
    started = Started(("/bin/x",), (Path("/a b"), Path('/q"r'), Path("/100%"), Path("/two\nlines")))
    lines = [line for line in system_unit(started).splitlines() if line.startswith("ReadWrite")]

    assert lines == [
        'ReadWritePaths="-/a b"',
        'ReadWritePaths="-/q\\"r"',
        "ReadWritePaths=-/100%%",
    ]


def test_tokens_come_as_credentials_and_stand_in_no_unit() -> None:
    assert {"LoadCredential=hf_token", "LoadCredential=civitai_token"} <= set(
        system_unit(STARTED).splitlines()
    )
    assert "Environment" not in user_unit(STARTED) + system_unit(STARTED)


def test_the_agent_is_a_quiet_guest_and_starts_no_failure_for_ever(tmp_path: Path) -> None:
    found = plistlib.loads(agent(STARTED, tmp_path / "log").encode())

    assert found["ProgramArguments"] == list(STARTED.arguments)
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["LowPriorityIO"] is True
    assert found["LowPriorityBackgroundIO"] is True
    assert found["ProcessType"] == "Background"
    assert found["ThrottleInterval"] >= 10
    assert found["ExitTimeOut"] >= 10
    assert found["StandardErrorPath"] == str(tmp_path / "log")
    assert "EnvironmentVariables" not in found


def test_this_python_is_started_by_the_name_of_its_environment(tmp_path: Path) -> None:
    line = run_line(tmp_path / "config.toml", None)

    assert line[0] == sys.executable
    assert line[-2:] == ("--config", str(tmp_path / "config.toml"))
    done = subprocess.run(
        [*interpreter(), "-m", "comfywatchman", "--version"], capture_output=True, check=False
    )
    assert done.returncode == 0


def test_a_directory_below_another_is_not_named_twice() -> None:
    assert cover([Path("/m/loras"), Path("/m"), Path("/mm")]) == (Path("/m"), Path("/mm"))


def test_a_unit_of_another_version_is_known_by_its_text() -> None:
    assert is_current(user_unit(STARTED), system=False)
    assert is_current(system_unit(STARTED), system=True)
    assert not is_current(user_unit(STARTED).replace("Nice=10", "Nice=9"), system=False)


# -- what is done


class Calls:
    """Stands for systemctl and launchctl; says yes but to what begins with a word of *no*."""

    def __init__(self, *no: str) -> None:
        self.no = no
        self.lines: list[str] = []

    def __call__(self, arguments: object) -> Done:
        assert isinstance(arguments, (list, tuple))
        line = " ".join(arguments)
        self.lines.append(line)
        if any(word in line for word in self.no):
            return Done(1, err="Failed to connect to bus:\nNo medium found\n")
        return Done(0, out="LoadState=loaded\nActiveState=active\nMainPID=7\nStatusText=a=b\n")


def test_a_unit_is_written_enabled_and_removed_again(tmp_path: Path) -> None:
    calls = Calls()
    systemd = Systemd(calls, tmp_path / "units")
    systemd.install(Doing(calls), STARTED)
    first = calls.lines.copy()
    there = systemd.file.read_text()
    systemd.uninstall(Doing(calls))

    assert is_ours(there)
    assert [line.split()[-1] for line in first] == ["daemon-reload", UNIT]
    assert "disable --now" in calls.lines[2]
    assert not systemd.file.exists()
    assert list((tmp_path / "units").iterdir()) == []


def test_a_dry_run_changes_nothing_and_says_everything(tmp_path: Path) -> None:
    calls = Calls()
    doing = Doing(calls, dry=True)
    Systemd(calls, tmp_path / "units", "alice").install(doing, STARTED)

    assert calls.lines == []
    assert list(tmp_path.iterdir()) == []
    assert len(doing.said) == 3
    assert "comfywatchman@alice.service" in doing.said[2]


@pytest.mark.parametrize("what", ["foreign", "changed", "link"])
def test_a_unit_that_is_not_as_we_wrote_it_stays(tmp_path: Path, what: str) -> None:
    calls = Calls()
    systemd = Systemd(calls, tmp_path)
    systemd.install(Doing(calls), STARTED)
    calls.lines.clear()
    if what == "link":  # as `systemctl mask` makes it
        systemd.file.unlink()
        systemd.file.symlink_to("/dev/null")
    else:
        systemd.file.write_text("[Service]\n" if what == "foreign" else _edited(systemd.file))

    with pytest.raises(NameTaken):
        systemd.install(Doing(calls), Started(("/bin/other",)))
    with pytest.raises(NameTaken):
        systemd.uninstall(Doing(calls))
    assert calls.lines == []  # nothing was stopped either
    assert os.path.lexists(systemd.file)


def _edited(file: Path) -> str:
    return file.read_text().replace("Nice=10", "Nice=0")


def test_an_older_unit_of_ours_gives_way(tmp_path: Path) -> None:
    systemd = Systemd(Calls(), tmp_path)
    systemd.file.write_text(marked("[Service]\nExecStart=/old\n"))
    doing = Doing(Calls())
    systemd.install(doing, STARTED)
    again = Doing(Calls())
    systemd.install(again, STARTED)

    assert systemd.file.read_text() == user_unit(STARTED)
    assert doing.said[0].startswith("Wrote")
    assert again.said[0].endswith("is as it should be.")


def test_where_systemd_cannot_be_asked_nothing_is_written(tmp_path: Path) -> None:
    systemd = Systemd(Calls("show"), tmp_path)

    with pytest.raises(ServiceUnavailable) as met:
        systemd.check()
    assert "No medium found" in met.value.cause
    assert "XDG_RUNTIME_DIR" in met.value.remedy


def test_what_is_not_installed_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="not installed"):
        Systemd(Calls(), tmp_path).change(Doing(Calls()), "start")


def test_how_a_unit_stands_is_read_from_its_properties(tmp_path: Path) -> None:
    found = Systemd(Calls(), tmp_path).standing()

    assert (found.installed, found.running, found.pid, found.status) == (True, True, 7, "a=b")
    assert (found.enabled, found.restarts) == (False, None)


def test_an_agent_is_written_loaded_and_removed_again(tmp_path: Path) -> None:
    calls = Calls()
    launchd = Launchd(calls, tmp_path, 501)
    launchd.install(Doing(calls), STARTED)
    launchd.change(Doing(calls), "restart")
    there = launchd.file.read_text()
    launchd.uninstall(Doing(calls))

    assert is_ours(there)
    assert plistlib.loads(there.encode())["Label"] == "io.comfywatchman.agent"
    assert "launchctl enable gui/501/io.comfywatchman.agent" in calls.lines
    assert f"launchctl bootstrap gui/501 {launchd.file}" in calls.lines
    assert not launchd.file.exists()
