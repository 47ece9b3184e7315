"""``notify`` and ``state``, as a person calls them."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.config.notify import Notify, Webhook
from comfywatchman.daemon.notices.targets import targets_of
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.secrets import Secret
from comfywatchman.state import deliveries, store
from tests.cli.shell import Shell
from tests.notices.receiver import receiving
from tests.state.known_state import count, made
from tests.stories.daemon import Tree

URL = "https://hooks.example/canary-of-the-path"
WHY = Trouble("notice-failed", "hooks.example answered with HTTP 500.", "It is tried again later.")


def with_a_webhook(tree: Tree, url: str = URL) -> None:
    tree.settings = f'[notify]\nwebhooks = [{{ url = "{url}" }}]\n'
    tree.write_settings()


def with_a_dead_letter(tree: Tree) -> None:
    with_a_webhook(tree)
    (target,) = targets_of(Notify(webhooks=(Webhook(Secret(URL)),)))
    keeper = store.open_keeper(tree.state)
    keeper.write(lambda c: deliveries.add(c, "msg_1", target.key, "workflow.ready", b"{}", 1.0))
    keeper.write(lambda c: deliveries.failed(c, [1], WHY, None))
    keeper.close()


def test_what_was_given_up_is_shown_retried_and_dropped(shell: Shell, tree: Tree) -> None:
    with_a_dead_letter(tree)
    shown = shell("notify")
    dry = shell("notify", "retry", "--dry-run")
    status = shell("status")
    shell("notify", "retry")
    waits = shell("notify", "--json").json
    shell("notify", "drop", "1")

    assert "hooks.example (webhook, not signed): everything; 0 waiting, 1 given up" in shown.out
    assert "1 given up: workflow.ready" in shown.out
    assert WHY.cause in shown.out
    assert "canary" not in shown.out + str(waits)
    assert "1 notice would be tried again" in dry.err
    assert "Notices: 0 waiting, 1 given up" in status.out
    assert (waits["waiting"], waits["dead"]) == (1, 0)
    assert count(store.database_path(tree.state), "deliveries") == 0


def test_where_nobody_is_to_be_told_it_is_said(shell: Shell) -> None:
    assert "Nobody is told" in shell("notify").err
    assert shell("notify", "test").status == 0


def test_a_test_notice_says_who_took_it(shell: Shell, tree: Tree) -> None:
    with receiving(401) as receiver:
        with_a_webhook(tree, receiver.url)
        tree.settings += f'insecure_hosts = ["{receiver.host}"]\n'
        tree.write_settings()
        refused = shell("notify", "test", "--json")
        taken = shell("notify", "test")

    assert refused.status == 1
    assert refused.json["receivers"][0]["error"]["code"] == "notice-failed"
    assert (taken.status, f"{receiver.host}: taken" in taken.out) == (0, True)
    assert receiver.events() == ["notify.test"] * 2
    assert "canary" not in refused.out + taken.out


def test_an_event_with_a_typo_names_the_nearest(shell: Shell, tree: Tree) -> None:
    tree.settings = f'[notify]\nwebhooks = [{{ url = "{URL}", events = ["workflow.redy"] }}]\n'
    tree.write_settings()
    code, cause, _ = shell("status").the_error()

    assert code == "settings-invalid"
    assert "workflow.ready" in cause
    assert "canary" not in cause


def test_the_doctor_sees_a_private_address_that_is_not_named(shell: Shell, tree: Tree) -> None:
    with_a_webhook(tree, "http://127.0.0.1:9/canary")
    checks = shell("doctor", "--offline", "--json").json["checks"]
    (found,) = (check for check in checks if check["about"] == "notices")

    assert found["verdict"] == "failed"
    assert "notify.insecure_hosts" in found["remedy"]
    assert "canary" not in str(checks)


def test_a_state_goes_out_and_in(shell: Shell, tree: Tree, tmp_path: Path) -> None:
    made(tree.state, 1)
    file = tmp_path / "state.jsonl.gz"
    out = shell("state", "export", str(file))
    tree.state.rename(tmp_path / "before")
    dry = shell("state", "import", str(file), "--dry-run", "--json")
    done = shell("state", "import", str(file))
    again = shell("state", "import", str(file), "--json")

    assert "2 choices" in out.err
    assert dry.json["carried"]["added"]["choices"] == 2
    assert "choices: 2 added, 0 there already" in done.err
    assert sum(again.json["carried"]["added"].values()) == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_no_exported_state_is_refused(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}\n")
    code, cause, remedy = shell("state", "import", str(file)).the_error()

    assert (code, str(file) in cause) == ("state-unusable", True)
    assert "state export" in remedy


def test_a_state_goes_over_an_earlier_one_and_over_nothing_else(
    shell: Shell, tree: Tree, tmp_path: Path
) -> None:
    made(tree.state, 1)
    theirs, link = tmp_path / "workflow.json", tmp_path / "link.jsonl"
    theirs.write_text('{"nodes": []}')
    link.symlink_to(theirs)
    refused = [shell("state", "export", str(path)) for path in (theirs, link)]
    again = [
        shell("state", "export", str(tmp_path / name)).status
        for name in ("state.jsonl", "state.jsonl", "state.jsonl.gz", "state.jsonl.gz")
    ]

    assert [told.status for told in refused] == [3, 3]
    assert [told.the_error()[0] for told in refused] == ["name-taken"] * 2
    assert (theirs.read_text(), link.is_symlink()) == ('{"nodes": []}', True)
    assert again == [0] * 4
