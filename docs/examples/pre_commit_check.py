"""Refuse a commit of workflows that are broken or give a secret away: a pre-commit hook.

#!/bin/sh
git diff --cached --name-only --diff-filter=ACM -z -- '*.json' '*.png' |
    xargs -0 -r python docs/examples/pre_commit_check.py
"""

import sys
from collections.abc import Iterator, Sequence

from comfywatchman import WorkflowParseError, WorkflowScanner


def problems(scanner: WorkflowScanner, path: str) -> Iterator[str]:
    try:
        workflow = scanner.scan_workflow(path)
    except WorkflowParseError as error:
        if error.code != "not-a-workflow":  # other JSON files and pictures are no business of ours
            yield f"{path}: {error.cause}"
        return
    for finding in scanner.validate_workflow(workflow).findings:
        if finding["severity"] == "error":
            yield f"{path}: {finding['code']}: {finding['message']}"


def main(paths: Sequence[str]) -> int:
    with WorkflowScanner() as scanner:
        found = [problem for path in paths for problem in problems(scanner, path)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
