from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.domain.candidates import Candidate, Grade
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import (
    Analysis,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.report.render import (
    report_of,
    schema,
    to_html,
    to_json,
    to_markdown,
    to_text,
)
from comfywatchman.report.render.words import size_words
from tests.report.every_event import OFFER, TROUBLE, analysis, missing, present, reference

EVIL = "<script>alert(1)</script>|`*_[x](javascript:alert(1))\n# head\x1b[2J\u202e"


def as_json(*analyses: Analysis, with_candidates: bool = False) -> Any:
    return json.loads(to_json(report_of(analyses, with_candidates)))


def finding(state: ReferenceState, **others: Any) -> Finding:
    return Finding(reference(others.pop("name", "x.safetensors")), state, **others)


def test_the_keys_are_those_of_the_contract() -> None:
    report = as_json(analysis(missing(), present()), with_candidates=True)

    assert report["schema_version"] == 1
    [workflow] = report["workflows"]
    assert set(workflow) >= {
        "path", "sha256", "container", "format", "state", "error", "references", "node_types"
    }  # fmt: skip  # a list of words
    row = workflow["references"][0]
    assert set(row) >= {
        "folder", "name", "raw", "node", "node_type", "widget", "active", "state", "path", "size",
        "sha256", "declared", "candidates",
    }  # fmt: skip  # a list of words
    assert set(row["declared"]) == {"url", "sha256", "origin"}
    assert set(row["candidates"][0]) >= {
        "backend", "url", "filename", "size", "sha256", "grade", "evidence", "needs"
    }  # fmt: skip  # a list of words
    assert set(report["summary"]) >= {
        "workflows", "ready", "blocked", "unreadable", "references", "present", "missing",
        "bytes_to_download",
    }  # fmt: skip  # a list of words


def test_what_is_not_known_is_null() -> None:
    row = as_json(analysis(missing()))["workflows"][0]["references"][0]

    assert row["path"] is None
    assert row["size"] is None
    assert row["sha256"] is None
    assert row["error"] is None


def test_candidates_are_there_only_when_backends_were_asked() -> None:
    row = as_json(analysis(missing()))["workflows"][0]["references"][0]

    assert "candidates" not in row


def test_the_summary_counts_workflows_and_rows() -> None:
    unreadable = analysis(trouble=TROUBLE)
    nothing = Analysis(Path("/wf/picture.png"), "", WorkflowContent("png", "none"))

    summary = as_json(analysis(missing(), present()), analysis(present()), unreadable, nothing)[
        "summary"
    ]

    assert summary["workflows"] == 4
    assert (summary["ready"], summary["blocked"], summary["unreadable"]) == (1, 1, 1)
    assert (summary["references"], summary["present"], summary["missing"]) == (3, 2, 1)


def test_a_missing_file_wanted_twice_is_downloaded_once() -> None:
    first = analysis(missing(), missing("other.safetensors", size=1000))
    second = analysis(missing(), present())

    summary = as_json(first, second, with_candidates=True)["summary"]

    assert summary["bytes_to_download"] == 151_112_712 + 1000


def test_what_is_switched_off_is_not_to_be_downloaded() -> None:
    off = ModelReference("loras", "x", "x", "1", "N", "w", active=False)
    found = analysis(Finding(off, ReferenceState.MISSING, size=5))

    report = as_json(found)

    assert report["workflows"][0]["state"] == "ready"
    assert report["summary"]["missing"] == 0
    assert report["summary"]["bytes_to_download"] == 0


def test_a_token_pasted_into_a_workflow_is_not_repeated() -> None:
    report = report_of([analysis(missing())], with_candidates=False)

    for text in (to_json(report).decode(), to_text(report), to_markdown(report), to_html(report)):
        assert "tell-nobody" not in text


def test_names_that_are_no_utf_8_are_shown_with_escapes() -> None:
    broken = missing("lora\ud800.safetensors")
    report = report_of([analysis(broken, path=Path("/wf/\udcff.json"))], with_candidates=True)

    assert b"\\\\udcff" in to_json(report)
    assert "\\udcff" in to_text(report)
    assert "\\udcff" in to_markdown(report)
    assert "\\udcff" in to_html(report)


@pytest.mark.parametrize("render", [to_text, to_markdown, to_html])
def test_every_form_says_what_is_missing_where_it_goes_its_size_and_its_source(
    render: Any,
) -> None:
    text = render(report_of([analysis(missing(), present())], with_candidates=True))

    plain = text.replace("\\", "")
    assert "portrait.json" in plain
    assert "loras/detail.safetensors" in plain
    assert render is to_text or "folder loras" in plain
    assert "151.1 MB" in plain
    assert "https://civitai.com/api/download/models/1" in plain
    assert "comfywatchman fix /wf/portrait.json" in plain
    assert "1 of 2 models not here" in plain


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (finding(ReferenceState.ARRIVING), "nothing to do"),
        (finding(ReferenceState.ELSEWHERE, spelling="loras/sub/x.safetensors"), "loras/sub/x"),
        (finding(ReferenceState.AMBIGUOUS), "comfywatchman choose loras/x.safetensors"),
        (finding(ReferenceState.MISSING), "to be looked for"),
        (
            finding(
                ReferenceState.MISSING,
                trouble=Trouble("login-needed", "It wants a login.", "Set HF_TOKEN."),
            ),
            "Set HF_TOKEN.",
        ),
        (
            Finding(reference("x", folder=None), ReferenceState.MISSING),
            "Put the file where the node looks",
        ),
    ],
)
def test_each_state_says_what_to_do_next(found: Finding, said: str) -> None:
    text = to_text(report_of([analysis(found)], with_candidates=False))

    assert said in " ".join(text.split())


def test_a_model_without_any_source_asks_for_its_url() -> None:
    text = to_text(report_of([analysis(finding(ReferenceState.MISSING))], with_candidates=True))

    assert "comfywatchman download URL --folder loras --name x.safetensors" in " ".join(
        text.split()
    )


def test_a_command_with_a_stranger_s_name_in_it_has_no_control_characters() -> None:
    found = Finding(reference("a\x1b[2J.safetensors"), ReferenceState.MISSING)

    assert "\x1b" not in to_text(report_of([analysis(found)], with_candidates=True))


def test_an_ambiguous_model_shows_every_offer_with_its_evidence() -> None:
    other = Candidate("huggingface", "https://huggingface.co/a/b", "x", grade=Grade.D)
    found = finding(ReferenceState.AMBIGUOUS, candidates=(OFFER, other), trouble=TROUBLE)
    report = report_of([analysis(found)], with_candidates=True)

    for text in (to_text(report), to_markdown(report), to_html(report)):
        assert "https://huggingface.co/a/b" in text
        assert "grade D" in text


def test_an_unreadable_workflow_tells_why() -> None:
    report = report_of([analysis(trouble=TROUBLE)], with_candidates=False)

    for text in (to_text(report), to_markdown(report), to_html(report)):
        assert "The source did not answer" in text.replace("\\", "")
    assert as_json(analysis(trouble=TROUBLE))["workflows"][0]["error"]["code"] == TROUBLE.code


def test_text_fits_a_terminal_and_has_no_control_characters() -> None:
    long = Trouble("login-needed", "It wants " + "very " * 60 + "much.", "Set a token. " * 20)
    found = finding(ReferenceState.MISSING, name=EVIL, trouble=long)
    text = to_text(report_of([analysis(found, missing())], with_candidates=True))

    assert max(len(line) for line in text.splitlines() if "http" not in line) <= 100
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u2028\u202e]", text)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links.extend(value or "" for name, value in attrs if name == "href")


def test_html_needs_nothing_else_and_takes_no_name_for_markup() -> None:
    evil = Candidate("x", "javascript:alert(1)", "x", page="data:text/html,x")
    found = finding(ReferenceState.AMBIGUOUS, name=EVIL, candidates=(evil, OFFER))
    page = to_html(report_of([analysis(found)], with_candidates=True))
    tags = _Tags()
    tags.feed(page)

    assert not tags.tags & {"script", "img", "link", "iframe", "object"}
    assert all(link.startswith("https://") for link in tags.links)
    assert "default-src &#x27;none&#x27;" in page
    assert "&lt;script&gt;" in page


def test_markdown_takes_no_name_for_markup() -> None:
    text = to_markdown(
        report_of([analysis(finding(ReferenceState.MISSING, name=EVIL))], with_candidates=True)
    )

    assert "\\<script\\>" in text
    assert "\n# head" not in text
    rows = [line for line in text.splitlines() if line.startswith("| loras")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 7


def test_the_schema_describes_what_is_written() -> None:
    described = schema()
    components = described["$defs"]
    report = as_json(analysis(missing()), with_candidates=True)

    row = report["workflows"][0]["references"][0]
    assert described["$ref"] == "#/$defs/Report"
    assert set(components["ReferenceRow"]["properties"]) == set(row)
    assert set(components["ReferenceRow"]["required"]) == set(row) - {"candidates"}
    assert set(components["Summary"]["properties"]) == set(report["summary"])


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, ""),
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (6_938_078_334, "6.9 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_told_in_decimal_units(size: int | None, said: str) -> None:
    assert size_words(size) == said


# -- what the sums tell


def every_state() -> Analysis:
    off = ModelReference("loras", "off", "off", "1", "N", "w", active=False)
    states = [finding(state, name=f"{state.value}.pt") for state in ReferenceState]
    return analysis(*states, Finding(off, ReferenceState.MISSING))


def test_the_sums_of_the_summary_line_add_up() -> None:
    nothing = Analysis(Path("/wf/picture.png"), "", WorkflowContent("png", "none"))
    report = report_of([every_state(), analysis(trouble=TROUBLE), nothing], False)

    files, _, models = to_text(report).splitlines()[-1].partition(". ")
    total, *states = re.findall(r"\d+", files)
    assert (int(total), sum(map(int, states))) == (3, 3)
    total, *states = re.findall(r"\d+", models)
    assert (int(total), sum(map(int, states))) == (8, 8)


def test_what_is_no_workflow_takes_one_line() -> None:
    nothing = Analysis(Path("/wf/picture.png"), "", WorkflowContent("png", "none"))

    assert to_text(report_of([nothing, nothing], False)).splitlines() == [
        *["/wf/picture.png: is not a workflow"] * 2,
        "",
        "2 files: 2 without a workflow.",
    ]


@pytest.mark.parametrize("render", [to_text, to_markdown, to_html])
def test_models_that_nodes_fetch_by_themselves_are_named(render: Any) -> None:
    found = finding(ReferenceState.AUTODOWNLOAD, name="florence.safetensors")
    text = render(report_of([analysis(found)], with_candidates=False)).replace("\\", "")

    assert "1 that nodes fetch by themselves" in text
    assert "when it runs: loras/florence.safetensors." in " ".join(text.split())


def test_the_command_is_told_once_and_never_broken_so_that_it_can_be_copied() -> None:
    path = Path("/wf/" + "a very long name with spaces " * 6 + ".json")
    found = analysis(finding(ReferenceState.MISSING), missing(), path=path)

    lines = to_text(report_of([found], with_candidates=False)).splitlines()
    assert [line for line in lines if "comfywatchman fix" in line] == [
        f"  next       comfywatchman fix '{path}'"
    ]


def test_what_is_here_and_is_not_the_wanted_file_is_told_with_what_to_do_and_is_no_download() -> (
    None
):
    hint = Trouble("other-suffix", "x.pt is here.", "Select x.pt.")
    found = finding(ReferenceState.MISSING, path=Path("/m/x.pt"), size=5, hint=hint)
    report = report_of([analysis(found)], with_candidates=False)

    text = " ".join(to_text(report).split())
    assert "Select x.pt. Or have it brought: comfywatchman fix /wf/portrait.json" in text
    assert report.summary.bytes_to_download == 0
