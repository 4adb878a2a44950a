"""Which way imports run, and what starting must not load."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "peft",
    "bitsandbytes",
    "onnx",
    "onnxruntime",
    "onnxruntime_genai",
    "onnx_ir",
    "tokenizers",
    "safetensors",
    "gguf",
    "numpy",
    "pydantic",
    "huggingface_hub",
    "anthropic",
    "jinja2",
    "requests",
    "httpx2",
}
GROUND_FLOOR = ("engine.settings", "engine.workspace", "engine.errors", "engine.progress", "engine.processes", "engine.store")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in ("engine", "mtntui") for path in sorted((ROOT / package).rglob("*.py"))}


def is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(name: str, *, everywhere: bool) -> set[str]:
    """The modules that a module imports: at its top level, or also inside its functions; never those for types alone."""
    found: set[str] = set()
    todo: list[ast.AST] = list(tree(name).body)
    while todo:
        node = todo.pop()
        if is_typing_block(node):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            base = node.module or ""
            found |= {full if (full := f"{base}.{alias.name}") in FILES else base for alias in node.names}
        if everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def belongs(name: str, packages: tuple[str, ...] | set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_there_is_something_to_look_at() -> None:
    assert {"engine.store.database", "mtntui.__main__", "mtntui.app"} <= set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if belongs(name, ("engine",))])
def test_the_engine_knows_no_screen(name: str) -> None:
    assert not {other for other in imported(name, everywhere=True) if belongs(other, ("mtntui", "textual", "rich"))}


@pytest.mark.parametrize("name", [name for name in FILES if belongs(name, GROUND_FLOOR)])
def test_the_ground_floor_stands_on_nothing_else(name: str) -> None:
    ours = {other for other in imported(name, everywhere=True) if belongs(other, ("engine",))}
    assert not {other for other in ours if not belongs(other, (*GROUND_FLOOR, "engine.__version__")) and other != "engine"}


@pytest.mark.parametrize("name", [name for name in FILES if belongs(name, ("mtntui",))])
def test_the_terminal_program_imports_nothing_heavy_at_its_top(name: str) -> None:
    assert not {other for other in imported(name, everywhere=False) if belongs(other, HEAVY)}


def test_no_module_reaches_itself_again() -> None:
    graph = {name: {other for other in imported(name, everywhere=False) if other in FILES} for name in FILES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def loaded_after(code: str, tmp_path: Path) -> set[str]:
    """The modules that a fresh Python has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MTNTUI_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stderr.strip().splitlines()[-1])
    return set(modules)


def test_help_loads_next_to_nothing(tmp_path: Path) -> None:
    loaded = loaded_after("from mtntui.__main__ import main; assert main(['--help']) == 0", tmp_path)
    assert not {name for name in loaded if belongs(name, HEAVY | {"textual", "rich", "asyncio", "sqlite3", "subprocess"})}
    assert len(loaded) < 140, "a bare Python with argparse has about 70"


@pytest.mark.parametrize(
    "name", ["engine", "engine.settings", "engine.workspace", "engine.store.conversations", "engine.store.models"]
)
def test_the_ground_floor_loads_nothing_heavy(tmp_path: Path, name: str) -> None:
    loaded = loaded_after(f"import {name}", tmp_path)
    assert not {other for other in loaded if belongs(other, HEAVY | {"textual", "rich", "mtntui"})}


@pytest.mark.parametrize("module", ["mtntui.app", "mtntui.screens.chat.screen", "engine.inference.client", "engine.chat.session"])
def test_the_screens_process_loads_nothing_heavy(tmp_path: Path, module: str) -> None:
    loaded = loaded_after(f"import {module}", tmp_path)
    assert not {name for name in loaded if belongs(name, HEAVY)}


def test_the_logs_are_listed_without_textual(tmp_path: Path) -> None:
    loaded = loaded_after("from mtntui.__main__ import main; assert main(['logs', 'list']) == 0", tmp_path)
    assert not {name for name in loaded if belongs(name, HEAVY | {"textual", "asyncio"})}
