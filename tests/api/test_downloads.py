"""`DownloadManager`: the verified downloader, for a program."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from pathlib import Path

import pytest

import comfywatchman
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.stories.daemon import Tree
from tests.stories.made import Want, has


def url_of(want: Want) -> str:
    assert want.url is not None
    return want.url


def made(tree: Tree) -> comfywatchman.DownloadManager:
    return comfywatchman.DownloadManager(tree.config)


def test_a_file_comes_verified_under_the_name_that_was_asked_for(tree: Tree, hub: Hub) -> None:
    told: list[tuple[str, int, int | None]] = []
    url = url_of(has(hub, "a.safetensors"))
    save = tree.base / "new/other.safetensors"
    result = made(tree).download_model(url, save, lambda *news: told.append(news))

    served = hub.named("a.safetensors")
    assert result.success, result.error_message
    assert (result.save_path, result.filename) == (save, "other.safetensors")
    assert result.size_downloaded == served.size
    assert result.hash_sha256 == served.sha256 == hashlib.sha256(save.read_bytes()).hexdigest()
    assert result.verified
    assert result.hash_promised
    assert told[-1] == ("other.safetensors", served.size, served.size)
    assert [path.name for path in save.parent.iterdir()] == ["other.safetensors"]


def test_a_directory_takes_the_name_of_the_source(tree: Tree, hub: Hub) -> None:
    result = made(tree).download_model(url_of(has(hub, "a.safetensors")), tree.base)

    assert result.save_path == tree.base / "a.safetensors"


def test_what_fails_is_told_and_raises_nothing(tree: Tree, hub: Hub) -> None:
    has(hub, "a.safetensors")
    gone = "https://huggingface.co/us/loras/resolve/main/gone.safetensors"
    downloads = made(tree)

    assert downloads.download_model(gone, tree.base / "x").error_code == "source-missing"
    assert downloads.download_model("nonsense", tree.base / "x").error_code == "nothing-found"
    refused = downloads.download_model("http://10.0.0.1/x.safetensors", tree.base / "x")
    assert not refused.success
    assert refused.error_message
    assert refused.remedy
    assert not (tree.base / "x").exists()


def test_other_bytes_than_expected_are_not_placed(tree: Tree, hub: Hub) -> None:
    url, save = url_of(has(hub, "a.safetensors")), tree.base / "sub/a.safetensors"
    result = made(tree).download_model(url, save, expected_hash="0" * 64)

    assert not result.success
    assert not save.exists()
    with pytest.raises(comfywatchman.ValidationError):
        made(tree).download_model(url, save, expected_hash="abc")


def test_a_file_that_is_there_is_never_written_over(tree: Tree, hub: Hub) -> None:
    save = tree.base / "sub/a.safetensors"
    save.parent.mkdir()
    save.write_bytes(weights("mine", 4000))
    result = made(tree).download_model(url_of(has(hub, "a.safetensors")), save)

    assert (result.success, result.error_code) == (False, "name-taken")
    assert save.read_bytes() == weights("mine", 4000)


def test_what_the_callback_raises_ends_the_download(tree: Tree, hub: Hub) -> None:
    def enough(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tree).download_model(url_of(has(hub, "a.safetensors")), tree.base / "x", enough)


def test_a_cut_connection_is_gone_on_with(tree: Tree, hub: Hub) -> None:
    url = url_of(has(hub, "a.safetensors", content=weights("a", 300_000)))
    hub.fault("cut", "a.safetensors", after=100_000)
    result = made(tree).download_model(url, tree.base / "a.safetensors")

    assert result.success, result.error_message


def test_several_come_at_once_in_the_order_that_was_asked(tree: Tree, hub: Hub) -> None:
    search = comfywatchman.ModelSearch(tree.config)
    wants = [has(hub, "b.safetensors"), has(hub, "a.safetensors", "vae")]
    found = [search.search(url_of(want), want.folder)[0] for want in wants]
    nowhere = comfywatchman.ModelReference("no.safetensors", expected_type="lora")
    results = made(tree).download_models([*found, nowhere], tree.base / "models", concurrency=2)

    assert [(result.filename, result.success) for result in results] == [
        ("b.safetensors", True),
        ("a.safetensors", True),
        ("no.safetensors", False),
    ]
    assert results[1].save_path == tree.base / "models/vae/a.safetensors"


def test_downloads_go_on_in_several_threads(tree: Tree, hub: Hub) -> None:
    downloads = made(tree)
    urls = {f"{n}.safetensors": url_of(has(hub, f"{n}.safetensors")) for n in "abc"}

    async def every() -> list[comfywatchman.DownloadResult]:
        return await asyncio.gather(
            *(
                asyncio.to_thread(downloads.download_model, url, tree.base / "out" / name)
                for name, url in urls.items()
            )
        )

    assert all(result.success for result in asyncio.run(every()))


def test_a_script_is_made_of_what_is_missing(tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    missing = [
        comfywatchman.ModelReference(
            want.name, expected_directory="loras", urls=(url_of(want),), widget_values={}
        )
    ]
    script = made(tree).generate_script(missing)
    (tree.base / "get.sh").write_text(script)
    done = subprocess.run(["sh", tree.base / "get.sh"], check=False, capture_output=True)

    assert done.returncode == 0, done.stderr
    assert (tree.models / want.where).exists()
    assert "a.safetensors" in made(tree).generate_script(missing, "aria2")
    with pytest.raises(comfywatchman.ValidationError):
        made(tree).generate_script(missing, "cobol")


def test_a_file_is_verified(tree: Tree) -> None:
    file = tree.base / "a.safetensors"
    file.write_bytes(weights("a", 4000))
    (tree.base / "cut.safetensors").write_bytes(weights("a", 4000)[:2000])
    (tree.base / "page.safetensors").write_bytes(b"<!doctype html><p>Sign in")
    downloads = made(tree)

    assert downloads.verify_download(file)
    assert downloads.verify_download(file, hashlib.sha256(file.read_bytes()).hexdigest().upper())
    assert not downloads.verify_download(file, "0" * 64)
    assert not downloads.verify_download(tree.base / "cut.safetensors")
    assert not downloads.verify_download(tree.base / "page.safetensors")
    assert not downloads.verify_download(Path("/nowhere.safetensors"))


@pytest.mark.parametrize(
    ("filename", "folder"),
    [
        ("../../evil.safetensors", "loras"),
        ("/etc/evil.safetensors", "loras"),
        ("evil.py", None),
        ("evil.safetensors", "../up"),
        ("evil.safetensors", "custom_nodes"),
    ],
)
def test_a_name_that_leads_elsewhere_places_nothing(
    tree: Tree, hub: Hub, filename: str, folder: str | None
) -> None:
    url = url_of(has(hub, "a.safetensors"))
    evil = comfywatchman.SearchResult("x", "1", "x", filename, folder, url)
    before = set(tree.base.rglob("*"))
    (result,) = made(tree).download_models([evil], tree.base / "out" / "deep")

    new = {path.name for path in set(tree.base.rglob("*")) - before}
    if result.success:  # only the last part of a name counts
        assert result.save_path is not None
        assert result.save_path.is_relative_to(tree.base / "out" / "deep")
    else:
        assert not [name for name in new if name.startswith("evil")]


def test_what_goes_elsewhere_is_in_the_audit_log_of_the_state(tree: Tree, hub: Hub) -> None:
    tree.state.mkdir()
    save = tree.base / "out/a.safetensors"
    made(tree).download_model(url_of(has(hub, "a.safetensors")), save)

    lines = (tree.state / "audit.jsonl").read_text().splitlines()
    assert [line for line in lines if str(save) in line and '"placed"' in line]


def test_a_page_that_is_no_model_is_refused(tree: Tree, hub: Hub) -> None:
    page = has(hub, "page.safetensors", content=b"<!doctype html><p>Sign in" + b" " * 3000)
    result = made(tree).download_model(url_of(page), tree.base / "out/x.safetensors")

    assert not result.success
    assert not (tree.base / "out/x.safetensors").exists()
