"""Reading files of strangers, in a process that can fail without us."""
