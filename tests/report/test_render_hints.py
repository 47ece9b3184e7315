"""What the forms of the report say about files that are here, and about the workflow itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    Hint,
    ReferenceState,
    Remark,
    Severity,
)
from comfywatchman.report.render import (
    errors_in_files,
    report_of,
    to_html,
    to_json,
    to_markdown,
    to_text,
)
from tests.report.every_event import analysis, present, reference

EVERY_FORM = pytest.mark.parametrize("render", [to_text, to_markdown, to_html])
EVIL = "<script>alert(1)</script>|`*_[x](javascript:alert(1))\n# head\x1b[2J\u202e"

SLASHES = Finding(
    reference("SDXL/x.pt"),
    ReferenceState.ELSEWHERE,
    Path("/models/loras/SDXL/x.pt"),
    7,
    spelling="SDXL/x.pt",
    found_in="loras",
    hint=Trouble(Hint.OTHER_SLASH.value, "ComfyUI lists it otherwise.", "Select it in node 12."),
)
WRONG_FOLDER = Finding(
    reference("x.pt"),
    ReferenceState.ELSEWHERE,
    Path("/models/vae/x.pt"),
    7,
    spelling="x.pt",
    found_in="vae",
    hint=Trouble(Hint.WRONG_FOLDER.value, "It is in the folder vae.", "Move it to loras."),
)


def plain(text: str) -> str:
    return " ".join(text.replace("\\", "").replace("&#x27;", "'").split())


def said(render: Any, *found: Finding, remarks: tuple[Remark, ...] = ()) -> str:
    return plain(render(report_of([with_remarks(analysis(*found), *remarks)], True)))


def with_remarks(found: Analysis, *remarks: Remark) -> Analysis:
    return replace(found, content=replace(found.content, findings=remarks))


def as_json(*found: Finding) -> Any:
    return json.loads(to_json(report_of([analysis(*found)], with_candidates=False)))


# -- hints


def test_a_row_tells_where_the_file_is_its_spelling_its_hint_and_what_it_shadows() -> None:
    shadowing = replace(present(), shadows=(Path("/more/here.safetensors"),))
    first, second = as_json(SLASHES, shadowing)["workflows"][0]["references"]

    assert (first["spelling"], first["found_in"]) == ("SDXL/x.pt", "loras")
    assert first["hint"] == {
        "code": "other-slash",
        "cause": "ComfyUI lists it otherwise.",
        "remedy": "Select it in node 12.",
    }
    assert (second["hint"], second["shadows"]) == (None, ["/more/here.safetensors"])


def test_a_file_that_is_in_place_under_other_slashes_lacks_nothing() -> None:
    report = as_json(SLASHES, present())

    assert report["workflows"][0]["state"] == "ready"
    assert report["summary"]["elsewhere"] == report["summary"]["misspelled"] == 1
    assert report["summary"]["blocked"] == 0


@EVERY_FORM
def test_a_widget_that_must_be_set_is_told_although_nothing_lacks(render: Any) -> None:
    text = said(render, SLASHES, present())

    assert "ready, 2 models; 1 to be selected anew in ComfyUI" in text
    assert "ComfyUI lists it otherwise. Select it in node 12." in text
    assert "comfywatchman fix" not in text


@EVERY_FORM
def test_a_file_in_the_wrong_folder_is_told_with_what_to_do(render: Any) -> None:
    text = said(render, WRONG_FOLDER)

    assert "1 of 1 model not here" in text
    assert "It is in the folder vae." in text
    assert "Move it to loras." in text
    assert "1 in another place or under another name" in text
    assert "comfywatchman fix" not in text


@EVERY_FORM
def test_a_file_elsewhere_can_be_brought_where_the_workflow_says_from_where(render: Any) -> None:
    told = replace(
        WRONG_FOLDER.reference, declared=(Declared("https://hub.example/x", None, "note"),)
    )

    text = said(render, replace(WRONG_FOLDER, reference=told))

    assert "Move it to loras. Or have it brought: comfywatchman fix /wf/portrait.json" in text


@EVERY_FORM
def test_why_it_is_not_being_brought_is_told_beside_where_it_is(render: Any) -> None:
    taken = Trouble("name-taken", "X.pt is there already.", "Rename it.")

    text = said(render, replace(WRONG_FOLDER, trouble=taken))

    assert "It is in the folder vae. X.pt is there already." in text


@EVERY_FORM
def test_files_that_are_never_opened_are_told(render: Any) -> None:
    text = said(render, replace(present(), shadows=(Path("/more/here.safetensors"),)))

    assert "opens /models/loras/here.safetensors and never /more/here.safetensors" in text


@EVERY_FORM
def test_several_files_that_could_be_meant_are_told_and_no_command_to_choose(render: Any) -> None:
    hint = Trouble(Hint.SEVERAL.value, "It could be a/x or b/x.", "Select the one you mean.")

    text = said(render, Finding(reference("x"), ReferenceState.AMBIGUOUS, hint=hint))

    assert "It could be a/x or b/x." in text
    assert "Select the one you mean." in text
    assert "comfywatchman choose" not in text


@EVERY_FORM
def test_a_missing_file_says_that_another_of_its_name_is_not_it(render: Any) -> None:
    hint = Trouble(Hint.OTHER_BYTES.value, "vae/x.pt has other bytes.", "Move it away.")

    text = said(render, Finding(reference("x.pt"), ReferenceState.MISSING, hint=hint))

    assert "vae/x.pt has other bytes." in text


@EVERY_FORM
def test_what_is_switched_off_needs_no_word(render: Any) -> None:
    off = replace(SLASHES, reference=replace(SLASHES.reference, active=False))

    assert "Select it" not in said(render, off)


@EVERY_FORM
def test_a_hint_with_a_stranger_s_name_in_it_stays_text(render: Any) -> None:
    evil = replace(SLASHES, hint=Trouble(Hint.OTHER_SLASH.value, EVIL, EVIL), shadows=(Path(EVIL),))

    text = render(report_of([analysis(evil)], with_candidates=False))

    assert "<script>" not in text.replace("\\<script\\>", "") or render is to_text
    assert "\x1b" not in text
    assert "\n# head" not in text


# -- what is wrong in the file

SECRET = Remark("secret", Severity.ERROR, "/nodes/3", "This looks like a token.")
CYCLE = Remark("subgraph-cycle", Severity.ERROR, "/nodes/1", "It holds itself.")
TWICE = Remark("duplicate-id", Severity.WARNING, "/nodes/2/id", "Another node has the same id.")
OLD = Remark("unknown-version", Severity.INFO, "", "No version.")


@EVERY_FORM
def test_findings_are_told_with_severity_place_and_message_secrets_first(render: Any) -> None:
    text = said(render, present(), remarks=(OLD, TWICE, CYCLE, SECRET))

    for remark in (OLD, TWICE, CYCLE, SECRET):
        assert remark.severity.value in text
        assert remark.message in text
        assert (remark.pointer or "the whole file") in text
    places = [text.index(remark.message) for remark in (SECRET, CYCLE, TWICE, OLD)]
    assert places == sorted(places)
    assert "ready, 1 model; 2 errors in the file" in text
    assert "; 2 errors in the files." in text


@EVERY_FORM
def test_errors_in_the_file_come_before_its_models(render: Any) -> None:
    text = said(render, WRONG_FOLDER, remarks=(SECRET,))

    assert text.index(SECRET.message) < text.index("It is in the folder vae.")


@EVERY_FORM
def test_oddities_of_the_file_come_after_its_models(render: Any) -> None:
    text = said(render, WRONG_FOLDER, remarks=(TWICE,))

    assert text.index(TWICE.message) > text.index("It is in the folder vae.")
    assert "in the file;" not in text


def test_the_text_is_not_flooded_with_oddities_but_tells_every_error() -> None:
    odd = [replace(TWICE, message=f"Oddity {number}.") for number in range(15)]
    text = said(to_text, remarks=(*odd, *[SECRET] * 15))

    assert text.count("duplicate-id") == 10
    assert "and 5 more in the file; --json tells them all" in text
    assert text.count("secret") == 15


def test_errors_of_all_files_are_gathered_with_secrets_first() -> None:
    one = with_remarks(analysis(path=Path("/wf/a.json")), CYCLE)
    two = with_remarks(analysis(path=Path("/wf/b\n.json")), TWICE, SECRET)

    assert [*errors_in_files(report_of([one, two], with_candidates=False))] == [
        "/wf/b\\n.json /nodes/3: This looks like a token.",
        "/wf/a.json /nodes/1: It holds itself.",
    ]


@EVERY_FORM
def test_a_finding_with_a_stranger_s_key_in_its_place_stays_text(render: Any) -> None:
    evil = Remark("secret", Severity.ERROR, f"/{EVIL}", EVIL)

    text = render(report_of([with_remarks(analysis(), evil)], with_candidates=False))

    assert "<script>" not in text.replace("\\<script\\>", "") or render is to_text
    assert "\x1b" not in text
    assert "\n# head" not in text


@pytest.mark.parametrize("error", ["name-not-listed", "model-incomplete", "unsafe-name"])
def test_what_no_file_under_the_name_would_mend_is_nothing_to_bring(error: str) -> None:
    refused = Finding(
        reference("x"), ReferenceState.MISSING, trouble=Trouble(error, "It is none.", "Select one.")
    )
    page = Trouble(Hint.DAMAGED.value, "It is a web page.", "Remove it.")
    damaged = Finding(reference("x"), ReferenceState.MISSING, hint=page)

    rows = report_of([analysis(refused, damaged)], False).workflows[0].references

    assert [row.to_bring for row in rows] == [False, False]
