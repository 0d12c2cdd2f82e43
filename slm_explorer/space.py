"""Write a complete Hugging Face Space: header, requirements, entry, package, needed assets."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import yaml

from slm_explorer.assets import asset_folder, project_file
from slm_explorer.errors import InvalidRequest, StorageError
from slm_explorer.hub.push import push_space as upload
from slm_explorer.settings import Settings

# Pictures of the README, and the files that a wheel keeps among its assets.
UNNEEDED_ASSETS = ("screenshots", "app.py", "space.yaml")

# Header keys that the Hub knows, from its configuration reference. A misspelt key would be
# ignored there without a word.
KNOWN_KEYS = frozenset(
    [
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk",
        "python_version",
        "sdk_version",
        "suggested_hardware",
        "app_file",
        "app_port",
        "base_path",
        "fullWidth",
        "header",
        "short_description",
        "models",
        "datasets",
        "tags",
        "thumbnail",
        "pinned",
        "hf_oauth",
        "hf_oauth_scopes",
        "hf_oauth_expiration_minutes",
        "hf_oauth_authorized_org",
        "disable_embedding",
        "startup_duration_timeout",
        "custom_headers",
        "preload_from_hub",
        "license",
    ]
)
COLORS = frozenset(["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"])
SHORT_DESCRIPTION_LIMIT = 60

_BODY = """
# {title}

Talk to several small language models side by side and see what each answer cost: time to first
token, tokens per second, memory. The models that it starts with are toys trained for teaching;
every figure on the page is measured on this Space.

What it keeps (measurements, results) is lost when the Space restarts, unless storage is mounted
at `/data`. Looking models up, downloading, deleting, measuring and compressing are off for
visitors; SECURITY.md of the project says how its owner switches them on.

Start it anywhere with `pip install -r requirements.txt && python app.py`.
"""


def build_space(folder: Path) -> list[str]:
    """Fill `folder` (new or empty) with the Space; the names of what lies at its top level.

    Atomic: a failure leaves nothing behind. Raises InvalidRequest for a folder in use or a bad
    space.yaml, StorageError where it cannot be written.
    """
    header = read_header(project_file("space.yaml"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(f"{folder} is not an empty folder: name a new one.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".space-") as temporary:
            built = Path(temporary) / "space"
            _fill(built, header)
            if folder.exists():
                folder.rmdir()
            built.rename(folder)
    except OSError as error:
        raise StorageError(f"The Space cannot be written to {folder}: {error.strerror}.") from error
    return sorted(path.name for path in folder.iterdir())


def push_space(
    settings: Settings, hub_id: str, *, private: bool, hardware: str | None
) -> tuple[str, list[str]]:
    """Build the Space and put it on the Hub with the user's own sign-in; its address and files.

    Raises InvalidRequest for a wrong name, Offline, HubError.
    """
    with tempfile.TemporaryDirectory(prefix="slm-explorer-space-") as temporary:
        folder = Path(temporary) / "space"
        files = build_space(folder)
        return upload(settings, folder, hub_id, private=private, hardware=hardware), files


def read_header(path: Path) -> dict[str, object]:
    """The checked header of space.yaml; InvalidRequest names what is wrong with it."""
    header = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(header, dict):
        raise InvalidRequest(f"{path.name} must hold keys and values.")
    for key in ("title", "sdk", "sdk_version", "app_file"):
        if not isinstance(header.get(key), str):
            raise InvalidRequest(f"{path.name} needs a text for {key}.")
    unknown = sorted(set(header) - KNOWN_KEYS)
    if unknown:
        raise InvalidRequest(f"{path.name} has keys that the Hub does not know: {unknown}.")
    for key in ("colorFrom", "colorTo"):
        if key in header and header[key] not in COLORS:
            raise InvalidRequest(f"{path.name}: {key} is one of {', '.join(sorted(COLORS))}.")
    if len(str(header.get("short_description", ""))) > SHORT_DESCRIPTION_LIMIT:
        raise InvalidRequest(
            f"{path.name}: short_description has more than {SHORT_DESCRIPTION_LIMIT} characters."
        )
    return header


def requirement_lines(gradio_version: str) -> list[str]:
    """The project's run-time dependencies, each pinned to the version installed here.

    Gradio is pinned to the Space's sdk_version, since the Hub installs that one.
    """
    names = [_name(line) for line in _wanted()]
    try:
        return [
            f"{name}=={gradio_version if name == 'gradio' else version(name).partition('+')[0]}"
            for name in names
        ]
    except PackageNotFoundError as error:
        raise InvalidRequest(
            f"{error.name} is not installed here, so it cannot be pinned: run scripts/setup."
        ) from error


def _wanted() -> list[str]:
    """The project's own list; a checkout's file, for what was installed from it may be older."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.exists():
        listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        if listed.get("name") == "slm-explorer":
            return [str(line) for line in listed["dependencies"]]
    try:
        wanted = requires("slm-explorer") or []
    except PackageNotFoundError as error:
        raise InvalidRequest(
            "The package is not installed here, so its requirements are unknown: "
            "run scripts/setup, or pip install it."
        ) from error
    return [line for line in wanted if "extra ==" not in line]


def _name(requirement: str) -> str:
    for position, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:position]
    return requirement


def _fill(built: Path, header: dict[str, object]) -> None:
    package = Path(__file__).resolve().parent
    ignore = shutil.ignore_patterns("__pycache__", "assets")
    shutil.copytree(package, built / "slm_explorer", ignore=ignore)
    unneeded = shutil.ignore_patterns(*UNNEEDED_ASSETS)
    shutil.copytree(asset_folder(), built / "assets", ignore=unneeded)
    shutil.copy2(project_file("app.py"), built / "app.py")
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    readme = f"---\n{front}---\n" + _BODY.format(title=header["title"])
    (built / "README.md").write_text(readme, encoding="utf-8")
    pins = "\n".join(requirement_lines(str(header["sdk_version"])))
    (built / "requirements.txt").write_text(pins + "\n", encoding="utf-8")
