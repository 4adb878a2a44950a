"""`mtntui ask`, with a real host process and a tiny real model."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_program import PROGRAM, add_tiny_model, mtntui, mtntui_json, program_environment
from pty_program import PtyProgram

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.models import ModelRecord, Models

LONG_CONTEXT = 32768
GREEDY = ("--temperature", "0", "--repetition-penalty", "1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a tiny model; its host is ended afterwards."""
    folder = tmp_path_factory.mktemp("ask") / "home"
    add_tiny_model(folder, context=LONG_CONTEXT)
    yield folder
    mtntui(folder, "host", "stop")


def conversations(home: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = mtntui_json(home, "logs", "list", "--limit", "1000")
    return found


def last_messages(home: Path) -> list[dict[str, object]]:
    shown = mtntui_json(home, "logs", "show", str(conversations(home)[0]["id"]))
    messages: list[dict[str, object]] = shown["messages"]
    return messages


def test_the_text_and_its_json_agree_to_the_byte_and_are_logged(home: Path) -> None:
    ask = ("ask", "What is a hash table?", *GREEDY, "--max-new-tokens", "40")
    result = mtntui_json(home, *ask, status=3)
    plain = mtntui(home, *ask)
    assert plain.stdout == result["text"] + ("" if result["text"].endswith("\n") else "\n")
    assert (plain.returncode, result["status"], result["reason"]) == (3, "cut", "length")
    assert "longest length" in plain.stderr
    assert (result["completion_tokens"], result["model"]) == (40, "tiny")
    assert result["tokens_per_second"] > 0 and result["first_token_ms"] > 0
    user, reply = mtntui_json(home, "logs", "show", result["conversation"])["messages"]
    assert (user["id"], user["content"]) == (result["messages"]["user"], "What is a hash table?")
    assert (reply["id"], reply["content"], reply["status"]) == (result["messages"]["reply"], result["text"], "cut")
    assert reply["parameters"]["temperature"] == 0
    assert conversations(home)[0]["source"] == "ask"


def test_a_stop_text_ends_the_answer_completely(home: Path) -> None:
    whole = mtntui_json(home, "ask", "Rivers", *GREEDY, "--max-new-tokens", "60", "--no-log", status=3)["text"]
    stop = whole[len(whole) // 2 :][:6]
    done = mtntui(home, "ask", "Rivers", *GREEDY, "--max-new-tokens", "60", "--stop", stop, "--stop", "never said")
    assert done.returncode == 0
    assert done.stdout.rstrip("\n") == whole[: whole.index(stop)].rstrip("\n")
    assert done.stderr == ""
    assert last_messages(home)[-1]["status"] == "complete"


def test_the_same_seed_gives_the_same_answer(home: Path) -> None:
    ask = ("ask", "Dice", "--temperature", "1.5", "--max-new-tokens", "30", "--no-log", "--seed")
    first, again, other = (mtntui(home, *ask, seed).stdout for seed in ("7", "7", "8"))
    assert first == again != other


def test_the_question_is_the_arguments_then_what_is_piped(home: Path) -> None:
    mtntui(home, "ask", "Review", "this:", "--max-new-tokens", "1", stdin="+ a line\n- another\n")
    assert last_messages(home)[0]["content"] == "Review this:\n\n+ a line\n- another"
    mtntui(home, "ask", "--max-new-tokens", "1", stdin="only piped")
    assert last_messages(home)[0]["content"] == "only piped"
    mtntui(home, "ask", "--max-new-tokens", "1", b"argument \xff", "--system", b"\xfe", stdin="")
    assert last_messages(home)[0]["content"] in {"argument ?", "argument \ufffd"}


def test_options_may_stand_before_the_question(home: Path) -> None:
    done = mtntui(home, "ask", "--max-new-tokens", "1", "--json", "two", "words")
    assert done.returncode == 3, done.stderr
    assert last_messages(home)[0]["content"] == "two words"


def test_a_conversation_goes_on(home: Path) -> None:
    begun = mtntui_json(home, "ask", "One", "--system", "Be brief.", "--max-new-tokens", "5", status=3)
    other = mtntui_json(home, "ask", "Elsewhere", "--max-new-tokens", "5", status=3)
    named = mtntui_json(home, "ask", "Two", "--conversation", begun["conversation"][:8], "--max-new-tokens", "5", status=3)
    last = mtntui_json(home, "ask", "Three", "--continue", "--max-new-tokens", "5", status=3)
    assert begun["conversation"] == named["conversation"] == last["conversation"] != other["conversation"]
    shown = mtntui_json(home, "logs", "show", begun["conversation"])
    assert [message["content"] for message in shown["messages"][::2]] == ["One", "Two", "Three"]
    assert shown["system"] == "Be brief."
    assert last["cached_tokens"] > 0, "the second turn reads only what is new"


def test_a_conversation_whose_model_is_gone_goes_on_with_another_and_says_so(home: Path) -> None:
    begun = mtntui_json(home, "ask", "One", "--max-new-tokens", "2", status=3)
    database = Database(home / "mtntui.db")
    Conversations(database).set_model(begun["conversation"], "gone")
    database.close()
    done = mtntui(home, "ask", "Two", "--conversation", begun["conversation"], "--max-new-tokens", "2")
    assert done.returncode == 3
    assert "gone, which answered in this conversation, is not here any more; tiny answers." in done.stderr


def test_without_log_nothing_is_kept(home: Path) -> None:
    before = conversations(home)
    result = mtntui_json(home, "ask", "Secret", "--no-log", "--max-new-tokens", "3", status=3)
    assert (result["conversation"], result["messages"]) == (None, None)
    assert conversations(home) == before
    database = (home / "mtntui.db").read_bytes() + (home / "mtntui.db-wal").read_bytes()
    assert b"Secret" not in database


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask"], 2, "there is no question"),
        (["ask", "x", "--continue", "--system", "y"], 2, "--system"),
        (["ask", "x", "--continue", "--no-log"], 2, "not allowed with"),
        (["ask", "x", "--top-k", "many"], 2, "--top-k"),
        (["ask", "x", "--temperature", "hot"], 2, "invalid float value"),
        (["ask", "x", "--temperature", "9"], 2, "--temperature: 9.0 cannot be used."),
        (["ask", "x", "--max-new-tokens", "0"], 2, "It takes a whole number of 1 to 1,000,000."),
        (["ask", "x", "--stop", ""], 2, "at least one character"),
        (["ask", "x", "--model", "no-such"], 1, "There is no model named no-such.\nThere are: tiny."),
        (["ask", "x", "--model", b"\xff"], 1, "is no valid text"),
        (["ask", "x", "--conversation", "zzzz"], 1, "There is no conversation 'zzzz'."),
    ],
)
def test_wrong_input_is_said_and_nothing_is_kept(home: Path, arguments: list[str | bytes], status: int, said: str) -> None:
    before = conversations(home)
    done = mtntui(home, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert conversations(home) == before


def test_errors_are_one_json_line_on_standard_error(home: Path) -> None:
    done = mtntui(home, "ask", "x", "--model", "no-such", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr) == {
        "error": {"code": "not_found", "message": "There is no model named no-such.", "hint": "There are: tiny."}
    }


def test_without_a_model_the_way_to_one_is_shown(tmp_path: Path) -> None:
    done = mtntui(tmp_path / "home", "ask", "Hello")
    assert done.returncode == 1
    assert "mtntui models pull smollm2-135m" in done.stderr


def test_the_model_of_the_settings_answers_or_is_missed(home: Path) -> None:
    done = mtntui(home, "ask", "x", env={"MTNTUI_CHAT_MODEL": "gone"})
    assert done.returncode == 1
    assert "There is no model named gone." in done.stderr


def test_a_megabyte_of_question_is_refused_and_kept(home: Path) -> None:
    done = mtntui(home, "ask", stdin="a word and another " * 55_000)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 2
    user, reply = last_messages(home)
    assert len(str(user["content"])) > 1_000_000
    assert reply["status"] == "failed"
    after = mtntui(home, "ask", "--continue", "Shorter then", "--max-new-tokens", "3")
    assert after.returncode == 3, after.stderr


def test_ctrl_c_keeps_what_there_is(home: Path) -> None:
    command = [*PROGRAM, "ask", "Go on and on", "--temperature", "2", "--max-new-tokens", "30000"]
    with PtyProgram(command, env=program_environment(home), cwd=home) as program:
        program.wait_for(lambda running: len(running.output) > 2000, timeout=60)
        program.send("\x03")
        assert program.wait(20) == 130
        assert "Stopped" in program.text()
    reply = last_messages(home)[-1]
    assert reply["status"] == "stopped"
    assert len(str(reply["content"])) > 500
    assert mtntui_json(home, "host", "status")["active"] == 0


def test_a_second_ctrl_c_leaves_a_frozen_host_at_once(home: Path) -> None:
    command = [*PROGRAM, "ask", "Go on and on", "--temperature", "2", "--max-new-tokens", "30000"]
    with PtyProgram(command, env=program_environment(home), cwd=home) as program:
        program.wait_for(lambda running: len(running.output) > 2000, timeout=60)
        host = mtntui_json(home, "host", "status")["pid"]
        os.kill(host, signal.SIGSTOP)
        try:
            program.send("\x03")
            program.wait_for("Ctrl+C again leaves", timeout=5)
            began = time.monotonic()
            program.send("\x03")
            assert program.wait(10) == 130
            assert time.monotonic() - began < 2
            assert b"Traceback" not in program.output and b"never retrieved" not in program.output
        finally:
            os.kill(host, signal.SIGCONT)
    mtntui(home, "host", "stop")


def test_a_host_that_dies_while_it_is_asked_to_stop_is_said_without_a_traceback(home: Path) -> None:
    command = [*PROGRAM, "ask", "Go on and on", "--temperature", "2", "--max-new-tokens", "30000"]
    with PtyProgram(command, env=program_environment(home), cwd=home) as program:
        program.wait_for(lambda running: len(running.output) > 2000, timeout=60)
        host = mtntui_json(home, "host", "status")["pid"]
        holder = Database(home / "mtntui.db")
        with holder.transaction():  # so that the host cannot save the reply's end, and does not answer yet
            program.send("\x03")
            time.sleep(0.5)
            os.kill(host, signal.SIGKILL)
        holder.close()
        assert program.wait(20) == 1
        assert b"ended in the middle of its work" in program.output
        assert b"Traceback" not in program.output and b"never retrieved" not in program.output
    assert last_messages(home)[-1]["status"] == "interrupted"


def test_a_reader_who_left_is_not_waited_for_while_the_host_cannot_save(home: Path) -> None:
    command = [*PROGRAM, "ask", "Go on and on", "--temperature", "2", "--max-new-tokens", "30000"]
    with subprocess.Popen(command, env=program_environment(home), cwd=home, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.read(2000)
        holder = Database(home / "mtntui.db")
        with holder.transaction():
            program.stdout.close()
            assert program.wait(15) != 0
        holder.close()
    deadline = time.monotonic() + 20
    while last_messages(home)[-1]["status"] == "streaming":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert last_messages(home)[-1]["status"] == "stopped"


def test_no_control_sequence_of_a_reply_reaches_a_terminal(home: Path) -> None:
    # A random model at a high temperature says every byte there is.
    command = [*PROGRAM, "ask", "Noise", "--temperature", "5", "--top-p", "1", "--max-new-tokens", "6000"]
    with PtyProgram(command, env=program_environment(home), cwd=home) as program:
        assert program.wait(60) == 3
        output = program.output.decode()
    said = str(last_messages(home)[-1]["content"])
    assert "\x1b" in said and "\x07" in said
    assert set(output) & set(map(chr, [*range(0x20), *range(0x7F, 0xA0)])) <= {"\n", "\r", "\t"}
    assert "\u241b" in output


def test_a_reader_that_leaves_stops_the_answer(home: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "ask", "Go on", "--temperature", "2", "--max-new-tokens", "30000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program_environment(home),
        cwd=home,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) == 141
    assert said == b""
    assert last_messages(home)[-1]["status"] == "stopped"


def test_an_answer_outlives_its_terminal(home: Path) -> None:
    command = [*PROGRAM, "ask", "Go on", "--temperature", "2", "--max-new-tokens", "4000"]
    with PtyProgram(command, env=program_environment(home), cwd=home) as program:
        program.wait_for(lambda running: len(running.output) > 500, timeout=60)
        program.kill()
    deadline = time.monotonic() + 60
    while mtntui_json(home, "host", "status")["active"] and time.monotonic() < deadline:
        time.sleep(0.2)
    reply = last_messages(home)[-1]
    assert (reply["status"], reply["completion_tokens"]) == ("cut", 4000)


def test_a_host_that_dies_leaves_a_marked_reply_and_a_sentence(home: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "ask", "Go on", "--temperature", "2", "--max-new-tokens", "30000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program_environment(home),
        cwd=home,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        seen = process.stdout.read(1000)
        os.kill(mtntui_json(home, "host", "status")["pid"], signal.SIGKILL)
        seen += process.stdout.read()
        said = process.stderr.read().decode()
        assert process.wait(30) == 1
    assert "inference host" in said and "Traceback" not in said
    reply = last_messages(home)[-1]
    assert reply["status"] == "interrupted"
    content = str(reply["content"]).encode()
    assert seen == (content if content.endswith(b"\n") else content + b"\n")
    assert mtntui(home, "ask", "Again", "--max-new-tokens", "3").returncode == 3


def test_one_host_answers_all(home: Path) -> None:
    mtntui(home, "ask", "First", "--max-new-tokens", "1")
    before = mtntui_json(home, "host", "status")
    mtntui(home, "ask", "Second", "--max-new-tokens", "1")
    after = mtntui_json(home, "host", "status")
    assert before["pid"] == after["pid"]
    assert after["loaded"] == ["tiny"]


@pytest.mark.parametrize(
    ("data", "said"), [(b"GIF89a\0\0", "holds zero bytes"), (b"text, then \xff\xfe", "no UTF-8 text (byte 12 is not)")]
)
def test_input_that_is_no_text_is_refused_and_not_kept(home: Path, data: bytes, said: str) -> None:
    before = conversations(home)
    done = mtntui(home, "ask", "What is this?", stdin=data)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert conversations(home) == before


def test_only_models_that_can_chat_are_offered(home: Path) -> None:
    database = Database(home / "mtntui.db")
    Models(database).put(ModelRecord("weights-alone", "safetensors", home / "models" / "weights-alone"))
    try:
        assert mtntui(home, "ask", "x", "--model", "nope").stderr.endswith("There are: tiny.\n")
        assert "weights-alone" in mtntui(home, "models", "show", "nope").stderr
    finally:
        Models(database).remove("weights-alone")
        database.close()
