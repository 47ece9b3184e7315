"""What an installation of ComfyUI looks like from outside: its place and its folders."""

from comfywatchman.comfyui.desktop import Flags, told_by_launcher
from comfywatchman.comfyui.layout import Layout, find_comfyui, read_layout

__all__ = ["Flags", "Layout", "find_comfyui", "read_layout", "told_by_launcher"]
