# SPDX-License-Identifier: LGPL-3.0-or-later
"""The Rust packages windows-redirector-sys-VERSION.crate, with the C sources, and windows-redirector-VERSION.crate.

cargo says what is in them, and this packs it anew: cargo's own has the time of day and the commit in it.
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import tarfile
import tempfile

from common import DistError, run, sha256

SYSTEM_CRATES = pathlib.Path("/usr/share/cargo/registry")  # Debian's packages librust-*-dev
PACKAGES = ("windows-redirector-sys", "windows-redirector")  # the second needs the first
COMMIT = ".cargo_vcs_info.json"


def run_cargo(root, build, *arguments, **options):
    """rust/cargo.sh with a build folder of its own. Without the caller's ways to link."""
    environment = {key: value for key, value in os.environ.items() if key != "WINDOWS_REDIRECTOR_LIB_DIR"}
    environment.update(options.pop("environment", {}), RUST_BUILD=str(build))
    return run([root / "rust" / "cargo.sh", *arguments], env=environment, cwd=options.pop("cwd", root), **options)


def new_registry(build):
    """A folder of crates, as cargo takes one for a registry, with Debian's in it."""
    crates = build / "crates"
    crates.mkdir(parents=True)
    for crate in SYSTEM_CRATES.iterdir():
        (crates / crate.name).symlink_to(crate)
    return crates


def add_to_registry(crates, crate):
    with tarfile.open(crate) as archive:
        archive.extractall(crates)
    sums = {"package": sha256(crate), "files": {}}
    (crates / crate.name.removesuffix(".crate") / ".cargo-checksum.json").write_text(json.dumps(sums), encoding="utf-8")


def read_files(crate):
    """[(name, bytes)] of what cargo has packed, in an order that is the same everywhere."""
    with tarfile.open(crate) as archive:
        members = [member for member in archive.getmembers() if not member.name.endswith("/" + COMMIT)]
        strange = [member.name for member in members if not member.isfile()]
        if strange:
            raise DistError(f"{crate.name}: these are no files: {strange}")
        return sorted((member.name, archive.extractfile(member).read()) for member in members)


def pack(files, target, epoch):
    with open(target, "wb") as output, \
            gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=output, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), epoch, 0o644
            archive.addfile(entry, io.BytesIO(data))


def describe(files):
    """The files as components of the SBOM."""
    return [{"type": "file", "bom-ref": f"file:{name}", "name": name,
             "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]} for name, data in files]


def make(context):
    paths, components = [], []
    with tempfile.TemporaryDirectory(prefix="redirector-crate-") as folder:
        build = pathlib.Path(folder)
        crates = new_registry(build)
        for name in PACKAGES:
            run_cargo(context.root, build, "package", "--package", name, "--no-verify", "--allow-dirty", "--locked")
            file = f"{name}-{context.version}.crate"
            files = read_files(build / "target" / "package" / file)
            pack(files, context.dist / file, context.epoch)
            add_to_registry(crates, context.dist / file)
            paths.append(context.dist / file)
            components = components or describe(files)
    return paths, components
