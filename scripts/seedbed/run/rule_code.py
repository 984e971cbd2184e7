"""Digests of the code that the rules run, and of its parts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from seedbed.provenance import code_digest, code_parts


class RuleCode:
    """Digests of scripts and modules, which decide whether results are stale.

    Args:
        scripts: the folder of the scripts.
    """

    def __init__(self, scripts: Path) -> None:
        self._scripts = scripts
        self._sources: dict[str, tuple[Path | None, tuple[str | Path, ...]]] = {}
        # One instance a process, so these caches do not outlive it.
        self.script = cache(self._script)
        self.module = cache(self._module)

    def _script(self, name: str, *modules: str | Path) -> str:
        """Return the digest of a script and of all project code that it reaches.

        Args:
            name: name of the script, without `.py`.
            modules: see `code_digest`.
        """
        return self._noted(self._scripts / f"{name}.py", modules)

    def command(self, name: str) -> str:
        """Return the start of a shell command, which runs a script."""
        path = shlex.quote(str(self._scripts / f"{name}.py"))
        # Snakemake formats the command, so braces in the path are doubled.
        return "python " + path.replace("{", "{{").replace("}", "}}")

    def _module(self, name: str) -> str | None:
        """Return the digest of a module and of all project code that it reaches; None if gone."""
        path = self._scripts.joinpath(*name.split(".")).with_suffix(".py")
        return self._noted(None, (name,)) if path.is_file() else None

    def parts(self, digest: str) -> Mapping[str, str]:
        """Return the digests of the parts of some code, by name.

        Args:
            digest: a digest that this object has returned; others have no parts.
        """
        source = self._sources.get(digest)
        return {} if source is None else code_parts(*source)

    def _noted(self, path: Path | None, modules: tuple[str | Path, ...]) -> str:
        digest = code_digest(path, modules)
        self._sources[digest] = (path, modules)
        return digest
