"""A web service: ``POST /analyze`` with a workflow as the body answers what it lacks.

flask --app flask_service:create_app run
"""

from tempfile import NamedTemporaryFile
from typing import Any

from flask import Flask, request

from comfywatchman import ComfyFixerCore, ComfyFixerError


def create_app(config: str | None = None) -> Flask:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 << 20
    core = ComfyFixerCore(config)

    @app.post("/analyze")
    def analyze() -> dict[str, Any]:
        with NamedTemporaryFile(suffix=".json") as file:
            file.write(request.get_data())
            file.flush()
            core.scanner.scan_workflow(file.name)  # what is no workflow is refused here
            found = core.analyze_workflows(file.name)
        return {
            "ready": found.ready,
            "missing_models": [model.filename for model in found.missing_models],
            "available_models": [model.filename for model in found.available_models],
            "missing_nodes": [node.type for node in found.missing_nodes],
            "suggestions": list(found.suggestions),
        }

    @app.errorhandler(ComfyFixerError)
    def refused(error: ComfyFixerError) -> tuple[dict[str, Any], int]:
        told = {"code": error.code, "cause": error.cause, "remedy": error.remedy}
        return {"error": told}, 503 if error.retryable else 422

    return app
