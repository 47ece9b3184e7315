"""What Prometheus reads: events counted, and the state of things at the moment it asks."""

from comfywatchman.report.metrics.counting import Metrics
from comfywatchman.report.metrics.declared import Build
from comfywatchman.report.metrics.sources import Sources

__all__ = ["Build", "Metrics", "Sources"]
