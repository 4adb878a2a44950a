"""`mtntui ask`: one question, one answer on standard output."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidInputError, NotFoundError
from mtntui.cli.options import add_json_option
from mtntui.cli.output import note

if TYPE_CHECKING:
    from engine.inference.types import SamplingParameters
    from engine.store.conversations import Conversation
    from mtntui.cli.context import Context
    from mtntui.services import Services

_DESCRIPTION = """\
Ask a local model one question; the answer streams to standard output as it is written.

The question is what stands on the command line, followed by what is piped in. Question and answer are
kept like any conversation (see mtntui logs), unless --no-log is given."""

_EPILOG = """\
examples:
  mtntui ask "Why is the sky blue?"
  git diff | mtntui ask "Write a commit message for this change."
  mtntui ask --continue "Shorter, please."
  mtntui ask --temperature 0 --max-new-tokens 200 --json "Name three rivers." | jq -r .text

exit status:
  0  the answer is complete
  1  an error, said on standard error
  2  the command line is wrong
  3  the answer was cut at --max-new-tokens or at the end of the model's context; what there is was written
  130  stopped with Ctrl+C; what there is was written and kept

--json writes one object when the answer has ended:
  conversation, messages {user, reply}     ids for mtntui logs show; null with --no-log
  model, text
  status                                   "complete", "cut" or "stopped"
  reason                                   "eos", "stop", "length", "context" or "cancelled"
  prompt_tokens, completion_tokens, cached_tokens, dropped_messages
  first_token_ms, tokens_per_second"""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "ask", help="ask one question, answered on standard output", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("question", nargs="*", help="the question; standard input is added to it when it is piped")
    parser.add_argument("-m", "--model", metavar="NAME", help="the model that answers (names: mtntui models list)")
    parser.add_argument("-s", "--system", metavar="TEXT", help="the system prompt of a new conversation")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-c", "--continue", dest="last", action="store_true", help="go on with the conversation used last")
    which.add_argument("--conversation", metavar="ID", help="go on with this conversation (ids: mtntui logs list)")
    which.add_argument("--no-log", action="store_true", help="keep neither the question nor the answer")
    _add_parameters(parser)
    add_json_option(parser, "one object with the answer and its figures")
    parser.set_defaults(run=_run, parser=parser)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the answer is sampled (defaults: the settings of [chat])")
    group.add_argument("--max-new-tokens", type=int, metavar="N", help="the longest answer, in tokens")
    group.add_argument("--temperature", type=float, metavar="X", help="0 always takes the likeliest token; higher is more varied")
    group.add_argument("--top-p", type=float, metavar="X", help="sample from the likeliest tokens that sum to this probability")
    group.add_argument("--top-k", type=int, metavar="N", help="sample from this many likeliest tokens; 0: from all")
    group.add_argument("--repetition-penalty", type=float, metavar="X", help="above 1 makes repeating less likely")
    group.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same answer")
    group.add_argument(
        "--stop", action="append", metavar="TEXT", help="end the answer before this text; may be given several times"
    )


def _run(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.system is not None and (arguments.last or arguments.conversation):
        arguments.parser.error(
            "--system belongs to the beginning of a conversation: it cannot go with --continue or --conversation"
        )
    parameters = _parameters(arguments, context)
    question = _question(arguments)

    from mtntui.services import Services

    services = Services(context.settings, context.database)
    conversation = _conversation(arguments, services)
    model = _model(arguments.model, services, conversation)
    system = context.settings.chat.system if arguments.system is None else _utf8(arguments.system)

    from mtntui.cli.answer import Answer

    answer = Answer(services, as_json=context.json)
    if arguments.no_log:
        return answer.unlogged(question, model=model, system=system, parameters=parameters)
    if conversation is None:
        conversation = services.conversations.create(model=model, system=system, source="ask")
    return answer.logged(question, conversation=conversation, model=model, parameters=parameters)


def _parameters(arguments: argparse.Namespace, context: Context) -> SamplingParameters:
    """The settings' parameters with the options over them."""
    from engine.chat.session import parameters_from

    parameters = parameters_from(context.settings.chat)
    for name in ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed", "stop"):
        value: Any = getattr(arguments, name)
        if value is None:
            continue
        changes: dict[str, Any] = {name: tuple(value) if name == "stop" else value}
        try:
            parameters = replace(parameters, **changes)
        except InvalidInputError as error:
            arguments.parser.error(f"argument --{name.replace('_', '-')}: {value!r} cannot be used. {error.hint}")
    return parameters


def _question(arguments: argparse.Namespace) -> str:
    """What is asked: the arguments, then standard input when it is no terminal."""
    parts = [" ".join(arguments.question)]
    if sys.stdin is not None and not sys.stdin.isatty():
        parts.append(_piped(arguments))
    question = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not question:
        arguments.parser.error('there is no question: write one after "ask", or pipe one in')
    return _utf8(question)


def _piped(arguments: argparse.Namespace) -> str:
    """Standard input as text; a model can make nothing of anything else."""
    # Not sys.stdin.read(): in a locale that is not UTF-8 it would read other characters than were piped.
    data = sys.stdin.buffer.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        arguments.parser.error(f"standard input is no UTF-8 text (byte {error.start + 1:,} is not); pipe in text")
    if "\0" in text:
        arguments.parser.error("standard input is no text: it holds zero bytes; pipe in text")
    return text


def _utf8(text: str) -> str:
    """`text` without the surrogates of an argument that is no UTF-8: neither the store nor a tokenizer takes them."""
    return text.encode("utf-8", "replace").decode()


def _conversation(arguments: argparse.Namespace, services: Services) -> Conversation | None:
    if arguments.conversation:
        conversation = services.conversations.get(arguments.conversation)
    elif arguments.last:
        newest = services.conversations.browse(limit=1)
        if not newest:
            raise NotFoundError("There is no conversation to go on with.", "Leave --continue away to begin one.")
        conversation = newest[0]
    else:
        return None
    if conversation.head is not None and services.conversations.message(conversation.head).status == "streaming":
        import asyncio

        asyncio.run(services.chat.settle())
        if services.conversations.message(conversation.head).status == "streaming":
            raise InvalidInputError(
                f"A reply is still being written in conversation {conversation.id}.",
                "Wait until it ends, or stop it where it was asked for.",
            )
    return conversation


def _model(wanted: str | None, services: Services, conversation: Conversation | None) -> str:
    """The model that answers: the one named, else the conversation's, else that of the settings, else the one used last."""
    if wanted is None and conversation is None:
        wanted = services.settings.chat.model
    if wanted:
        return services.models.runnable(wanted).name

    from mtntui.screens.chat.model_choice import choose_model

    record = choose_model(services, conversation)
    if record is None:
        raise NotFoundError("There is no model to answer yet.", "Fetch a small one with `mtntui models pull smollm2-135m`.")
    if conversation is not None and conversation.model and services.models.find(conversation.model) is None:
        note(f"{conversation.model}, which answered in this conversation, is not here any more; {record.name} answers.")
    return record.name
