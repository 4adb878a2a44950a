"""The inference host as a real process: shared, cancelled, killed, replaced; every reply's text is in the store."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import tiny_graph

from engine.chat.session import Chat
from engine.errors import HostError, InvalidInputError, NotFoundError, PromptTooLongError
from engine.inference.client import HostClient
from engine.inference.protocol import line, request_to_dict
from engine.inference.types import Finished, GenerationRequest, Message, SamplingParameters, Started, TextDelta, Waiting
from engine.settings import InferenceSettings, Settings
from engine.store.database import Database
from engine.store.models import ModelRecord, Models

ROOT = Path(__file__).parents[3]
GREEDY = SamplingParameters(temperature=0, max_new_tokens=20)
# The tiny model's context is long enough for a reply of some seconds.
LONG = SamplingParameters(temperature=0, max_new_tokens=100_000)


@pytest.fixture(scope="session")
def long_graph(tmp_path_factory):
    return tiny_graph(tmp_path_factory.mktemp("long"), precision="fp32", context=32_768)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=str(tmp_path / "home"))


@pytest.fixture
async def workspace(settings, long_graph):
    """A chat over a workspace with a tiny model; its host is gone afterwards."""
    place = settings.workspace.prepare()
    database = Database(place.database)
    Models(database).put(ModelRecord("tiny", "onnx", long_graph))
    client = HostClient(settings)
    yield Chat(database, client), client
    await client.shut_down()
    database.close()


def send(chat, text="Hello", *, parameters=GREEDY, model="tiny", conversation=None):
    conversation = conversation or chat.conversations.create(model=model).id
    return chat.send(conversation, text, model=model, parameters=parameters)


async def until(events, condition):
    async for event in events:
        if condition(event):
            return event
    raise AssertionError("the events ended first")


async def test_a_reply_streams_and_is_stored_before_it_is_shown_as_done(workspace):
    chat, _ = workspace
    exchange = send(chat)
    shown = ""
    async for event in chat.stream(exchange.reply):
        if isinstance(event, TextDelta):
            shown += event.text
        if isinstance(event, Finished):
            stored = chat.conversations.message(exchange.reply.id)
            assert stored.status == "cut", "20 tokens is its limit"
            assert stored.content == shown == event.text
            assert stored.completion_tokens == 20
            assert stored.tokens_per_second and stored.first_token_ms


async def test_the_user_message_is_stored_before_anything_is_generated(workspace):
    chat, _ = workspace
    exchange = send(chat, "Only stored")
    assert [message.content for message in chat.conversations.messages(exchange.user.conversation)] == ["Only stored", ""]


async def test_a_second_client_uses_the_same_warm_host(workspace, settings):
    chat, client = workspace
    async for _ in chat.stream(send(chat).reply):
        pass
    first = await client.status()
    other = HostClient(settings)
    events = [event async for event in other.stream(GenerationRequest("tiny", [Message("user", "Hi")], GREEDY))]
    assert isinstance(events[0], Started), "no loading"
    assert (await other.status()).pid == first.pid


async def test_many_clients_that_start_at_once_share_one_host(settings, workspace):
    clients = [HostClient(settings) for _ in range(6)]

    async def ask(client):
        request = GenerationRequest("tiny", [Message("user", "Hi")], GREEDY)
        return [event async for event in client.stream(request)][-1].text

    texts = await asyncio.gather(*map(ask, clients))
    assert len(set(texts)) == 1
    assert len({(await client.status()).pid for client in clients}) == 1


async def test_the_socket_is_the_owners_alone(workspace, settings):
    _, client = workspace
    await client.load("tiny")
    assert stat.S_IMODE(settings.workspace.host_socket.stat().st_mode) & 0o077 == 0
    assert (await client.status()).loaded == ["tiny"]


async def test_a_reply_goes_on_when_its_listener_leaves_and_can_be_joined_again(workspace):
    chat, client = workspace
    exchange = send(chat, parameters=LONG)
    async with aclosing(chat.stream(exchange.reply)) as events:
        seen = await until(events, lambda event: isinstance(event, TextDelta) and event.completion_tokens > 20)
    assert (await client.status()).replies == [exchange.reply.id]
    async with aclosing(chat.resume(exchange.reply.id)) as events:
        joined = await until(events, lambda event: isinstance(event, TextDelta))
        assert joined.completion_tokens >= seen.completion_tokens
        await chat.stop(exchange.reply.id)
        end = await until(events, lambda event: isinstance(event, Finished))
    assert end.reason == "cancelled"
    stored = chat.conversations.message(exchange.reply.id)
    assert (stored.status, stored.content) == ("stopped", end.text)
    assert (await client.status()).replies == []


async def test_a_generation_that_nobody_stores_ends_with_its_listener(workspace):
    _, client = workspace
    async with aclosing(client.stream(GenerationRequest("tiny", [Message("user", "Hi")], LONG))) as events:
        await until(events, lambda event: isinstance(event, TextDelta))
    for _ in range(100):
        if (await client.status()).active == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it still runs")


async def test_a_killed_host_loses_at_most_a_second_and_the_next_one_starts_by_itself(workspace, settings):
    chat, client = workspace
    exchange = send(chat, parameters=LONG)
    # Away, so that only what the host wrote counts.
    async with aclosing(chat.stream(exchange.reply)) as events:
        await until(events, lambda event: isinstance(event, TextDelta))
    await asyncio.sleep(1.3)
    async with aclosing(chat.resume(exchange.reply.id)) as events:
        seen = await until(events, lambda event: isinstance(event, TextDelta))
        a_second_ago = seen.text
        await asyncio.sleep(1.0)
        os.kill((await client.status()).pid, signal.SIGKILL)
    database = Database(settings.workspace.database)
    after = Chat(database, HostClient(settings))
    with pytest.raises(NotFoundError):
        async for _ in after.resume(exchange.reply.id):
            pass
    stored = after.conversations.message(exchange.reply.id)
    assert stored.status == "interrupted"
    assert stored.content.startswith(a_second_ago)
    assert len(stored.content) > len(a_second_ago)
    again = send(after, "Still there?", conversation=exchange.user.conversation)
    assert [type(event) async for event in after.stream(again.reply)][-1] is Finished


async def test_a_host_that_dies_while_listened_to_is_said_and_everything_seen_is_kept(workspace):
    chat, client = workspace
    exchange = send(chat, parameters=LONG)
    await client.load("tiny")
    host = (await client.status()).pid
    seen = ""
    with pytest.raises(HostError, match="ended in the middle"):
        async for event in chat.stream(exchange.reply):
            if isinstance(event, TextDelta):
                seen += event.text
                if event.completion_tokens > 30:
                    with suppress(ProcessLookupError):  # what it had sent before it died still comes
                        os.kill(host, signal.SIGKILL)
    stored = chat.conversations.message(exchange.reply.id)
    assert stored.status == "interrupted"
    assert stored.content == seen


async def test_a_terminal_killed_in_mid_reply_leaves_a_whole_reply(workspace, settings):
    chat, client = workspace
    exchange = send(chat, parameters=replace(LONG, max_new_tokens=400))
    program = (
        "import asyncio, sys\n"
        "from engine.settings import Settings\nfrom engine.store.database import Database\n"
        "from engine.chat.session import Chat\nfrom engine.inference.client import HostClient\n"
        "settings = Settings(home=sys.argv[1])\nchat = Chat(Database(settings.workspace.database), HostClient(settings))\n"
        "async def main():\n"
        "    async for event in chat.stream(chat.conversations.message(int(sys.argv[2]))): print('x', flush=True)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, settings.home, str(exchange.reply.id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as terminal:  # noqa: ASYNC220
        terminal.stdout.readline()
        terminal.stdout.readline()
        terminal.kill()
    for _ in range(200):
        if (stored := chat.conversations.message(exchange.reply.id)).status != "streaming":
            break
        await asyncio.sleep(0.05)
    assert stored.status in {"cut", "complete"}
    assert (await client.status()) is not None


async def test_errors_come_through_as_themselves_and_are_stored(workspace):
    chat, _ = workspace
    long = send(chat, "word " * 60_000)
    with pytest.raises(PromptTooLongError):
        async for _ in chat.stream(long.reply):
            pass
    failed = chat.conversations.message(long.reply.id)
    assert failed.status == "failed"
    assert "too long" in failed.error
    unknown = send(chat, model="nobody")
    with pytest.raises(NotFoundError, match="nobody"):
        async for _ in chat.stream(unknown.reply):
            pass
    assert chat.conversations.message(unknown.reply.id).status == "failed"
    after = send(chat, "A short one now", conversation=long.user.conversation)
    assert [type(event) async for event in chat.stream(after.reply)][-1] is Finished, "the failed message is left out"


async def test_a_model_whose_files_are_gone_says_how_to_get_it_back(workspace, tmp_path):
    _, client = workspace
    Models(Database(client._workspace.database)).put(ModelRecord("lost", "onnx", tmp_path / "nowhere"))
    with pytest.raises(NotFoundError, match=r"gone.*models pull lost"):
        await client.load("lost")
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(Exception, match=r"no genai_config\.json"):
        await client.load("lost")
    await client.load("tiny")


async def test_attaching_to_nothing_marks_the_reply_interrupted(workspace):
    chat, _ = workspace
    exchange = send(chat)
    with pytest.raises(NotFoundError):
        async for _ in chat.resume(exchange.reply.id):
            pass
    assert chat.conversations.message(exchange.reply.id).status == "interrupted"


async def test_an_idle_host_ends(settings, long_graph):
    place = settings.workspace.prepare()
    Models(Database(place.database)).put(ModelRecord("tiny", "onnx", long_graph))
    client = HostClient(replace(settings, inference=InferenceSettings()))
    os.environ["MTNTUI_INFERENCE_IDLE_MINUTES"] = "0.01"
    try:
        await client.load("tiny")
    finally:
        del os.environ["MTNTUI_INFERENCE_IDLE_MINUTES"]
    for _ in range(100):
        if await client.status() is None:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not end")


async def test_shutting_down_keeps_what_a_reply_in_progress_has(workspace):
    chat, client = workspace
    exchange = send(chat, parameters=LONG)
    async with aclosing(chat.stream(exchange.reply)) as events:
        await until(events, lambda event: isinstance(event, TextDelta) and event.completion_tokens > 10)
    assert await client.shut_down()
    stored = chat.conversations.message(exchange.reply.id)
    assert stored.status == "stopped"
    assert stored.content
    assert await client.shut_down() is False


async def test_terminals_with_other_temporary_folders_share_the_host_of_a_long_home(tmp_path, long_graph, monkeypatch):
    settings = Settings(home=str(tmp_path / ("deep" * 30)))
    place = settings.workspace.prepare()
    Models(Database(place.database)).put(ModelRecord("tiny", "onnx", long_graph))
    hosts = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        monkeypatch.setattr(tempfile, "tempdir", None)
        client = HostClient(settings)
        await client.load("tiny")
        hosts.add((await client.status()).pid)
    assert len(hosts) == 1
    await client.shut_down()


async def test_nonsense_on_the_socket_harms_nobody(workspace, settings):
    _, client = workspace
    await client.load("tiny")
    for nonsense in (b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"op":"generate"}\n', b'{"op":"attach","reply":"x"}\n', b""):
        reader, writer = await asyncio.open_unix_connection(str(settings.workspace.host_socket))
        await reader.readline()
        writer.write(nonsense)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await client.status()).active == 0


async def test_a_client_that_takes_nothing_does_not_keep_the_host_from_ending(workspace, settings):
    _, client = workspace
    await client.load("tiny")
    _, deaf = await asyncio.open_unix_connection(settings.workspace.host_socket, limit=1)
    deaf.write(json.dumps({"op": "x" * 2_000_000}).encode() + b"\n")  # the answer repeats it, more than a socket holds
    await deaf.drain()
    assert await client.shut_down()
    deaf.close()


async def test_modules_in_the_workspace_are_not_the_hosts(workspace, settings):
    (settings.workspace.home / "json.py").write_text("raise SystemExit('not yours')")
    _, client = workspace
    await client.load("tiny")
    assert (await client.status()).loaded == ["tiny"]


def host_with_a_full_log(home):
    with Path("/dev/full").open("wb") as full:
        return subprocess.Popen([sys.executable, "-m", "engine.inference.host", home], stderr=full)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
async def test_a_log_on_a_full_disk_does_not_stop_the_host(workspace, settings):
    _, client = workspace
    process = host_with_a_full_log(settings.home)
    async with asyncio.timeout(20):
        while await client.status() is None:
            assert process.poll() is None
            await asyncio.sleep(0.05)
    await client.load("tiny")
    assert (await client.status()).pid == process.pid
    await client.shut_down()
    process.wait(20)


async def test_a_model_that_could_not_be_loaded_is_tried_again(workspace, settings, long_graph, tmp_path):
    _, client = workspace
    database = Database(settings.workspace.database)
    folder = tmp_path / "broken"
    shutil.copytree(long_graph, folder)
    (folder / "tokenizer_config.json").write_text("{")
    Models(database).put(ModelRecord("broken", "onnx", folder))
    database.close()
    for _ in range(2):
        with pytest.raises(InvalidInputError, match=r"tokenizer_config\.json"):
            await client.load("broken")
    shutil.copy(long_graph / "tokenizer_config.json", folder)
    await client.load("broken")
    assert (await client.status()).loaded == ["broken"]


async def test_a_reply_that_is_asked_for_twice_is_written_once(workspace):
    chat, client = workspace
    exchange = send(chat, parameters=replace(LONG, max_new_tokens=300))

    async def listen():
        return [event async for event in chat.stream(exchange.reply)][-1]

    first, second = await asyncio.gather(listen(), listen())
    assert first == second
    assert chat.conversations.message(exchange.reply.id).content == first.text
    assert (await client.status()).active == 0


async def test_the_first_token_counts_from_the_request_not_from_when_the_model_was_loaded(workspace):
    chat, _ = workspace
    exchange = send(chat)
    began = asyncio.get_running_loop().time()
    first = None
    async for event in chat.stream(exchange.reply):
        if isinstance(event, TextDelta) and first is None:
            first = asyncio.get_running_loop().time() - began
    stored = chat.conversations.message(exchange.reply.id)
    assert 30 < stored.first_token_ms <= 1000 * first, "loading the model alone takes longer than 30 ms"


async def test_a_locked_database_does_not_hold_up_a_reply_that_streams(workspace, settings):
    chat, client = workspace
    await client.load("tiny")
    second = send(chat, "Another")
    times, begun = [], asyncio.Event()

    async def listen():
        async for _ in client.stream(GenerationRequest("tiny", [Message("user", "Hi")], LONG)):
            times.append(asyncio.get_running_loop().time())
            begun.set()

    first = asyncio.create_task(listen())
    await begun.wait()
    holder = Database(settings.workspace.database)
    with holder.transaction():
        asking = asyncio.create_task(until(chat.stream(second.reply), lambda event: isinstance(event, TextDelta)))
        await asyncio.sleep(2)
        gaps = [after - before for before, after in itertools.pairwise([*times, asyncio.get_running_loop().time()])]
        assert first.done() or max(gaps) < 1
        assert (await asyncio.wait_for(client.status(), 1)).active, "it answers as well"
    holder.close()
    await asking
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first


async def test_a_frozen_host_is_killed_and_that_is_said(workspace):
    _, client = workspace
    await client.load("tiny")
    os.kill((await client.status()).pid, signal.SIGSTOP)
    said = []
    async with asyncio.timeout(15):
        assert await client.shut_down(said.append)
    assert len(said) == 1 and "was killed" in said[0]
    await client.load("tiny")  # the next one starts


async def test_a_host_ends_soon_while_a_model_takes_for_ever_to_load(workspace, settings, long_graph, tmp_path):
    _, client = workspace
    folder = tmp_path / "slow"
    shutil.copytree(long_graph, folder)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")  # whoever reads it waits
    database = Database(settings.workspace.database)
    Models(database).put(ModelRecord("slow", "onnx", folder))
    database.close()
    loading = asyncio.create_task(client.load("slow"))
    await asyncio.sleep(2)
    assert not loading.done()
    began = asyncio.get_running_loop().time()
    assert await client.shut_down()
    assert asyncio.get_running_loop().time() - began < 18
    with pytest.raises(HostError):
        await loading


async def another_version(place):
    """A host as an older program would have started it."""
    code = (
        "import sys, engine; engine.__version__ = '0.0.1'; from engine.inference import host; sys.exit(host.main(sys.argv[1:]))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", code, str(place.home), cwd=ROOT)
    async with asyncio.timeout(20):
        while not place.host_socket.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return process


async def ask_it(place, request):
    reader, writer = await asyncio.open_unix_connection(str(place.host_socket), limit=1 << 26)
    await reader.readline()
    writer.write(line(request))
    return reader, writer


async def test_a_host_of_another_version_finishes_its_replies_before_ours_takes_over(workspace, settings):
    chat, client = workspace
    old = await another_version(settings.workspace)
    theirs = send(chat, "Theirs", parameters=LONG)
    request = GenerationRequest("tiny", [Message("user", "Theirs")], LONG, theirs.reply.id)
    reader, writer = await ask_it(settings.workspace, request_to_dict(request))
    while json.loads(await reader.readline())["event"] != "text":
        pass
    assert (await client.status()).version == "0.0.1", "looking harms nobody"
    ours = send(chat, "Ours")
    events = chat.stream(ours.reply)
    waiting = await anext(events)
    assert isinstance(waiting, Waiting) and "another version (0.0.1) still writes 1 reply for another terminal" in waiting.reason
    with pytest.raises(HostError, match="still writes 1 reply"):
        await client.load("tiny")
    refused, _ = await ask_it(settings.workspace, request_to_dict(replace(request, reply=None)))
    assert "makes way" in json.loads(await refused.readline())["message"]
    await asyncio.sleep(1)
    assert old.returncode is None and chat.conversations.message(theirs.reply.id).status == "streaming"
    await chat.stop(theirs.reply.id)  # as their terminal would; or it comes to its end
    writer.close()
    rest = [event async for event in events]
    assert isinstance(rest[-1], Finished)
    assert await asyncio.wait_for(old.wait(), 10) == 0
    assert chat.conversations.message(theirs.reply.id).status == "stopped"
    assert (await client.status()).version != "0.0.1"


async def test_an_idle_host_of_another_version_makes_way_at_once(workspace, settings):
    _, client = workspace
    old = await another_version(settings.workspace)
    await client.load("tiny")
    assert await asyncio.wait_for(old.wait(), 10) == 0
    assert (await client.status()).version != "0.0.1"
