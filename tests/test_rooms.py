"""The shape of the house: imports point down, and what is heavy is imported where it is used."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "elman"
# each room and the rooms below it that it may import; errors.py is below them all
BELOW = {
    "ops": set(),
    "nn": {"ops"},
    "bench": {"nn", "ops"},
    "models": {"nn", "ops"},
    "data": set(),
    "train": {"data"},
    "report": set(),
    "tasks": {"report", "train", "data", "models", "nn", "ops"},
    "view": {"tasks", "train", "data", "models", "nn", "ops"},
    "cli": {"view", "tasks", "train", "data", "models", "bench", "nn", "ops"},
}


def imports(file: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_known():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name[0] != "_"} == set(BELOW)


@pytest.mark.parametrize("room", BELOW)
def test_imports_point_down(room):
    for file in (PACKAGE / room).rglob("*.py"):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "elman" and len(parts) > 1 and parts[1] in BELOW:
                assert parts[1] in {room} | BELOW[room], f"{room}/{file.name} imports {name}"


def test_the_command_line_starts_without_torch():
    light = ("elman.cli", "elman.errors", "elman.__version__")
    for file in (PACKAGE / "cli").rglob("*.py"):
        for name in imports(file, top_level_only=True):
            heavy = name.split(".")[0] in {"torch", "numpy", "safetensors", "pydantic"}
            assert not heavy, f"cli/{file.name} imports {name}"
            assert not name.startswith("elman.") or name.startswith(light), f"{file.name}: {name}"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: f.name)
def test_a_file_is_one_thought(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 400
