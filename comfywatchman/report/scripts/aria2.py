"""A list for ``aria2c --input-file``."""

from __future__ import annotations

from comfywatchman.report.scripts.errand import Errand, Errands


def to_aria2(errands: Errands) -> str:
    """Return the list; what needs a token is a comment, since aria2 sends headers to every host."""
    lines = [f"# {line}".rstrip() for line in errands.heading()]
    lines += [
        "# aria2 gives a file its name before it checks it: see its summary; status 32 means that",
        "# other bytes came than were promised.",
    ]
    lines += ["# aria2c --input-file=THIS --max-concurrent-downloads=3 --follow-metalink=false", ""]
    for errand in errands.each:
        lines += [f"# {errand.title}", *_entry(errand)]
    return "\n".join(lines) + "\n"


def _entry(errand: Errand) -> list[str]:
    folder, name = str(errand.final.parent), errand.final.name
    if errand.needs is not None:
        return [f"# It needs a {errand.needs}: `comfywatchman download` or the sh script has it."]
    if any("\n" in text or "\r" in text for text in (folder, name)) or name != name.strip():
        return ["# aria2 cannot write such a name: the sh script can."]
    # Without `continue`: it would append to any shorter file of that name. What aria2 itself has
    # begun it goes on with anyhow, by the file that it keeps beside it.
    options = [f"  dir={folder}", f"  out={name}", "  allow-overwrite=false"]
    options += ["  auto-file-renaming=false"]
    if errand.sha256 is not None:
        options += [f"  checksum=sha-256={errand.sha256}", "  check-integrity=true"]
    return ["\t".join(errand.urls), *options]
