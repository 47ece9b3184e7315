"""Scripts that fetch what is missing without us: the same bytes, checked, over no file. Pure."""

from collections.abc import Callable, Mapping

from comfywatchman.report.scripts.aria2 import to_aria2
from comfywatchman.report.scripts.errand import Errand, Errands
from comfywatchman.report.scripts.powershell import to_powershell
from comfywatchman.report.scripts.sh import to_sh

SCRIPTS: Mapping[str, Callable[[Errands], str]] = {
    "sh": to_sh,
    "powershell": to_powershell,
    "aria2": to_aria2,
}

__all__ = ["SCRIPTS", "Errand", "Errands", "to_aria2", "to_powershell", "to_sh"]
