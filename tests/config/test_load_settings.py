from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from comfywatchman.config import Settings, load, rows, settings_path
from comfywatchman.config.load import KEYS
from comfywatchman.domain.errors import SettingsInvalid
from tests.config.writing import Write


def wrong(file: Path | None, environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsInvalid) as raised:
        load({}, environ, file)
    return raised.value.cause


def test_an_empty_file_gives_the_defaults(write: Write, home: Mapping[str, str]) -> None:
    loaded = load({}, home, write(""))

    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.troubles == ()


def test_every_key_of_the_contract_is_there() -> None:
    assert {
        "comfyui_root",
        "workflow_dirs",
        "model_directories",
        "search_backends",
        "watch.settle_seconds",
        "watch.sweep_minutes",
        "watch.polling",
        "watch.polling_seconds",
        "inventory.hash",
        "inventory.hash_workers",
        "inventory.yield_to_comfyui",
        "inventory.scrub_days",
        "download.auto",
        "download.concurrency",
        "download.per_host",
        "download.max_retries",
        "download.stall_seconds",
        "download.bandwidth_limit",
        "download.min_free_bytes",
        "download.max_bytes",
        "download.allowed_hosts",
        "download.insecure_hosts",
        "download.allow_pickle",
        "download.quarantine_days",
        "cache.search_hours",
        "cache.metadata_days",
        "cache.negative_hours",
        "http.listen",
        "http.token_file",
        "log.format",
        "log.level",
        "log.file",
        "hubs.civitai.endpoint",
        "hubs.huggingface.endpoint",
        "comfyui.url",
        "comfyui.verify_placement",
        "comfyui.refresh",
        "notify.webhooks",
        "notify.urls",
        "state.url",
    } <= set(KEYS)


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(
    write: Write, home: Mapping[str, str]
) -> None:
    file = write("[download]\nconcurrency = 4\nper_host = 4\nmax_retries = 4\n")
    environ = {
        **home,
        "COMFYWATCHMAN_DOWNLOAD__CONCURRENCY": "5",
        "COMFYWATCHMAN_DOWNLOAD__PER_HOST": "5",
    }

    loaded = load({"download.concurrency": 6, "download.per_host": None}, environ, file)

    download = loaded.settings.download
    assert (download.concurrency, download.per_host, download.max_retries) == (6, 5, 4)
    assert [
        loaded.origins[f"download.{key}"]
        for key in ("concurrency", "per_host", "max_retries", "auto")
    ] == ["flag", "environment COMFYWATCHMAN_DOWNLOAD__PER_HOST", f"file {file}", "default"]


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("COMFYWATCHMAN_COMFYUI_ROOT", "/data/ComfyUI", "comfyui_root", "/data/ComfyUI"),
        ("COMFYUI_ROOT", "/data/ComfyUI", "comfyui_root", "/data/ComfyUI"),
        ("COMFYWATCHMAN_WORKFLOW_DIRS", "a, b,", "workflow_dirs", ["a", "b"]),
        ("COMFYWATCHMAN_WORKFLOW_DIRS", '["a,1", "b"]', "workflow_dirs", ["a,1", "b"]),
        ("COMFYWATCHMAN_DOWNLOAD__INSECURE_HOSTS", "", "download.insecure_hosts", []),
        (
            "COMFYWATCHMAN_MODEL_DIRECTORIES",
            '[{"type": "lora", "path": "x"}]',
            "model_directories",
            [{"type": "lora", "path": "x"}],
        ),
        ("COMFYWATCHMAN_WATCH__SETTLE_SECONDS", "0.5", "watch.settle_seconds", 0.5),
        ("COMFYWATCHMAN_WATCH__SETTLE_SECONDS", "3", "watch.settle_seconds", 3),
        ("COMFYWATCHMAN_INVENTORY__YIELD_TO_COMFYUI", "off", "inventory.yield_to_comfyui", False),
        ("COMFYWATCHMAN_DOWNLOAD__BANDWIDTH_LIMIT", "20MB", "download.bandwidth_limit", 20_000_000),
        ("COMFYWATCHMAN_DOWNLOAD__MIN_FREE_BYTES", "1GiB", "download.min_free_bytes", 2**30),
        ("COMFYWATCHMAN_DOWNLOAD__MAX_BYTES", "1024", "download.max_bytes", 1024),
        ("COMFYWATCHMAN_HTTP__LISTEN", "", "http.listen", ""),
        ("COMFYWATCHMAN_COMFYUI__URL", "", "comfyui.url", ""),
        ("COMFYWATCHMAN_COMFYUI__URL", "http://gpu:8188/", "comfyui.url", "http://gpu:8188"),
        ("COMFYWATCHMAN_COMFYUI__PROBE_SECONDS", "5", "comfyui.probe_seconds", 5),
        ("COMFYWATCHMAN_LOG__FILE", "", "log.file", None),
        ("HF_ENDPOINT", "https://mirror.example/", "hubs.huggingface.endpoint",
         "https://mirror.example"),
        ("COMFYWATCHMAN_HUBS__CIVITAI__ENDPOINT", "http://127.0.0.1:1", "hubs.civitai.endpoint",
         "http://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_a_variable_sets_its_key(
    write: Write, home: Mapping[str, str], variable: str, text: str, key: str, value: object
) -> None:
    loaded = load({}, {**home, variable: text}, write(""))

    row = next(row for row in rows(loaded) if row.key == key)
    assert (row.value, row.origin) == (value, f"environment {variable}")


def test_every_key_has_a_variable_of_its_own() -> None:
    variables = {key.variable for key in KEYS.values()}

    assert len(variables) == len(KEYS)
    assert "COMFYWATCHMAN_CONFIG" not in variables


def test_our_own_variable_goes_before_that_of_another_program(
    write: Write, home: Mapping[str, str]
) -> None:
    environ = {**home, "COMFYUI_ROOT": "/theirs", "COMFYWATCHMAN_COMFYUI_ROOT": "/ours"}

    assert load({}, environ, write("")).settings.comfyui_root == Path("/ours")


def test_all_mistakes_are_told_at_once(write: Write, home: Mapping[str, str]) -> None:
    file = write(
        """
        comfyui_rot = "/x"
        watch = 3
        model_directories = [{ type = "lora" }, { type = 1, path = "y", pth = "z" }]
        [download]
        concurrency = "lots"
        bandwith = 1
        auto = "exactly"
        max_retries = 1000
        allowed_hosts = ["https://x/", "ok.example"]
        min_free_bytes = "5 potatoes"
        [inventory]
        yield_to_comfyui = 1
        [hubs.civitay]
        endpoint = "ftp://x"
        [http]
        listen = "everywhere"
        """
    )

    cause = wrong(file, {**home, "COMFYWATCHMAN_WATCH__SETTLE_SECONDS": "soon"})

    for told in (
        "comfyui_rot: unknown key, the nearest is comfyui_root",
        "watch: expected a table, [watch]",
        "model_directories[0].path: is missing",
        "model_directories[1].type: expected a text, got 1",
        "model_directories[1].pth: unknown key, the nearest is path",
        'download.concurrency: expected a whole number from 1 to 32, got "lots"',
        "download.bandwith: unknown key, the nearest is download.bandwidth_limit",
        'download.auto: expected one of proven, exact, ask, off, got "exactly"',
        "download.max_retries: expected a whole number from 0 to 100, got 1000",
        "download.allowed_hosts[0]: expected a host name without scheme, port or path",
        "download.min_free_bytes: expected a size",
        "inventory.yield_to_comfyui: expected true or false, got 1",
        "hubs.civitay: unknown key, the nearest is hubs.civitai",
        'http.listen: expected HOST:PORT, or "" for off, got "everywhere"',
        "watch.settle_seconds (COMFYWATCHMAN_WATCH__SETTLE_SECONDS): expected a number",
    ):
        assert told in cause
    assert len(cause.splitlines()) == 16


@pytest.mark.parametrize(
    "text",
    [
        "[download]\nconcurrency = true\n",
        "[download]\nconcurrency = 2.0\n",
        "[watch]\nsettle_seconds = nan\n",
        "[watch]\nsettle_seconds = inf\n",
        "[watch]\nsettle_seconds = false\n",
        "[download]\nallowed_hosts = 'civitai.com'\n",
        "[log]\nfile = ''\n",
        "[http]\nlisten = '127.0.0.1:99999'\n",
        "[http]\nlisten = '::1:80'\n",
        "[comfyui]\nurl = 'http://host:port'\n",
        "[comfyui]\nurl = 'off'\n",
        "[comfyui]\nprobe_seconds = 0\n",
        "search_backends = ['civitia']\n",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(
    write: Write, home: Mapping[str, str], text: str
) -> None:
    key = text.split("=", maxsplit=1)[0].rsplit(maxsplit=1)[-1]

    assert key in wrong(write(text), home)


def test_an_unknown_variable_names_the_nearest(write: Write, home: Mapping[str, str]) -> None:
    cause = wrong(write(""), {**home, "COMFYWATCHMAN_DOWNLOAD__CONCURENCY": "3"})

    assert "COMFYWATCHMAN_DOWNLOAD__CONCURRENCY" in cause


def test_broken_toml_is_told_with_its_line(write: Write, home: Mapping[str, str]) -> None:
    cause = wrong(write("a = 1\n[watch\n"), home)

    assert "config.toml" in cause
    assert "line 2" in cause


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(
    write: Write, home: Mapping[str, str], mode: int
) -> None:
    assert "chmod go-w" in wrong(write("", mode), home)


@pytest.mark.parametrize(
    "text",
    [
        "[hubs.civitai]\ntoken = 'hidden-words'\n",
        "[state]\nurl = 'postgresql://a:hidden-words@h/d'\n",
        "[notify]\nurls = ['ntfy://hidden-words']\n",
        "[notify]\nwebhooks = [{ url = 'https://chat.example/hidden-words' }]\n",
    ],
)
def test_a_secret_in_a_file_that_everybody_reads_is_refused_and_never_shown(
    write: Write, home: Mapping[str, str], text: str
) -> None:
    refused = wrong(write(text, 0o644), home)
    loaded = load({}, home, write(text, 0o640))

    assert "may be read by everybody" in refused
    for told in (refused, repr(loaded), json.dumps([row.value for row in rows(loaded)])):
        assert "hidden-words" not in told


@pytest.mark.parametrize(
    "text",
    [
        "[hubs.civitai]\ntoken = 'hidden words'\n",
        "[hubs.civitai]\ntoken = ['hidden-words']\n",
        "[hubs.civitai]\nendpoint = 'https://me:hidden-words@civitai.com'\n",
        "[notify]\nurls = 'hidden-words'\n",
        "[notify]\nwebhooks = [{ url = 7, key = 'hidden-words' }]\n",
        "[hubs.civitai]\napi_key = 'hidden-words'\n",
    ],
)
def test_a_mistake_beside_a_secret_does_not_tell_it(
    write: Write, home: Mapping[str, str], text: str
) -> None:
    cause = wrong(write(text), home)

    assert "hidden" not in cause


def test_the_named_file_must_exist_and_the_usual_one_need_not(
    tmp_path: Path, home: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing-here"))
    absent = tmp_path / "absent.toml"

    assert load({}, home, None).path is None
    assert "absent.toml" in wrong(absent, home)
    assert "absent.toml" in wrong(None, {**home, "COMFYWATCHMAN_CONFIG": str(absent)})


def test_the_file_is_the_flag_then_the_variable_then_systemds_then_the_usual_place(
    tmp_path: Path, home: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    etc = tmp_path / "etc"
    etc.mkdir()
    environ = {**home, "CONFIGURATION_DIRECTORY": f"{tmp_path / 'none'}:{etc}"}

    usual = settings_path(environ, None)
    (etc / "config.toml").touch()

    assert usual.name == "config.toml"
    assert usual.parent.name == "comfywatchman"
    assert settings_path(environ, None) == etc / "config.toml"
    named = {**environ, "COMFYWATCHMAN_CONFIG": "~/mine.toml"}
    assert settings_path(named, None) == tmp_path / "home" / "mine.toml"
    assert settings_path(named, tmp_path / "flag.toml") == tmp_path / "flag.toml"


def test_the_state_directory_is_the_settings_then_systemds(
    write: Write, home: Mapping[str, str]
) -> None:
    environ = {**home, "STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}

    given = load({}, environ, write(""))
    set_ = load({}, environ, write("[state]\ndirectory = '/mine'\n"))

    assert given.settings.state.directory == Path("/var/lib/one")
    assert given.origins["state.directory"] == "environment STATE_DIRECTORY"
    assert set_.settings.state.directory == Path("/mine")
    assert load({}, home, write("")).settings.state.directory.is_absolute()


def test_relative_paths_mean_the_file_the_current_directory_or_comfyui(
    write: Write, home: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    file = write(
        "comfyui_root = '~/ComfyUI'\nworkflow_dirs = ['flows', '~/more']\n"
        "model_directories = [{ type = 'lora', path = '~/loras' }]\n[log]\nfile = 'a.log'\n"
    )
    environ = {**home, "COMFYWATCHMAN_HTTP__TOKEN_FILE": "token"}

    settings = load({}, environ, file).settings
    flagged = load({"workflow_dirs": (Path("flows"),)}, environ, file).settings

    assert settings.comfyui_root == tmp_path / "home" / "ComfyUI"
    assert settings.workflow_dirs == (Path("flows"), tmp_path / "home" / "more")
    assert settings.model_directories[0].path == tmp_path / "home" / "loras"
    assert settings.log.file == tmp_path / "a.log"
    assert settings.http.token_file == tmp_path.parent / "token"
    assert flagged.workflow_dirs == (tmp_path.parent / "flows",)


def test_hosts_are_kept_in_one_spelling_and_once(write: Write, home: Mapping[str, str]) -> None:
    settings = load(
        {},
        home,
        write(
            "[download]\nallowed_hosts = ['.HF.co', '*.hf.co', 'x.example.']\n"
            "insecure_hosts = ['127.0.0.1:80', 'Nas', '[::1]:8080']\n"
        ),
    ).settings

    assert settings.download.allowed_hosts == ("hf.co", "x.example")
    assert settings.download.insecure_hosts == ("127.0.0.1:80", "nas", "[::1]:8080")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_we_may_not_read_is_told(write: Write, home: Mapping[str, str]) -> None:
    assert "cannot be read" in wrong(write("", 0o000), home)


def test_a_directory_in_place_of_the_file_is_told(home: Mapping[str, str], tmp_path: Path) -> None:
    assert "cannot be read" in wrong(tmp_path, home)
