"""``python -m comfywatchman.config`` prints docs/settings.md."""

import sys

from comfywatchman.config.show import reference

sys.stdout.write(reference())
