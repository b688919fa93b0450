# SPDX-License-Identifier: LGPL-3.0-or-later
"""windows_redirector-VERSION-py3-none-win_amd64.whl: the Python package (python/) with library, program and driver.

Built by hatchling from a copy of python/ with the files for Windows in it, without network. hatchling takes the times in the
wheel from SOURCE_DATE_EPOCH; the modes of files it takes from the disk, so the copy has its own.
"""
import os
import pathlib
import shutil
import tempfile

import sbom
from common import DistError, files_of, run

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's hatchling
BIN = ("windows_redirector.dll", "redirector.exe", "WinDivert.dll", "WinDivert64.sys")
IGNORED = shutil.ignore_patterns("__pycache__", ".mypy_cache")


def fill(folder, context):
    """What the wheel is built from."""
    shutil.copytree(context.root / "python", folder, ignore=IGNORED)
    project = folder / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    if text.count("@VERSION@") != 1:
        raise DistError("python/pyproject.toml has no place for the version")
    project.write_text(text.replace("@VERSION@", context.version), encoding="utf-8")
    (folder / "windows_redirector" / "bin").mkdir()
    for name in BIN:
        shutil.copyfile(context.stage / "bin" / name, folder / "windows_redirector" / "bin" / name)
    shutil.copytree(context.stage / "licenses", folder, dirs_exist_ok=True)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def make(context):
    name = f"windows_redirector-{context.version}-py3-none-win_amd64.whl"
    with tempfile.TemporaryDirectory(prefix="redirector-wheel-") as folder:
        source, target = pathlib.Path(folder, "source"), pathlib.Path(folder, "made")
        fill(source, context)
        run([PYTHON, "-m", "hatchling", "build", "-t", "wheel", "-d", target], cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(context.epoch), "PYTHONDONTWRITEBYTECODE": "1"})
        if [path.name for path in target.iterdir()] != [name]:
            raise DistError(f"hatchling has not made {name}, but {sorted(path.name for path in target.iterdir())}")
        shutil.copyfile(target / name, context.dist / name)
    inside = [file for file in files_of(context.stage)
              if file.startswith("licenses/") or file in [f"bin/{name}" for name in BIN]]
    return [context.dist / name], sbom.contents(context.stage, inside)
