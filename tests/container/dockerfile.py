"""Does what a Dockerfile says, without an engine.

Every stage gets a folder for its root, and absolute paths mean paths in there. All stages have the same
one, one after the other, so that a path written into a file in one stage is right in the next, as in an
engine. The base image is this machine; of it only ``python`` and the usual programs are to be seen.
An instruction that is not known here is an error: nothing is skipped by mistake.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import string
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser
from pathspec import PathSpec

from tests.container.unprivileged import as_user
from tests.patience import PATIENCE

BUILDER = 10002
"""Who runs the instructions: an engine has root do it, and here nobody is."""

# Absolute paths of the image; what is in /bin and /usr belongs to the base.
_ABSOLUTE = re.compile(r"(?<![\w.$}/-])/(?!(?:bin|usr|dev)\b)(?=[\w.])")
_BASE_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Image:
    """What came out.

    Attributes:
        root: its file system.
        env: variables that it sets.
        user: the number of its user.
        entrypoint: what it runs.
        arguments: what follows, unless somebody says otherwise.
        health: the health check's command.
        ports: that it exposes.
    """

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return [self.inside(word) for word in (*self.entrypoint, *self.arguments)]

    def inside(self, text: str) -> str:
        """Let absolute paths mean those of the image, unless they already do."""

        def place(found: re.Match[str]) -> str:
            ours = text.startswith(str(self.root.parent), found.start())
            return "/" if ours else f"{self.root}/"

        return _ABSOLUTE.sub(place, text)

    def note(self, instruction: str, value: str) -> bool:
        """Take what an instruction says of the image; return False if it does something instead."""
        if instruction == "USER":
            self.user = int(value.partition(":")[0])
        elif instruction == "ENTRYPOINT":
            self.entrypoint = json.loads(value)
        elif instruction == "CMD":
            self.arguments = json.loads(value)
        elif instruction == "HEALTHCHECK":
            self.health = json.loads(value.partition(" CMD ")[2])
        elif instruction == "EXPOSE":
            self.ports = [int(port) for port in value.split()]
        else:
            return False
        return True


def inspect(dockerfile: str) -> Image:
    """Return what an image says of itself; nothing is built."""
    image = Image(Path("/"))
    for instruction, value in _lines(dockerfile):
        image.note(instruction, value)
    return image


def _lines(dockerfile: str) -> list[tuple[str, str]]:
    lines = DockerfileParser(fileobj=io.BytesIO(dockerfile.encode())).structure
    found = [(line["instruction"], line["value"]) for line in lines]
    return [(instruction, value) for instruction, value in found if instruction != "COMMENT"]


class Builder:
    """Builds in a folder that is empty.

    Args:
        folder: where stages and the image go.
        context: what the Dockerfile may copy from; its ``.dockerignore`` counts.
        env: further variables for what runs, for pip.
    """

    def __init__(self, folder: Path, context: Path, env: dict[str, str]) -> None:
        self._folder, self._context, self._env = folder, context, env
        self._ignore = PathSpec.from_lines(
            "gitignore", (context / ".dockerignore").read_text().splitlines()
        )
        self._stage, self._workdir = "", "/"
        self._arguments: dict[str, str] = {}
        self._image = Image(folder / "root")
        base = folder / "base"
        base.mkdir()
        (base / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))

    def build(self, dockerfile: str) -> Image:
        """Follow the file from top to bottom."""
        for instruction, value in _lines(dockerfile):
            if not self._image.note(instruction, value):
                getattr(self, f"do_{instruction.lower()}")(value)
        return self._image

    # ------------------------------------------------------------ instructions

    def do_from(self, value: str) -> None:
        _, _, name = self._expand(value).partition(" AS ")
        if self._image.root.exists():
            self._image.root.rename(self._folder / f"stage-{self._stage}")
        self._stage, self._workdir = name, "/"
        self._image = Image(self._folder / "root")
        self._mkdir(self._image.root)

    def do_arg(self, value: str) -> None:
        name, _, default = value.partition("=")
        self._arguments[name] = default

    def do_env(self, value: str) -> None:
        for word in shlex.split(value):
            name, _, text = word.partition("=")
            self._image.env[name] = self._expand(text)

    def do_workdir(self, value: str) -> None:
        self._workdir = value
        self._mkdir(self._place(value))

    def do_copy(self, value: str) -> None:
        *sources, target = shlex.split(value)
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self._folder / f"stage-{sources.pop(0).removeprefix('--from=')}"
        for source in sources:
            found = origin / source.lstrip("/")
            into = self._place(target) / ("" if found.is_dir() else found.name)
            into.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                ignore = self._ignored if origin == self._context else None
                shutil.copytree(found, into, symlinks=True, ignore=ignore)
            else:
                assert not self._ignore.match_file(source), f"{source} is not sent to the engine"
                shutil.copy2(found, into)
        self._give(self._image.root)

    def do_run(self, value: str) -> None:
        done = subprocess.run(
            [*as_user(BUILDER), "/bin/sh", "-euc", self._image.inside(value)],
            cwd=self._place("."),
            env={"HOME": "/nonexistent", **self._arguments, **self.environment(self._image)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"RUN {value}\n{done.stdout}{done.stderr}"

    # ------------------------------------------------------------ parts

    def environment(self, image: Image) -> dict[str, str]:
        """Return the variables of a process in an image."""
        path = f"{self._folder / 'base'}:{_BASE_PATH}"
        env = {name: image.inside(text) for name, text in image.env.items()}
        return {"PATH": path, **self._env, **env}

    def _expand(self, text: str) -> str:
        known = {
            "PATH": f"{self._folder / 'base'}:{_BASE_PATH}",
            **self._arguments,
            **self._image.env,
        }
        return string.Template(text).substitute(known)

    def _place(self, path: str) -> Path:
        return self._image.root.joinpath(*Path(self._workdir, path).parts[1:])

    def _mkdir(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._give(path)

    def _give(self, path: Path) -> None:
        """Let the builder write there."""
        if as_user(BUILDER):
            subprocess.run(
                ["chown", "-R", f"{BUILDER}:{BUILDER}", path], check=True, timeout=PATIENCE
            )

    def _ignored(self, folder: str, names: list[str]) -> set[str]:
        at = Path(folder).relative_to(self._context)
        return {name for name in names if self._ignore.match_file(str(at / name))}
