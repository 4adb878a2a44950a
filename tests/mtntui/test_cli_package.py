"""The package holds everything that the program reads."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_built_package_holds_every_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("engine", "mtntui"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wanted = {
        str(path.relative_to(source)) for name in ("engine", "mtntui") for path in (source / name).rglob("*") if path.is_file()
    }
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("mtntui-*.whl")
    with zipfile.ZipFile(wheel) as package:
        held = set(package.namelist())
        (entry_points,) = (name for name in held if name.endswith("entry_points.txt"))
        assert "mtntui = mtntui.__main__:main" in package.read(entry_points).decode()
    assert wanted <= held
    assert not {name for name in held if name.startswith(("tests", "benchmarks"))}
