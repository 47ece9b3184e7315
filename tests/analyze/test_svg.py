"""Drawings: their metadata is read as XML, and as the editor does where they are none."""

from __future__ import annotations

import json

import pytest

from comfywatchman.analyze.formats import Limits
from comfywatchman.domain.references import WorkflowContent
from tests.analyze.building import graph, node, read_bytes

NOTE = "a note </metadata> & {more} \u00e9"
BOTH = json.dumps(
    {
        "prompt": {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "p.pt"}}},
        "workflow": graph(node(1, "VAELoader", "w.pt"), node(2, "Note", NOTE)),
    },
    ensure_ascii=False,
)
CDATA = f"<metadata><![CDATA[{BOTH}]]></metadata>"
HALVES = f"{BOTH[:99]}]]><![CDATA[{BOTH[99:]}"
ESCAPED = BOTH.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
LONG = "<!-- " + 90_000 * "long " + "-->"
DOCTYPE = (
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/'
    'svg11.dtd">'
)


def svg(inner: str, before: str = '<?xml version="1.0"?>\n') -> bytes:
    return f'{before}<svg xmlns="http://www.w3.org/2000/svg">{inner}<path d="M0"/></svg>'.encode()


DRAWINGS = {
    "as the saver writes it": svg(f"  <metadata>\n    <![CDATA[\n{BOTH}\n    ]]>\n</metadata>\n"),
    "two CDATA sections": svg(f"<metadata><![CDATA[{HALVES}]]></metadata>"),
    "numbers for braces": svg(
        f"<metadata>{ESCAPED.replace('{', '&#123;').replace('}', '&#x7D;')}</metadata>"
    ),
    "long numbers": svg(f"<metadata>{ESCAPED.replace('&quot;', '&#0034;')}</metadata>"),
    "a prefix": svg(CDATA).replace(b"<svg", b"<ns0:svg").replace(b"</svg", b"</ns0:svg"),
    "prefixes": svg(CDATA.replace("metadata>", "ns0:metadata>", 1).replace(
        "]]></metadata>", "]]></ns0:metadata>")),
    "attributes": svg(CDATA.replace("<metadata>", "<metadata id='a>b' x=\"&lt;/metadata>\">")),
    "an element inside": svg(f"<metadata><x/><comfy>{ESCAPED}</comfy></metadata>"),
    "a comment before": svg(f"<!-- <metadata>{{}}</metadata> -->{CDATA}"),
    "long comment": svg(CDATA, before=LONG),
    "doctype": svg(CDATA, before=DOCTYPE),
    "long doctype": svg(CDATA, before="<!DOCTYPE svg [" + 9_000 * "<!ELEMENT svg ANY>" + "]>"),
    "UTF-16": svg(CDATA, before="").decode().encode("utf-16"),
    "UTF-16, declared": svg(CDATA, '<?xml version="1.0" encoding="UTF-16"?>').decode().encode(
        "utf-16"),
    "UTF-16 without a mark": svg(CDATA, '<?xml version="1.0" encoding="UTF-16"?>').decode().encode(
        "utf-16-be"),
    "Latin-1": svg(CDATA, '<?xml version="1.0" encoding="ISO-8859-1"?>').decode().encode("latin-1"),
    "white space first": b"\n\n " + svg(CDATA),
    "a mark of UTF-8": b"\xef\xbb\xbf" + svg(CDATA),
    # no XML, but the editor finds it
    "an end of CDATA in a note": svg(CDATA.replace("{more}", "]]>")),
    "a wrong encoding": svg(CDATA, '<?xml version="1.0" encoding="UTF-16"?>'),
    "no XML behind it": svg(CDATA + "<path d=M0>&nbsp;"),
    "an entity": svg(CDATA, '<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>'),
}  # fmt: skip


@pytest.mark.parametrize("data", DRAWINGS.values(), ids=DRAWINGS.keys())
def test_the_metadata_of_a_drawing_are_read(data: bytes) -> None:
    content = read_bytes(data)

    assert (content.trouble, content.container, content.taken) == (None, "svg", "workflow")
    assert [each.name for each in content.references] == ["w.pt"]


@pytest.mark.parametrize(
    "data",
    [
        svg(""),
        svg('<metadata><rdf:RDF xmlns:rdf="x">text</rdf:RDF></metadata>'),
        svg("", '<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>'),
    ],
)
def test_a_drawing_without_a_workflow_is_no_trouble(data: bytes) -> None:
    content = read_bytes(data)

    assert (content.format, content.trouble) == ("none", None)


def test_a_drawing_that_breaks_off_anywhere_is_read_or_told_with_its_place() -> None:
    whole = DRAWINGS["as the saver writes it"]

    for length in range(40, len(whole) - 1):
        content = read_bytes(whole[:length])

        if content.trouble is None:
            assert [each.name for each in content.references] == ["w.pt"]
        else:
            assert any(letter.isdigit() for letter in content.trouble.cause), content.trouble


def test_a_workflow_that_breaks_off_inside_a_whole_drawing_is_told() -> None:
    content = read_bytes(svg(f"<metadata><![CDATA[{BOTH[:-40]}]]></metadata>"))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-unreadable"


BOMB = "".join(f'<!ENTITY a{n + 1} "{9 * f"&a{n};"}">' for n in range(30))


@pytest.mark.parametrize(
    "data",
    [
        svg("<metadata>&a30;</metadata>", f'<!DOCTYPE svg [<!ENTITY a0 "x">{BOMB}]>'),
        svg(
            "<metadata>&a;</metadata>",
            '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        ),
        svg(200_000 * "<g>"),
        svg(1_500_000 * "<g/>"),
        svg(f"<metadata>{200_000 * '<metadata>'}"),
        svg(200_000 * "<metadata><![CDATA[" + "&"),
        svg("&" + 200_000 * "]]> "),
    ],
    ids=["bomb", "file", "deep", "wide", "deep metadata", "openings", "closings"],
)
def test_a_drawing_made_to_keep_us_busy_does_not(data: bytes) -> None:
    content = read_bytes(data)

    assert content.trouble is not None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", [b"<!--", b"<!", b"<!-- -->", b"&<!--", b"<!DOCTYPE   ", b"<a:"])
def test_what_may_be_a_drawing_is_told_apart_at_once(piece: bytes) -> None:
    content = read_bytes(b"<!" + (1 << 20) // len(piece) * piece)

    assert content.trouble is not None


def test_a_drawing_beyond_the_limit_is_not_read() -> None:
    content = read_bytes(svg(CDATA), limits=Limits(max_text_bytes=100))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


@pytest.mark.parametrize(
    "data",
    [
        b'<?xml version="1.0"?><html><body>svg</body></html>',
        b"<!doctype html><html><link><body><svg></svg></body></html>",
    ],
)
def test_another_page_is_no_drawing(data: bytes) -> None:
    content: WorkflowContent = read_bytes(data)

    assert content.container == "json"
    assert content.trouble is not None
