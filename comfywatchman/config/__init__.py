"""One TOML file and the environment -> frozen settings, each with its origin."""

from comfywatchman.config.load import Loaded, load, settings_path
from comfywatchman.config.places import home, workflow_directories
from comfywatchman.config.settings import ModelDirectory, Settings
from comfywatchman.config.show import Row, default_file, reference, rows
from comfywatchman.config.values import listen_address

__all__ = [
    "Loaded",
    "ModelDirectory",
    "Row",
    "Settings",
    "default_file",
    "home",
    "listen_address",
    "load",
    "reference",
    "rows",
    "settings_path",
    "workflow_directories",
]
