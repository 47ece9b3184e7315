"""The daemon as a service of systemd or launchd: its unit written, started, looked at, removed."""

LABEL = "io.comfywatchman.agent"
"""What launchd calls our agent, and tells whom it starts (``XPC_SERVICE_NAME``)."""
