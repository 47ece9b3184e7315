from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]

LONG_MODULES: dict[str, str] = {
    "tests/download/test_http_fetch.py": "one table of what servers do wrong, for one handler",
    "tests/watch/test_watcher.py": "one real watcher, each row of the kernel's behavior once",
}
"""Module -> why it is one thought although it passes 400 lines."""

# Written so that they do not find themselves.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~])/(?:(?:work|farm)/|(?:root)/)|(?<![\w.])/home/(?!(?:user|you|me)\b)\w"
)
REGISTRY_HOSTS = re.compile(r"(?:pypi|pythonhosted|npmjs)\.(?:org|com)|registry\.(?:npm|yarn)")


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files of the repository; those of a source archive where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return tuple(ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    places = ("comfywatchman", "docs", "tests", "systemd", "launchd", "scripts")
    return tuple(file for place in places for file in sorted((ROOT / place).rglob("*")))


def texts() -> Iterator[tuple[Path, str]]:
    for file in tracked():
        if file.is_file() and file.suffix not in {".png", ".webp", ".svg", ".pyc"}:
            try:
                yield file, file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert found(MACHINE_PATHS) == []
    if len(ROOT.parts) > 3:  # a short one, such as /app, may be meant
        assert found(re.compile(re.escape(f"{ROOT}/"))) == []


def test_no_file_names_a_package_registry() -> None:
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    hosts = {host.rpartition("@")[2] for host in re.findall(r"https?://([^/ \"']+)", configured)}
    patterns = [REGISTRY_HOSTS, *(re.compile(re.escape(host)) for host in sorted(hosts))]

    assert [line for pattern in patterns for line in found(pattern)] == []


def markdown() -> list[Path]:
    return [file for file in tracked() if file.suffix == ".md" and file.is_file()]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(file: Path) -> set[str]:
    """Return what a forge makes of the headings."""
    titles = re.findall(r"^#+ (.+)$", without_code(file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", markdown(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_relative_link_has_a_target(file: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(file.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (file.parent / name).resolve() if name else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_import_contract_is_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_stay_one_thought_long() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(text.splitlines())
        for file, text in texts()
        if file.suffix == ".py"
    }

    too_long = {name: count for name, count in lengths.items() if count > 400}
    assert set(too_long) == set(LONG_MODULES), too_long


def test_ignored_warnings_have_a_code_and_a_reason() -> None:
    marks = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b(?!: [A-Z]+\d+.*\s\S|\[[\w, -]+\]\s+\S)")

    assert [line for line in found(marks) if line.split(":")[0].endswith(".py")] == []


def test_dependencies_are_pinned_without_saying_from_where() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+(; .+)?", pin)] == []
    assert len({pin.partition("==")[0].lower() for pin in pins}) == len(pins)


def test_everything_the_project_asks_for_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["demo"],
        *project["build-system"]["requires"],
        *(each for group in project["dependency-groups"].values() for each in group),
    ]
    names = {re.split(r"[<>=!~;\[ ]", each)[0].lower() for each in asked if isinstance(each, str)}
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }

    assert {name.replace("_", "-") for name in names} <= {pin.replace("_", "-") for pin in pinned}


def test_every_decision_is_listed_and_answers_the_five_questions() -> None:
    decisions = ROOT / "docs" / "decisions"
    listed = (decisions / "README.md").read_text("utf-8")

    for file in decisions.glob("[0-9]*.md"):
        text = file.read_text("utf-8")
        assert f"({file.name})" in listed
        for part in ("**Question.**", "**Chosen.**", "**Otherwise.**", "**Cost.**", "**Ask again"):
            assert part in text, (file.name, part)
