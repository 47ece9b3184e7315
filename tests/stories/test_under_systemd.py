"""The service under a real systemd, where one can be had: root, and systemd installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stories.daemon import Tree
from tests.stories.made import Want, drop

HERE = Path(__file__).parent

HUNG = """
import threading

class Backend:
    name = "hung"

    def search(self, reference):
        held = threading.Lock()
        held.acquire()
        held.acquire()

backend = Backend
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("systemd", "systemctl", "unshare"))),
    reason="needs root and systemd",
)


def told(tree: Tree, script: str) -> list[str]:
    """Return what *script* prints, which runs under a user manager of its own."""
    home = tree.base / "home" / ".config" / "comfywatchman"
    home.mkdir(parents=True)
    shutil.copy(tree.config, home / "config.toml")
    head = f'c() {{ "{sys.executable}" -m comfywatchman "$@" 2>/dev/null; }}\n{HELP}'
    within = ["unshare", "--mount", "--cgroup", "--propagation", "private"]
    process = subprocess.Popen(
        [*within, "sh", str(HERE / "under_systemd.sh"), str(tree.base), "sh", "-c", head + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tree.base,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode == 77:
        pytest.skip("this machine gives no namespaces for a systemd of our own")
    return out.splitlines()


HELP = """
unit=comfywatchman.service
get() { systemctl --user show $unit --property="$1" --value; }
until_() { for _ in $(seq 300); do [ "$(get "$1")" = "$2" ] && return; sleep 0.1; done; echo late; }
drop_in() {
    mkdir -p $HOME/.config/systemd/user/$unit.d
    printf '[Service]\\n%s\\n' "$1" > $HOME/.config/systemd/user/$unit.d/test.conf
    systemctl --user daemon-reload
}
"""


def test_a_service_is_installed_started_killed_restarted_stopped_and_removed(tree: Tree) -> None:
    lines = told(
        tree,
        """
        c service install; echo install $?
        drop_in RestartSec=0
        c service start; echo start $?; get ActiveState; get UnitFileState
        until_ StatusText "0 workflows, 0 ready"
        systemctl --user reload $unit; echo reload $?; until_ ActiveState active; get ActiveState
        before=$(get MainPID); kill -9 $before
        until_ NRestarts 1; until_ ActiveState active
        [ "$(get MainPID)" != "$before" ] && echo another
        c service restart; echo restart $?
        c service stop; echo stop $?; get Result
        c service uninstall; echo uninstall $?
        ls $HOME/.config/systemd/user/$unit 2>/dev/null || echo gone
        """,
    )

    assert lines == [
        *("install 0", "start 0", "active", "enabled", "reload 0", "active", "another"),
        *("restart 0", "stop 0", "success", "uninstall 0", "gone"),
    ]


@pytest.mark.trial
def test_wrong_settings_are_not_started_again_and_again(tree: Tree) -> None:
    lines = told(
        tree,
        """
        c service install
        drop_in RestartSec=0
        echo nonsense = 1 >> $HOME/.config/comfywatchman/config.toml
        c service start; echo start $?
        get ActiveState; get ExecMainStatus; get NRestarts
        """,
    )

    assert lines == ["start 3", "failed", "2", "0"]


@pytest.mark.trial
def test_a_process_that_hangs_is_started_again(tree: Tree) -> None:
    lines = told(
        tree,
        """
        c service install
        drop_in WatchdogSec=2
        c service start
        kill -STOP $(get MainPID)
        until_ NRestarts 1; until_ ActiveState active; get ActiveState
        """,
    )

    assert lines == ["active"]


@pytest.mark.trial
def test_a_thread_that_hangs_ends_the_process_and_its_stack_is_told(tree: Tree) -> None:
    (tree.base / "hung.py").write_text(HUNG)
    tree.asking = f'search_backends = ["{tree.base}/hung.py"]\ncatalog.manager_list = ""'
    tree.write_settings()
    drop(tree.workflows / "a.json", Want("missing.safetensors"))
    lines = told(
        tree,
        f"""
        c service install
        drop_in "WatchdogSec=6
StandardError=append:{tree.base}/log"
        c service start
        until_ NRestarts 1; get NRestarts
        """,
    )

    log = (tree.base / "log").read_text()
    assert lines == ["1"]
    assert "watchdog.withheld" in log
    assert "resolve has been stuck" in log
    assert "Fatal Python error: Aborted" in log
    assert "hung.py" in log


HANGS = """
import pathlib, threading, time

hung, going = set(), threading.Event()

def hang(frame, event, arg):
    if hung and threading.get_ident() in hung:
        going.wait()

def watch():
    while not pathlib.Path({flag!r}).exists():
        time.sleep(0.1)
    hung.update(each.ident for each in threading.enumerate() if each.name == {name!r})

threading.setprofile(hang)
threading.Thread(target=watch, daemon=True).start()

class Backend:
    name = "hung"

    def search(self, reference):
        return []

backend = Backend
"""


@pytest.mark.trial
@pytest.mark.parametrize("name", ["settle", "sweep", "APScheduler", "index"])
def test_whichever_thread_hangs_the_process_is_started_again(tree: Tree, name: str) -> None:
    """All of them without a systemd: tests/daemon/test_hung_threads.py."""
    flag = tree.base / "hang"
    (tree.base / "hung.py").write_text(HANGS.format(flag=str(flag), name=name))
    tree.asking = f'search_backends = ["{tree.base}/hung.py"]\ncatalog.manager_list = ""'
    tree.write_settings()
    model = tree.models / "loras/a.safetensors"
    lines = told(
        tree,
        f"""
        c service install
        drop_in "WatchdogSec=6
StandardError=append:{tree.base}/log"
        c service start
        touch {flag}; sleep 0.5; echo x > {model}
        until_ NRestarts 1; get NRestarts
        rm {flag}
        """,
    )

    log = (tree.base / "log").read_text()
    assert lines == ["1"]
    assert f"{name} has been stuck" in log
    assert "Fatal Python error: Aborted" in log
    assert "in hang" in log


SYSTEM = """
umount -l /old
useradd --create-home user || exit
way={python}; while [ "$way" != / ]; do way=$(dirname "$way"); chmod a+x "$way"; done
home=/home/user
mkdir -p $home/ComfyUI/models/loras $home/ComfyUI/user/default/workflows
touch $home/ComfyUI/main.py $home/ComfyUI/folder_paths.py
mkdir -p $home/.config/comfywatchman
cat > $home/.config/comfywatchman/config.toml <<TOML
comfyui_root = "$home/ComfyUI"
search_backends = ["workflow"]
comfyui.url = ""
http.listen = "127.0.0.1:0"
TOML
chmod 600 $home/.config/comfywatchman/config.toml
chown -R user: $home
c() {{ {program} -m comfywatchman "$@" --system --user-name user >/dev/null 2>&1; }}
unit=comfywatchman@user.service
get() {{ systemctl show $unit --property="$1" --value; }}
c service install; echo install $?
c service start; echo start $?; get ActiveState
ls /var/lib/comfywatchman/user/comfywatchman.sqlite3
echo '{{"nodes": [], "links": []}}' > $home/ComfyUI/user/default/workflows/a.json
for _ in $(seq 200); do
    case "$(get StatusText)" in "1 workflows"*) echo seen; break;; esac
    sleep 0.1
done
inside() {{ nsenter --target $(get MainPID) --mount -- sh -c "$1" 2>/dev/null && echo "can: $1"; }}
inside "touch $home/ComfyUI/models/loras/x"
inside "touch /var/lib/comfywatchman/user/x"
for place in $home $home/ComfyUI /etc /usr /var/lib; do inside "touch $place/x"; done
grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/$(get MainPID)/status
c service stop; echo stop $?; get Result
c service uninstall; echo uninstall $?
ls /etc/systemd/system/comfywatchman* 2>/dev/null || echo gone
"""


@pytest.mark.trial
def test_the_system_unit_runs_in_its_sandbox(tmp_path: Path) -> None:
    """It may write where models are placed and its state, and nowhere else."""
    real = os.path.realpath(sys.executable)
    (tmp_path / "job.sh").write_text(SYSTEM.format(python=real, program=sys.executable))
    within = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--propagation", "private"]
    line = [*within, "--kill-child", "sh", str(HERE / "under_system_systemd.sh"), str(tmp_path)]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(100)
    finally:
        process.kill()
        process.wait()
    if process.returncode == 77:
        pytest.skip("this machine gives no namespaces for a systemd of our own")

    lines = [line.split("\t") for line in (tmp_path / "job.log").read_text().splitlines()]
    assert [" ".join(words) for words in lines] == [
        *("install 0", "start 0", "active"),
        *("/var/lib/comfywatchman/user/comfywatchman.sqlite3", "seen"),
        "can: touch /home/user/ComfyUI/models/loras/x",
        "can: touch /var/lib/comfywatchman/user/x",
        *("CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"),
        *("stop 0", "success", "uninstall 0", "gone"),
    ]
