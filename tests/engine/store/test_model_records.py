"""Models on record: lineage, which graph answers to a name, and what may be removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import InvalidInputError, NotFoundError
from engine.store.database import Database
from engine.store.models import ModelRecord, Models


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    database = Database(tmp_path / "mtntui.db")
    yield Models(database)
    database.close()


def test_a_record_comes_back_as_it_was_put(models: Models) -> None:
    record = ModelRecord(
        name="w",
        format="safetensors",
        path=Path("/models/w"),
        precision="fp32",
        source="ORG/NAME",
        revision="abc",
        architecture="LlamaForCausalLM",
        parameters=134_515_008,
        size_bytes=1 << 40,
        context_length=8192,
        licence="apache-2.0",
        details={"sha256": {"model.safetensors": "00"}},
        created_at="2026-01-01T00:00:00.000+00:00",
    )
    assert models.put(record) == record == models.get("w")
    assert models.put(ModelRecord("w", "safetensors", Path("/elsewhere"))).path == Path("/elsewhere")
    assert len(models.all()) == 1


def test_weights_answer_through_their_newest_graph(models: Models) -> None:
    models.put(ModelRecord("w", "safetensors", Path("/w")))
    with pytest.raises(InvalidInputError, match="without a graph"):
        models.runnable("w")
    models.put(ModelRecord("old", "onnx", Path("/o"), parent="w", created_at="2026-01-01"))
    models.put(ModelRecord("new", "onnx", Path("/n"), parent="w", created_at="2026-02-01"))
    models.put(ModelRecord("child", "safetensors", Path("/c"), parent="w", created_at="2026-03-01"))
    assert models.runnable("w").name == "new"
    assert models.runnable("old").name == "old"
    assert [record.name for record in models.lineage("old")] == ["old", "w"]


def test_what_others_stand_on_is_not_removed(models: Models) -> None:
    models.put(ModelRecord("w", "safetensors", Path("/w")))
    models.put(ModelRecord("g", "onnx", Path("/g"), parent="w"))
    with pytest.raises(InvalidInputError, match="g was made from it"):
        models.remove("w")
    models.remove("g")
    assert models.remove("w").name == "w"
    assert models.all() == []


def test_a_name_that_is_not_there_is_answered_with_those_that_are(models: Models) -> None:
    with pytest.raises(NotFoundError, match="models pull"):
        models.get("x")
    models.put(ModelRecord("y", "onnx", Path("/y")))
    with pytest.raises(NotFoundError, match="There are: y"):
        models.get("x")
    assert models.find("x") is None


def test_a_model_whose_parent_was_removed_meanwhile_is_refused_in_words(models: Models) -> None:
    with pytest.raises(NotFoundError, match="gone"):
        models.put(ModelRecord("gone-int4", "onnx", Path("/models/gone-int4"), parent="gone"))
    assert models.find("gone-int4") is None


def test_a_home_that_was_moved_or_copied_has_its_own_models(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "models" / "one").mkdir(parents=True)
    database = Database(home / "mtntui.db")
    Models(database).put(ModelRecord("one", "onnx", home / "models" / "one"))
    Models(database).put(ModelRecord("far", "onnx", elsewhere))
    assert Models(database).get("one").path == home / "models" / "one"
    database.close()
    home.rename(tmp_path / "moved")
    moved = Models(Database(tmp_path / "moved" / "mtntui.db"))
    assert moved.get("one").path == tmp_path / "moved" / "models" / "one"
    assert moved.get("far").path == elsewhere
