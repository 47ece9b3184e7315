"""A download handler of one's own: ``share://NAME`` is a file of a mounted share."""

from pathlib import Path, PurePosixPath

from comfywatchman import DownloadHandler, DownloadResult, ProgressCallback


class Share(DownloadHandler):
    name = "share"
    root = Path("/mnt/models")

    def supports_url(self, url: str) -> bool:
        return url.startswith("share://")

    def download(
        self, url: str, save_path: Path, progress_callback: ProgressCallback | None = None
    ) -> DownloadResult:
        source = self.root / PurePosixPath(url).name
        size = source.stat().st_size
        with source.open("rb") as reading, save_path.open("wb") as writing:
            while block := reading.read(1 << 20):
                writing.write(block)
                if progress_callback:
                    progress_callback(save_path.name, writing.tell(), size)
        return DownloadResult(save_path.name, success=True, save_path=save_path)


def handler() -> DownloadHandler:
    return Share()
