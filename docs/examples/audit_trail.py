"""Who has which bytes from where: ``audit_trail.py TRAIL.jsonl WORKFLOW…``.

One line is appended for each model of each run, also for those that did not come. What the daemon
does to the disk is in ``audit.jsonl`` of its state directory.
"""

import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from comfywatchman import ComfyFixerCore


def lines(core: ComfyFixerCore, workflows: Sequence[str]) -> Iterator[dict[str, Any]]:
    missing = core.analyze_workflows(workflows).missing_models
    for result in core.download_models(missing):
        yield {
            "at": datetime.now(UTC).isoformat(),
            "who": getpass.getuser(),
            "model": result.filename,
            "path": None if result.save_path is None else str(result.save_path),
            "sha256": result.hash_sha256,
            "proven": result.hash_promised,
            "result": "placed" if result.success else result.error_code,
        }


def main(arguments: Sequence[str]) -> int:
    trail, *workflows = arguments
    failed = 0
    with ComfyFixerCore() as core, Path(trail).open("a", encoding="utf-8") as file:
        for line in lines(core, workflows):
            file.write(json.dumps(line) + "\n")
            failed += line["result"] != "placed"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
