"""Graphs built from weights, ONNX folders taken in, and what is left when work is killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from model_workspace import ModelWorkspace, Remembered
from tiny_models import tiny_graph, tiny_weights

import engine
from engine.errors import InvalidInputError, NotFoundError, StorageError, error_from
from engine.inference.onnx_generator import Graph
from engine.models.add import add
from engine.models.build import build
from engine.models.child import run_worker
from engine.models.describe import describe
from engine.models.errors import BusyError, StoppedError
from engine.models.remove import remove
from engine.models.staging import model_lock, require_space
from engine.progress import Progress
from engine.store.models import ModelRecord

ROOT = Path(engine.__file__).parents[1]


def added(place: ModelWorkspace, tmp_path: Path, kind: str = "llama") -> ModelRecord:
    folder = tiny_weights(tmp_path / "tiny", kind)  # type: ignore[arg-type]
    (folder / "LICENSE").write_text("terms")
    return add(folder, place.workspace, place.database, Remembered())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int4", "int8", "fp32"])
def test_a_graph_predicts_what_the_weights_do(place: ModelWorkspace, tmp_path: Path, precision: str) -> None:
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    weights = added(place, tmp_path)
    reporter = Remembered()
    record = build(weights.name, place.workspace, place.database, reporter, precision=precision)
    assert (record.name, record.parent, record.precision) == (f"tiny-{precision}", "tiny", precision)
    assert (record.context_length, record.parameters, record.chats) == (512, 98_560, True)
    assert {"LICENSE", "config.json", "generation_config.json", "tokenizer.json"} <= set(record.details["files"])
    assert (record.path / "tokenizer.json").read_bytes() == (weights.path / "tokenizer.json").read_bytes()
    assert "building the graph" in reporter.phases
    assert place.model_folders() == {"tiny", record.name}

    ids = [[5, 90, 17, 301, 44, 8]]
    graph = Graph(record.path)
    ours = graph.run(graph.new_cache(), np.array(ids, dtype=np.int64), [6])[0]
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(weights.path)(torch.tensor(ids)).logits[0, -1].numpy()
    tolerance = {"fp32": 1e-4, "int8": 0.05, "int4": 0.5}[precision]
    assert np.abs(ours - theirs).max() < tolerance * np.abs(theirs).max()

    lines = Remembered()
    assert build(weights.name, place.workspace, place.database, lines, precision=precision) == record
    assert lines.lines == [f"tiny-{precision} is already here"]


def test_an_architecture_that_the_builder_lacks_is_said(place: ModelWorkspace, tmp_path: Path) -> None:
    record = added(place, tmp_path, "gpt2")
    with pytest.raises(InvalidInputError, match=r"no graph can be built for GPT2LMHeadModel yet.*LlamaForCausalLM"):
        build(record.name, place.workspace, place.database, Remembered())
    assert place.models.get("tiny").format == "safetensors"


def test_what_cannot_be_built_is_said(place: ModelWorkspace, tmp_path: Path) -> None:
    record = added(place, tmp_path)
    with pytest.raises(InvalidInputError, match="It can be int4, int8, fp32"):
        build("tiny", place.workspace, place.database, Remembered(), precision="int3")
    with pytest.raises(NotFoundError, match="There is no model named nix"):
        build("nix", place.workspace, place.database, Remembered())
    (record.path / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="are damaged"):
        build("tiny", place.workspace, place.database, Remembered())


def test_a_disk_without_room_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Building x needs about 1,000,000\.0 GB of disk; .* has .* free"):
        require_space(tmp_path, 10**15, "Building x")


@pytest.mark.slow
def test_a_stop_ends_the_worker_and_leaves_nothing(place: ModelWorkspace, tmp_path: Path) -> None:
    added(place, tmp_path)
    reporter = Remembered(stop_when=lambda step: step.phase == "starting the graph builder")
    with pytest.raises(StoppedError):
        build("tiny", place.workspace, place.database, reporter)
    assert place.model_folders() == {"tiny"}
    assert workers_of(os.getpid()) == []


_BUILD = """
import sys
from pathlib import Path
from engine.models.build import build
from engine.progress import CallbackReporter
from engine.store.database import Database
from engine.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
show = CallbackReporter(on_progress=lambda step: print(step.phase, flush=True))
build("tiny", workspace, Database(workspace.database), show)
"""


def workers_of(parent: int) -> list[int]:
    import psutil

    found = []
    for child in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):  # ended meanwhile
            found += [child.pid] if "engine.models.worker" in child.cmdline() else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["starting the graph builder", "quantising and saving", "trying the graph"])
def test_a_kill_leaves_no_half_model_and_no_orphan(place: ModelWorkspace, tmp_path: Path, phase: str) -> None:
    import psutil

    added(place, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, place.workspace.home], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == phase:
            break
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert workers
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(worker) and psutil.Process(worker).status() != "zombie" for worker in workers):
        assert time.monotonic() < deadline, "the worker outlived what started it"
        time.sleep(0.1)
    assert place.model_folders() == {"tiny", ".tiny-int4.partial"}
    assert place.models.find("tiny-int4") is None
    assert build("tiny", place.workspace, place.database, Remembered()).chats
    assert place.model_folders() == {"tiny", "tiny-int4"}


def test_a_worker_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    def kill() -> None:
        for _ in range(200):
            if workers := workers_of(os.getpid()):
                os.kill(workers[0], signal.SIGKILL)
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    task = {"task": "build", "weights": str(tiny_weights(tmp_path / "w")), "target": str(tmp_path), "precision": "int4"}
    with pytest.raises(StorageError, match="killed from outside, most likely because memory ran out"):
        run_worker(task, Remembered(), tmp_path / "log")
    killer.join()


def test_the_second_of_two_waits_and_says_so(place: ModelWorkspace) -> None:
    lock = (place.workspace.run / "model-tiny.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    reporter = Remembered()
    threading.Timer(0.5, lock.close).start()
    with model_lock(place.workspace, "tiny", reporter):
        assert reporter.lines == ["another process is at work on tiny; waiting for it"]
    stopping = Remembered(stop_when=lambda _: True)
    with (place.workspace.run / "model-tiny.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoppedError), model_lock(place.workspace, "tiny", stopping):
            pass


def test_an_onnx_folder_is_taken_in_after_a_trial(place: ModelWorkspace, tmp_path: Path) -> None:
    graph = tiny_graph(tmp_path)
    record = add(graph, place.workspace, place.database, Remembered())
    assert (record.name, record.format, record.precision, record.context_length) == ("tiny-int4", "onnx", "int4", 512)
    assert record.architecture == "LlamaForCausalLM"
    fp32 = add(tiny_graph(tmp_path, precision="fp32"), place.workspace, place.database, Remembered(), name="wide")
    assert fp32.precision == "fp32"


def test_onnx_folders_that_cannot_be_run_are_refused(place: ModelWorkspace, tmp_path: Path) -> None:
    graph = tiny_graph(tmp_path)
    config = json.loads((graph / "genai_config.json").read_text())
    broken = {
        "names a graph outside itself": config | {"model": config["model"] | {"decoder": {"filename": "../../x.onnx"}}},
        "names no decoder graph": {"model": {}},
    }
    for words, value in broken.items():
        (graph / "genai_config.json").write_text(json.dumps(value))
        with pytest.raises(InvalidInputError, match=words):
            add(graph, place.workspace, place.database, Remembered())
    (graph / "genai_config.json").write_text(json.dumps(config))
    (graph / "tokenizer.json").rename(graph / "kept")
    with pytest.raises(InvalidInputError, match=r"half a model: tokenizer\.json is missing"):
        add(graph, place.workspace, place.database, Remembered())
    (graph / "kept").rename(graph / "tokenizer.json")
    data = (graph / "model.onnx.data").read_bytes()
    (graph / "model.onnx.data").write_bytes(data[:1000])
    with pytest.raises(InvalidInputError, match="cannot be loaded"):
        add(graph, place.workspace, place.database, Remembered())
    (graph / "genai_config.json").unlink()
    with pytest.raises(InvalidInputError, match=r"without genai_config\.json"):
        add(graph, place.workspace, place.database, Remembered())
    assert place.model_folders() == set()


def test_removing_takes_row_and_files_and_refuses_what_others_stand_on(place: ModelWorkspace, tmp_path: Path) -> None:
    weights = added(place, tmp_path)
    graph = place.models.put(ModelRecord("tiny-int4", "onnx", place.workspace.models / "tiny-int4", parent="tiny"))
    graph.path.mkdir()
    with pytest.raises(InvalidInputError, match="tiny-int4 was made from it"):
        remove("tiny", place.workspace, place.database)
    assert weights.path.is_dir()
    remove("tiny", place.workspace, place.database, with_children=True)
    assert place.models.all() == []
    assert place.model_folders() == set()
    assert (tmp_path / "tiny" / "model.safetensors").is_file()


def test_removing_what_another_process_is_at_work_on_is_refused_at_once(place: ModelWorkspace, tmp_path: Path) -> None:
    added(place, tmp_path)
    graph = place.models.put(ModelRecord("tiny-int4", "onnx", place.workspace.models / "tiny-int4", parent="tiny"))
    graph.path.mkdir()
    code = (
        "import sys, time, pathlib; from engine.models.staging import model_lock; from engine.workspace import Workspace\n"
        "from engine.progress import CallbackReporter\n"
        "with model_lock(Workspace(pathlib.Path(sys.argv[1])), 'tiny', CallbackReporter()):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, place.workspace.home]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        began = time.monotonic()
        with pytest.raises(BusyError, match=f"tiny cannot be removed: process {other.pid} is fetching"):
            remove("tiny", place.workspace, place.database, with_children=True)
        assert time.monotonic() - began < 2
        other.kill()
    assert {model.name for model in place.models.all()} == {"tiny", "tiny-int4"}, "all or nothing"
    remove("tiny", place.workspace, place.database, with_children=True)
    assert place.models.all() == []


def test_removing_never_touches_what_lies_outside(place: ModelWorkspace, tmp_path: Path) -> None:
    outside = tiny_weights(tmp_path / "outside")
    place.models.put(ModelRecord("outside", "safetensors", outside))
    (place.workspace.models / "link").symlink_to(outside)
    place.models.put(ModelRecord("link", "safetensors", place.workspace.models / "link"))
    remove("outside", place.workspace, place.database)
    remove("link", place.workspace, place.database)
    assert (outside / "model.safetensors").is_file()


def test_a_model_whose_folder_vanished_is_missing_and_can_be_removed_or_added_again(
    place: ModelWorkspace, tmp_path: Path
) -> None:
    import shutil

    record = added(place, tmp_path)
    assert describe("tiny", place.database)["state"] == "ready"
    (record.path / "tokenizer.json").write_text("{}")
    assert describe("tiny", place.database)["state"] == "damaged"
    shutil.rmtree(record.path)
    assert describe("tiny", place.database)["state"] == "missing"
    again = add(tmp_path / "tiny", place.workspace, place.database, Remembered())
    shutil.rmtree(again.path)
    remove("tiny", place.workspace, place.database)
    assert place.models.all() == []


def test_a_description_has_lineage_children_and_files(place: ModelWorkspace, tmp_path: Path) -> None:
    added(place, tmp_path)
    place.models.put(ModelRecord("tiny-int4", "onnx", place.workspace.models / "tiny-int4", parent="tiny"))
    weights = describe("tiny", place.database)
    assert (weights["children"], weights["lineage"], weights["chat_template"]) == (["tiny-int4"], ["tiny"], True)
    assert {"name": "tokenizer.json", "size_bytes": 13629}.keys() == weights["files"][0].keys()
    assert sum(file["size_bytes"] for file in weights["files"]) == weights["size_bytes"]
    graph = describe("tiny-int4", place.database)
    assert (graph["lineage"], graph["state"], graph["files"]) == (["tiny-int4", "tiny"], "missing", [])
    with pytest.raises(NotFoundError):
        describe("nix", place.database)


@pytest.mark.slow
def test_weights_removed_while_their_graph_is_built_are_said_and_the_longest_name_has_a_graph(
    place: ModelWorkspace, tmp_path: Path
) -> None:
    class Removing(Remembered):
        def progress(self, progress: Progress) -> None:
            super().progress(progress)
            if progress.phase == "trying the graph" and place.models.find(name):
                place.models.remove(name)

    name = "n" * 80
    record = add(tiny_weights(tmp_path / "tiny"), place.workspace, place.database, Remembered(), name=name)
    with pytest.raises(NotFoundError, match="not on record any more"):
        build(name, place.workspace, place.database, Removing())
    assert place.model_folders() == {name}
    place.models.put(record)
    assert build(name, place.workspace, place.database, Remembered()).name == f"{name}-int4"


def test_a_graph_with_cut_weights_is_a_clean_sentence(place: ModelWorkspace, tmp_path: Path) -> None:
    folder = tiny_graph(tmp_path)
    data = next(path for path in folder.iterdir() if path.suffix == ".data")
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(InvalidInputError) as caught:
        add(folder, place.workspace, place.database, Remembered(), name="cut")
    assert caught.value.message == f"The graph in {folder} cannot be loaded: a file of its weights is missing or cut short."
    assert "ONNXRuntimeError" in (place.workspace.log_file.parent / "try-cut.log").read_text()


def test_a_graph_that_is_noise_is_a_clean_sentence(place: ModelWorkspace, tmp_path: Path) -> None:
    folder = tiny_graph(tmp_path)
    (folder / "model.onnx").write_bytes(b"noise" * 100)
    with pytest.raises(InvalidInputError) as caught:
        add(folder, place.workspace, place.database, Remembered(), name="noise")
    said = caught.value.message
    assert said.startswith(f"The graph in {folder} cannot be loaded: ") and len(said) < len(str(folder)) + 120
    assert not any(word in said for word in (".partial", "ONNXRuntimeError", "::", ".cc"))


def test_codes_of_no_common_class_survive_a_process() -> None:
    error = error_from("download", "The server hung up.", "Try again.")
    assert (error.code, error.message, error.hint) == ("download", "The server hung up.", "Try again.")
    assert error_from("not_found", "x").code == "not_found" and error_from("error", "x").code == "error"
