"""HTTP: the API, the live page, metrics and health."""

from comfywatchman.server.feed import Feed
from comfywatchman.server.http import HttpServer
from comfywatchman.server.routes import HANDLER_NAMES
from comfywatchman.server.token import load_or_make_token

__all__ = ["HANDLER_NAMES", "Feed", "HttpServer", "load_or_make_token"]
