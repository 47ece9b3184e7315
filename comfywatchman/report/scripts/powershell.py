"""A script for PowerShell 5.1 and later, with the curl that Windows comes with."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.report.scripts.errand import PROMISE, Errand, Errands

_FUNCTIONS = r"""
$script:Failed = 0
$Curl = (Get-Command 'curl.exe', 'curl' -CommandType Application -ErrorAction SilentlyContinue |
    Select-Object -First 1).Source
if (-not $Curl) { Write-Error 'curl is needed; Windows 10 has it since 2018.'; exit 3 }

function Fail($Target, $Why) {
    [Console]::Error.WriteLine("${Target}: $Why")
    $script:Failed++
}

function Test-Whole($Path, $Sha256, $Size) {
    if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) { return $false }
    $Length = (Get-Item -LiteralPath $Path -Force).Length
    if ($null -ne $Size -and $Length -ne $Size) { return $false }
    if (-not $Sha256) { return $true }
    return (Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash -eq $Sha256
}

# The token comes from the environment and goes through a pipe: nobody sees it among the processes.
# curl sends it to the first host only.
function Get-Bytes($Url, $Part, $Variable, $Protocols) {
    $Secret = if ($Variable) { [Environment]::GetEnvironmentVariable($Variable) } else { $null }
    $Settings = if ($Secret) { "header = `"Authorization: Bearer $Secret`"" } else { '# no token' }
    $Options = @(
        '--config', '-', '--fail', '--location', '--proto', $Protocols, '--proto-redir', $Protocols,
        '--continue-at', '-', '--connect-timeout', '30', '--speed-limit', '1000',
        '--speed-time', '60', '--show-error', '--output', $Part, '--url', $Url
    )
    for ($Try = 1; $Try -le 5; $Try++) {
        $Settings | & $Curl @Options
        if ($LASTEXITCODE -in 0, 22, 33, 36, 37, 1, 3, 6) { return $LASTEXITCODE }
        Start-Sleep -Seconds $Try
    }
    return $LASTEXITCODE
}

function Get-Model($Target, $Part, $Sha256, $Size, $Variable, $Protocols, $Urls) {
    if (Test-Path -LiteralPath $Target) {
        if (Test-Whole $Target $Sha256 $Size) { Write-Output "here already: $Target" }
        else { Fail $Target 'is there with other bytes, and stays as it is.' }
        return
    }
    [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($Target))
    foreach ($Url in $Urls) {
        foreach ($Again in 1, 2) {
            $Got = 0
            $Known = $Sha256 -or $null -ne $Size
            if (-not ($Known -and (Test-Whole $Part $Sha256 $Size))) {
                $Got = Get-Bytes $Url $Part $Variable $Protocols
            }
            if ($Got -eq 0 -and (Test-Whole $Part $Sha256 $Size)) {
                # Move never replaces a file.
                try { [IO.File]::Move($Part, $Target) }
                catch { Fail $Target 'could not be given its name.'; return }
                if ($Sha256) { Write-Output "verified: $Target" }
                else { Write-Output "placed, but nobody publishes a hash to prove it: $Target" }
                return
            }
            if ($Got -notin 0, 33) { break }
            Remove-Item -LiteralPath $Part -Force -ErrorAction SilentlyContinue
        }
        $Variable = $null
    }
    Fail $Target 'could not be fetched as it should be.'
}
"""


def to_powershell(errands: Errands) -> str:
    """Return the script; a path of it is below ``$Models`` where it is below ComfyUI's models."""
    lines = [f"# {line}".rstrip() for line in (*errands.heading(), *PROMISE)]
    lines += [
        "# -Models DIR names another directory of models.",
        f"param([string]$Models = {_quoted(str(errands.models))})",
        _FUNCTIONS,
    ]
    for errand in errands.each:
        lines += [f"# {errand.title}", _call(errand, errands.models)]
    lines += [
        "",
        f"$Missing = {len(errands.left_out)}",
        "if ($Missing) {",
        '    [Console]::Error.WriteLine("Not part of this script: $Missing; see its head.")',
        "}",
        "exit [int]($script:Failed -gt 0 -or $Missing -gt 0)",
    ]
    return "\n".join(lines) + "\n"


def _call(errand: Errand, models: Path) -> str:
    plain = any(url.startswith("http://") for url in errand.urls)
    words = [
        _below(errand.final, models),
        _below(errand.part, models),
        _quoted(errand.sha256) if errand.sha256 else "$null",
        "$null" if errand.size is None else str(errand.size),
        _quoted(errand.variable) if errand.variable else "$null",
        "'=http,https'" if plain else "'=https'",
        "@(" + ", ".join(map(_quoted, errand.urls)) + ")",
    ]
    return " `\n    ".join(["Get-Model", *words[:2], " ".join(words[2:6]), words[6]])


def _below(path: Path, models: Path) -> str:
    if not path.is_relative_to(models):
        return _quoted(str(path))
    parts = ", ".join(["$Models", *map(_quoted, path.relative_to(models).parts)])
    return f"([IO.Path]::Combine(@({parts})))"


_QUOTES = "'\u2018\u2019\u201a\u201b"
"""PowerShell takes each of them for the end of a text."""


def _quoted(text: str) -> str:
    return "'" + "".join(char * 2 if char in _QUOTES else char for char in text) + "'"
