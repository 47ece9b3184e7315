from __future__ import annotations

import subprocess
import sys


def test_the_log_of_a_daemon_does_not_bring_rich_along() -> None:
    program = (
        "from comfywatchman.report.lean import keep_rich_out; keep_rich_out()\n"
        "import sys, comfywatchman.report.log\n"
        "assert not any(name.startswith('rich.') for name in sys.modules)\n"
        "assert sys.modules['rich'] is None\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
