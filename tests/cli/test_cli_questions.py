"""Questions to a person, as ``explain`` and ``status`` tell them."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.domain.messages import ReferenceAmbiguous
from comfywatchman.state import choices, jobs, store, workflows
from tests.cli.shell import Shell
from tests.state.rows import analysis, finding, says, stamp
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop


def test_a_question_has_the_numbers_that_choose_takes_and_is_told_once(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    urls = [f"https://huggingface.co/us/{repo}/resolve/main/a.safetensors" for repo in "bc"]
    offers = [Candidate("workflow", url, "a.safetensors") for url in urls]
    for size, url in enumerate(urls, 2000):
        hub.add(url, weights(url, size))
    path = drop(tree.workflows / "w.json", *(Want("a.safetensors", url=url) for url in urls))
    gone = Trouble("source-missing", "It was there once.", "Look elsewhere.")
    asked = Trouble("choice-needed", "There are two.", "Choose.")
    question = (replace(offers[1], trouble=gone), offers[0])
    keeper = store.open_keeper(tree.state)
    keeper.write(
        lambda c: choices.ask(c, ReferenceAmbiguous("loras", "a.safetensors", question, asked), 1.0)
    )
    keeper.write(lambda c: jobs.enqueue(c, [ResolveReference("loras", "a.safetensors")], 1.0))
    row = keeper.write(lambda c: jobs.claim(c, "resolve", 2.0))
    assert row is not None
    keeper.write(lambda c: jobs.fail(c, row.id, asked, 3.0))
    keeper.close()

    (told,) = shell("explain", path, "--json").json["references"]
    words = shell("status").out

    assert [(c["url"], c["error"] and c["error"]["cause"]) for c in told["candidates"]] == [
        (urls[1], "It was there once."),
        (urls[0], None),
    ]
    assert "choose loras/a.safetensors NUMBER" in told["next"]
    assert words.count("There are two.") == 1


def test_explain_knows_what_other_workflows_say_of_the_same_name(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    here, there = (f"https://huggingface.co/us/{repo}/resolve/main/a.safetensors" for repo in "bc")
    for size, url in enumerate((here, there), 2000):
        hub.add(url, weights(url, size))
    path = drop(tree.workflows / "w.json", Want("a.safetensors", url=here))
    other = analysis(tree.workflows / "x.json", finding("a.safetensors", declared=(says(there),)))
    before = analysis(path, finding("a.safetensors", declared=(says(f"{here}.old"),)))
    keeper = store.open_keeper(tree.state)
    keeper.write(lambda c: workflows.save(c, other, stamp(), 1.0))
    keeper.write(lambda c: workflows.save(c, before, stamp(), 1.0))
    keeper.close()

    (told,) = shell("explain", path, "--json").json["references"]

    assert told["chosen"] is None
    assert {c["url"] for c in told["candidates"]} == {here, there}
