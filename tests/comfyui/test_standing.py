"""How it stands with a node type, from facts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from comfywatchman.comfyui.standing import Known, standing
from comfywatchman.domain.packs import (
    Claim,
    InstalledPack,
    NodeTypeState,
    NothingKnown,
    Pack,
    Standing,
    Told,
    TypeKind,
)
from comfywatchman.domain.references import NodeTypeUse

CORE, INSTALLED = NodeTypeState.CORE, NodeTypeState.INSTALLED
MISSING, UNKNOWN = NodeTypeState.MISSING, NodeTypeState.UNKNOWN


def pack(name: str, *, enabled: bool = True, complete: bool = True) -> InstalledPack:
    path = Path("/nodes") / name
    return InstalledPack(path, name, enabled, name, f"owner/{name}", complete=complete)


def claim(name: str, told: Told = Told.NAME) -> Claim:
    return Claim(Pack(name, None, f"https://github.com/owner/{name}"), name, f"owner/{name}", told)


@dataclass
class Facts:
    """Written down for one test."""

    packs: Sequence[InstalledPack] = ()
    types: dict[str, dict[str, TypeKind]] = field(default_factory=dict)
    """Node type -> pack -> how it has it."""
    map: dict[str, list[Claim]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    looked: bool = True
    serving: bool = False

    @property
    def known(self) -> Known:
        return Known(self.packs, self.looked, bool(self.modules), self.serving)

    def module(self, node_type: str) -> str | None:
        return self.modules.get(node_type)

    def having(self, node_type: str) -> Sequence[tuple[Path, TypeKind]]:
        return [(Path("/nodes") / n, k) for n, k in self.types.get(node_type, {}).items()]

    def claims(self, node_type: str) -> Sequence[Claim]:
        return self.map.get(node_type, [])

    def pack_called(self, cnr_id: str | None, repository: str | None) -> Pack | None:
        known = [each for claims in self.map.values() for each in claims]
        return next((c.pack for c in known if c.cnr_id == cnr_id), None)


def titled(name: str, title: str, owner: str = "Owner") -> Claim:
    url = f"https://github.com/{owner}/{name}"
    return Claim(Pack(name, title, url), name, f"{owner}/{name}".lower(), Told.NAME)


def stands(
    facts: Facts, kind: str = "X", cnr_id: str | None = None, aux_id: str | None = None
) -> Standing:
    return standing(NodeTypeUse(kind, 1, cnr_id, aux_id), facts)


PYTHON = {"X": {"fancy": TypeKind.PYTHON}}


# -- what is here


def test_a_type_that_comes_with_comfyui_is_core_whatever_else_is_known() -> None:
    assert standing(NodeTypeUse("KSampler", 1, core=True), Facts()).state is CORE


def test_a_core_type_that_the_running_server_lacks_asks_for_an_update() -> None:
    found = standing(NodeTypeUse("New", 1, core=True), Facts(modules={"Y": "nodes"}, serving=True))

    assert (found.state, found.outdated) == (CORE, True)


def test_a_type_that_the_source_of_a_pack_registers_is_installed() -> None:
    found = stands(Facts([pack("fancy")], PYTHON))

    assert (found.state, found.told, found.loaded) == (INSTALLED, Told.DISK, True)
    assert found.pack == Pack("fancy", None, "https://github.com/owner/fancy")


def test_a_type_that_the_server_offers_is_installed_or_core_by_its_module() -> None:
    facts = Facts([pack("fancy")], modules={"X": "custom_nodes.fancy", "Y": "comfy_extras.nodes_y"})

    assert (stands(facts).state, stands(facts).told) == (INSTALLED, Told.SERVER)
    assert stands(facts, "Y").state is CORE


def test_what_a_server_said_once_holds_only_while_its_pack_is_here_and_switched_on() -> None:
    said = {"X": "custom_nodes.fancy"}

    assert stands(Facts([], modules=said)).state is MISSING
    assert stands(Facts([pack("fancy", enabled=False)], modules=said)).state is MISSING
    assert stands(Facts([], modules=said, serving=True)).state is INSTALLED


def test_a_pack_that_the_running_server_does_not_offer_is_installed_and_not_loaded() -> None:
    facts = Facts([pack("fancy")], PYTHON, modules={"Y": "nodes"}, serving=True)

    assert (stands(facts).state, stands(facts).loaded) == (INSTALLED, False)


def test_a_type_of_the_editor_is_not_expected_of_the_server() -> None:
    types = {"X": {"fancy": TypeKind.SCRIPT}}
    facts = Facts([pack("fancy")], types, modules={"Y": "nodes"}, serving=True)

    assert (stands(facts).state, stands(facts).loaded) == (INSTALLED, True)


@pytest.mark.parametrize(
    "ids", [{"cnr_id": "fancy"}, {"aux_id": "Owner/Fancy"}, {"aux_id": "fancy"}]
)
def test_a_pack_that_could_not_be_read_has_what_the_workflow_says_is_from_it(
    ids: dict[str, str],
) -> None:
    vague = Facts([pack("fancy", complete=False)])

    assert stands(vague, **ids).state is INSTALLED
    assert stands(vague).state is UNKNOWN


def test_a_pack_that_could_not_be_read_has_what_the_map_says_is_from_it() -> None:
    facts = Facts([pack("fancy", complete=False)], map={"X": [claim("fancy"), claim("other")]})

    assert stands(facts).state is INSTALLED


def test_a_word_of_its_scripts_is_enough_for_a_pack_that_is_meant() -> None:
    """rgthree's names are put together from a word and its own suffix."""
    types = {"Label": {"fancy": TypeKind.MENTION}}
    facts = Facts([pack("fancy")], types, {"Label (fancy)": [claim("fancy", Told.PATTERN)]})

    assert stands(facts, "Label (fancy)").state is INSTALLED
    assert stands(facts, "Other (fancy)").state is MISSING


def test_a_word_of_a_source_is_not_enough_to_call_a_type_installed_or_missing() -> None:
    facts = Facts([pack("fancy", complete=False)], {"X": {"fancy": TypeKind.MENTION}})

    assert stands(facts).state is UNKNOWN


# -- what is not


def test_a_type_that_nobody_has_is_missing_where_every_pack_was_read() -> None:
    assert stands(Facts([pack("fancy")], {"Y": {"fancy": TypeKind.PYTHON}})).state is MISSING
    assert stands(Facts([])).state is MISSING


def test_nothing_is_missing_where_nobody_looked() -> None:
    assert stands(Facts(looked=False)).state is UNKNOWN
    assert stands(Facts(looked=False), cnr_id="fancy").state is UNKNOWN


def test_a_running_server_tells_what_is_missing_where_nobody_could_look() -> None:
    facts = Facts(looked=False, modules={"Y": "nodes"}, serving=True)

    assert stands(facts).state is MISSING
    assert stands(facts, "SetNode").state is UNKNOWN  # of the editor: no server lists it


def test_a_pack_that_could_not_be_read_does_not_hide_what_another_pack_is_known_to_bring() -> None:
    vague = [pack("vague", complete=False)]

    assert stands(Facts(vague)).state is UNKNOWN
    assert stands(Facts(vague), cnr_id="fancy").state is MISSING
    assert stands(Facts(vague, map={"X": [claim("fancy")]})).state is MISSING
    assert stands(Facts(vague, map={"X": [claim("fancy", Told.PATTERN)]})).state is UNKNOWN


def test_a_type_that_the_installed_version_of_its_pack_lacks_is_missing_and_that_is_told() -> None:
    found = stands(Facts([pack("fancy")]), cnr_id="fancy")

    assert (found.state, found.outdated) == (MISSING, True)


def test_a_pack_that_cannot_be_read_does_not_hide_the_one_to_switch_on() -> None:
    packs = [pack("fancy", enabled=False), pack("broken", complete=False)]

    assert (stands(Facts(packs, PYTHON)).state, stands(Facts(packs, PYTHON)).disabled) == (
        MISSING,
        True,
    )
    assert stands(Facts(packs, {})).state is UNKNOWN


def test_a_pack_that_is_switched_off_is_told_as_the_one_to_switch_on() -> None:
    off = [pack("fancy", enabled=False)]

    for found in (stands(Facts(off, PYTHON)), stands(Facts(off), cnr_id="fancy")):
        assert (found.state, found.disabled) == (MISSING, True)
        assert found.pack is not None
        assert found.pack.id == "fancy"


@pytest.mark.parametrize(
    "kind", ["workflow>My Group", "workflow/My Group", "01234567-89ab-cdef-0123-456789abcdef"]
)
def test_a_group_or_subgraph_that_the_file_lacks_is_nobodys_pack(kind: str) -> None:
    assert stands(Facts(), kind).state is UNKNOWN


def test_a_core_type_that_is_newer_than_our_table_is_known_from_the_map() -> None:
    core = Claim(Pack("comfyanonymous/ComfyUI"), None, "comfyanonymous/comfyui", Told.NAME)

    assert stands(Facts(map={"X": [core]})).state is CORE


# -- who brings it


def test_the_workflow_goes_before_the_map() -> None:
    facts = Facts(map={"X": [claim("other")], "Y": [claim("fancy")]})

    by_id, by_repository = stands(facts, cnr_id="fancy"), stands(facts, aux_id="Someone/Fancy")

    assert (by_id.told, by_id.pack) == (
        Told.CNR_ID,
        Pack("fancy", None, "https://github.com/owner/fancy"),
    )
    assert by_repository.told is Told.AUX_ID
    assert by_repository.pack is not None
    assert by_repository.pack.url == "https://github.com/Someone/Fancy"


def test_one_pack_that_lists_a_type_is_its_pack() -> None:
    found = stands(Facts(map={"X": [claim("fancy")]}))

    assert (found.told, found.packs) == (Told.NAME, ())
    assert found.pack is not None
    assert found.pack.id == "fancy"


def test_of_several_packs_that_list_a_type_none_is_chosen_and_all_are_shown() -> None:
    found = stands(Facts(map={"X": [claim("one"), claim("two")]}))

    assert found.pack is None
    assert [each.id for each in found.packs] == ["one", "two"]


def test_a_pattern_is_told_as_the_guess_it_is() -> None:
    assert stands(Facts(map={"X": [claim("fancy", Told.PATTERN)]})).told is Told.PATTERN


def test_types_of_the_editor_have_a_pack_although_no_map_has_them() -> None:
    found = stands(Facts(), "SetNode")

    assert found.pack is not None
    assert found.pack.id == "comfyui-kjnodes"


def test_without_any_look_the_file_alone_tells() -> None:
    told = NothingKnown().standing(NodeTypeUse("X", 1, None, "../../evil"))

    assert (told.state, told.told) == (UNKNOWN, Told.AUX_ID)
    assert told.pack == Pack("../../evil", None, None)


# -- what a pack that is here is called


def test_a_pack_that_does_not_say_its_title_has_that_of_the_map() -> None:
    found = stands(Facts([pack("fancy")], PYTHON, {"Y": [titled("fancy", "Fancy Nodes")]}))

    assert found.pack == Pack("fancy", "Fancy Nodes", "https://github.com/Owner/fancy")


def test_a_fork_keeps_its_own_address() -> None:
    known = {"Y": [titled("fancy", "Fancy Nodes", owner="other")]}

    found = stands(Facts([pack("fancy")], PYTHON, known))

    assert found.pack == Pack("fancy", "Fancy Nodes", "https://github.com/owner/fancy")
