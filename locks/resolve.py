"""Writes the locks from pyproject.toml and constraints.txt: `make lock`, or `python -m locks.resolve --upgrade`.

uv resolves for each Python version and all platforms at once and names every wheel with its digest. Of those, a lock
keeps the wheels that its Python can install on these platforms. Where the locks hold already what is asked for, they
stay as they are; with --upgrade, what constraints.txt does not pin is taken as new as it can be.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging import tags
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from locks.pins import REPOSITORY, TIERS, TORCH, Pin, is_torch_family, lock_path, pythons, read_lock

# sys_platform and platform_machine, as markers call them.
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
# The newest C library and macOS whose wheels are taken.
GLIBC, MACOS = 40, (15, 0)

TITLES = {
    "run": "what a job needs, and what builds the project",
    "test": "what the tests need beyond run.txt",
    "dev": "what `make lint`, `make lock` and `make licences` need beyond run.txt and test.txt",
    TORCH: "torch and its CUDA libraries, by version: the builds for CPU and GPU are different files",
}


def main() -> int:
    """The locks are those of pyproject.toml and constraints.txt, or uv has said why there are none."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    meaning = "take newer releases of what constraints.txt leaves open"
    arguments.add_argument("--upgrade", action="store_true", help=meaning)
    upgrade = arguments.parse_args().upgrade
    for python in pythons():
        with tempfile.TemporaryDirectory() as folder:
            tiers = resolve(Path(folder), python, {} if upgrade else locked(python))
        for tier, pins in tiers.items():
            write_lock(lock_path(python, tier), python, tier, pins)
            print(f"{lock_path(python, tier).relative_to(REPOSITORY)}: {len(pins)} packages")
    return 0


def locked(python: str) -> dict[str, str]:
    """The versions in the locks of this Python, by name; none where there are no locks yet."""
    paths = [lock_path(python, tier) for tier in (*TIERS, TORCH)]
    return {name: pin.version for path in paths if path.exists() for name, pin in read_lock(path).items()}


def resolve(folder: Path, python: str, kept: dict[str, str]) -> dict[str, list[Pin]]:
    """The pins of every tier, and of torch, that fit together on all platforms.

    Args:
        folder: An empty folder for uv's files.
        python: A version like "3.11".
        kept: Versions to keep where they still fit, by name.

    Raises:
        CalledProcessError: If uv finds no versions that fit.
        ValueError: If uv chose two versions of a package, or one without a wheel for a platform that needs it.
    """
    (folder / "pyproject.toml").write_text(asked(python), encoding="utf-8")
    (folder / "constraints.txt").write_bytes((REPOSITORY / "constraints.txt").read_bytes())
    # uv keeps what its own output holds, where it can.
    (folder / "all.txt").write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="utf-8")
    compile_with_uv(folder, python, TIERS, "all.txt", ["--no-annotate"])
    tiers: dict[str, list[Pin]] = {}
    seen: set[str] = set()
    for at, tier in enumerate(TIERS):
        compile_with_uv(folder, python, TIERS[: at + 1], f"pylock.{tier}.toml", ["--constraint", "all.txt"])
        packages = tomllib.loads((folder / f"pylock.{tier}.toml").read_text(encoding="utf-8"))["packages"]
        pins = [pin_of(package, python) for package in packages if package["name"] not in seen]
        if len(pins) != len({pin.name for pin in pins}):
            raise ValueError(f"uv chose two versions of one package for Python {python}: pin it in constraints.txt")
        seen |= {pin.name for pin in pins}
        tiers[tier] = [pin for pin in pins if not is_torch_family(pin.name)]
        tiers.setdefault(TORCH, []).extend(pin for pin in pins if is_torch_family(pin.name))
    return tiers


def asked(python: str) -> str:
    """A pyproject.toml that asks for what ours asks, for one Python version and our platforms."""
    ours = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    extras = ours["project"]["optional-dependencies"]
    tiers = {tier: [one for one in extras[tier] if not own(one)] for tier in TIERS[1:]}
    where = [
        f"sys_platform == '{system}' and platform_machine == '{machine}' and python_version == '{python}'"
        " and platform_python_implementation == 'CPython'"
        for system, machine in PLATFORMS
    ]
    return (
        f'[project]\nname = "medim-forge"\nversion = "0"\nrequires-python = "=={python}.*"\n'
        f"dependencies = {json.dumps(ours['project']['dependencies'] + ours['build-system']['requires'])}\n"
        "[project.optional-dependencies]\n"
        + "".join(f"{tier} = {json.dumps(requirements)}\n" for tier, requirements in tiers.items())
        + f"[tool.uv]\nenvironments = {json.dumps(where)}\n"
    )


def own(requirement: str) -> bool:
    """Whether a requirement of an extra is our own project with another extra."""
    return canonicalize_name(Requirement(requirement).name) == "medim-forge"


def compile_with_uv(folder: Path, python: str, tiers: tuple[str, ...], output: str, options: list[str]) -> None:
    """`output` in `folder` holds what the tiers need, as uv writes it."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal"]
    command += ["--no-python-downloads", "--only-binary", ":all:", "--python-version", python, "--no-header"]
    command += [part for tier in tiers[1:] for part in ("--extra", tier)]
    command += ["--constraint", "constraints.txt", *options, "--output-file", output]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - our own arguments


def pin_of(package: dict[str, Any], python: str) -> Pin:
    """The pin of one package of uv's answer.

    Raises:
        ValueError: If a platform needs the package and has no wheel.
    """
    name, version = package["name"], package["version"]
    marker = Marker(package["marker"]) if "marker" in package else None
    needed = [one for one in PLATFORMS if marker is None or marker.evaluate(environment(python, *one))]
    if is_torch_family(name):
        return Pin(name, version, marker_of(needed), ())
    digests: set[str] = set()
    for system, machine in needed:
        fitting = set(wheel_tags(python, system, machine))
        wheels = [wheel for wheel in package.get("wheels", []) if parse_wheel_filename(file_name(wheel))[3] & fitting]
        if not wheels:
            raise ValueError(f"{name} {version} has no wheel for Python {python} on {system} {machine}")
        digests |= {wheel["hashes"]["sha256"] for wheel in wheels}
    return Pin(name, version, marker_of(needed), tuple(sorted(digests)))


def file_name(wheel: dict[str, Any]) -> str:
    """What the wheel's file is called, wherever uv found it."""
    return unquote(wheel.get("name") or (wheel.get("url") or wheel["path"]).rsplit("/", 1)[-1])


def environment(python: str, system: str, machine: str) -> dict[str, str]:
    """What markers are asked about, on that platform."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
        "os_name": "posix",
    }


def marker_of(needed: list[tuple[str, str]]) -> str:
    """The shortest marker that is true on these of our platforms and no others; empty if on all."""
    systems = {system for system, _ in PLATFORMS if all(one in needed for one in PLATFORMS if one[0] == system)}
    parts = [f"sys_platform == '{system}'" for system in sorted(systems)]
    parts += [
        f"sys_platform == '{system}' and platform_machine == '{machine}'"
        for system, machine in needed
        if system not in systems
    ]
    return "" if len(needed) == len(PLATFORMS) else " or ".join(parts)


def wheel_tags(python: str, system: str, machine: str) -> Iterator[tags.Tag]:
    """What the names of wheels may say that CPython of this version installs on that platform."""
    if system == "darwin":
        platforms = list(tags.mac_platforms(MACOS, machine))
    else:
        old = [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
        platforms = [*(f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)), *old, f"linux_{machine}"]
    major, minor = map(int, python.split("."))
    yield from tags.cpython_tags((major, minor), [f"cp{major}{minor}"], platforms)
    yield from tags.compatible_tags((major, minor), f"cp{major}{minor}", platforms)


def write_lock(path: Path, python: str, tier: str, pins: list[Pin]) -> None:
    """The lock holds these pins, sorted by name."""
    head = (
        f"# Python {python}: {TITLES[tier]}.\n"
        "# Written by `make lock` from pyproject.toml and constraints.txt; installed by locks/install.\n\n"
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + "".join(pin.as_line() for pin in sorted(pins, key=lambda pin: pin.name)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
