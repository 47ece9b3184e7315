"""What most clients of ``POST analyze`` look for first."""

from __future__ import annotations

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import Finding, Hint, ReferenceState
from comfywatchman.report.render import report_of
from comfywatchman.server.handlers import analyze_answer
from tests.report.every_event import analysis, missing, present, reference


def test_a_model_whose_name_only_has_another_system_s_slashes_is_available() -> None:
    hint = Trouble(Hint.OTHER_SLASH.value, "ComfyUI lists it otherwise.", "Select it.")
    misspelled = Finding(reference("a/x.pt"), ReferenceState.ELSEWHERE, hint=hint)

    answer = analyze_answer(report_of([analysis(misspelled, present())], with_candidates=False))

    assert answer.status == "ready"
    assert [row.name for row in answer.available_models] == ["a/x.pt", "here.safetensors"]
    assert answer.missing_models == ()


def test_a_model_in_the_wrong_folder_is_missing_where_it_is_asked_for() -> None:
    hint = Trouble(Hint.WRONG_FOLDER.value, "It is in vae.", "Move it.")
    wrong = Finding(reference("x.pt"), ReferenceState.ELSEWHERE, hint=hint)

    answer = analyze_answer(report_of([analysis(wrong, missing())], with_candidates=False))

    assert answer.status == "blocked"
    assert [row.name for row in answer.missing_models] == ["x.pt", "detail.safetensors"]
    assert answer.available_models == ()
