"""The Python API: a thin, typed front of the rooms that the daemon uses.

`comfywatchman` itself names everything here; a module of this room is imported when one of its
names is first used, so that importing the package costs nothing.
"""
