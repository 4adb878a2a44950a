"""`mtntui logs`: the conversations on record."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtntui.cli.options import add_json_option, add_paging
from mtntui.cli.output import local_time, note, print_json, print_table, print_text
from mtntui.terminal_text import one_line, write_out

if TYPE_CHECKING:
    from engine.store.conversations import Conversation, StoredMessage
    from mtntui.cli.context import Context

_FIELDS = "id, title, titled_by, source, model, system, head, archived, created_at, updated_at, messages"
_FOUND = re.compile("\x02([^\x02\x03]*)\x03")  # how the store marks the words that a search found


def register(commands: Any) -> None:
    """Add the commands to the parser."""
    group = commands.add_parser("logs", help="list, show and search conversations", description="The conversations on record.")
    parts = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _register_list(parts)
    _register_show(parts)
    _register_search(parts)


def _register_list(parts: Any) -> None:
    parser = parts.add_parser(
        "list",
        help="conversations, the last used first",
        description="List conversations, the last used first.",
        epilog=f"--json writes a list of objects with {_FIELDS}.",
    )
    parser.add_argument("--query", default="", metavar="WORDS", help="only those whose title or messages hold all these words")
    add_paging(parser)
    parser.add_argument("--archived", action="store_true", help="the archived ones instead")
    add_json_option(parser, "the conversations")
    parser.set_defaults(run=_list)


def _register_show(parts: Any) -> None:
    parser = parts.add_parser(
        "show",
        help="one conversation with its messages",
        description="Print a conversation as plain text: each message under its author, with how it ended and how it was rated.",
        epilog="example:\n  mtntui logs show 3f9a\n\n"
        f"--json writes one object with {_FIELDS},\nwhere messages is the shown branch, oldest first: id, parent, role, content, "
        "status, created_at, error, model,\nparameters, prompt_tokens, completion_tokens, first_token_ms, tokens_per_second, "
        "rating, correction,\nrated_at, completed_at.",
    )
    parser.add_argument("conversation", metavar="ID", help="a conversation's id, or the beginning of one")
    add_json_option(parser, "the conversation")
    parser.set_defaults(run=_show)


def _register_search(parts: Any) -> None:
    parser = parts.add_parser(
        "search",
        help="conversations that hold some words",
        description="Find the conversations whose title or messages hold all the words, with the place where they stand.\n"
        'Words in "double quotes" stay together; the last word may be the beginning of one.',
        epilog="examples:\n  mtntui logs search hash table\n  mtntui logs search '\"hash table\" python'\n\n"
        f"--json writes a list of objects with {_FIELDS}, snippet,\nand found: [start, end] of each word found in the snippet.",
    )
    parser.add_argument("words", nargs="+", metavar="WORDS", help="what to look for")
    add_paging(parser)
    add_json_option(parser, "what was found")
    parser.set_defaults(run=_search)


def _browse(context: Context, query: str, arguments: argparse.Namespace, *, archived: bool = False) -> list[Conversation]:
    from engine.store.conversations import Conversations

    # A query without a letter or digit finds nothing, rather than everything.
    if query and not any(character.isalnum() for character in query):
        return []
    return Conversations(context.database).browse(query, limit=arguments.limit, offset=arguments.offset, archived=archived)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = _browse(context, arguments.query, arguments, archived=arguments.archived)
    if context.json:
        print_json([_fields(conversation) for conversation in found])
    elif found:
        rows = [(c.id, c.title or "(untitled)", c.model, str(c.messages), local_time(c.updated_at)) for c in found]
        print_table(("ID", "TITLE", "MODEL", "MESSAGES", "UPDATED"), rows, flexible=1, right=(3,))
    else:
        note(_nothing(arguments, arguments.query))
    return 0


def _nothing(arguments: argparse.Namespace, query: str) -> str:
    """Why nothing is listed."""
    if arguments.limit == 0:
        return "--limit 0 shows none."
    if arguments.offset:
        return f"There is nothing after the first {arguments.offset:,}."
    if query:
        return "No conversation holds these words."
    return "No conversation is archived." if arguments.archived else "There are no conversations yet."


def _fields(conversation: Conversation) -> dict[str, Any]:
    fields = asdict(conversation)
    del fields["snippet"]
    return fields


def _show(arguments: argparse.Namespace, context: Context) -> int:
    from engine.store.conversations import Conversations

    conversations = Conversations(context.database)
    conversation = conversations.get(arguments.conversation)
    messages = conversations.messages(conversation.id)
    if context.json:
        print_json(_fields(conversation) | {"messages": [asdict(message) for message in messages]})
        return 0
    print_text(one_line(conversation.title) or "(untitled)")
    print_text(f"{conversation.id}, {conversation.source}, begun {local_time(conversation.created_at)}")
    if conversation.system:
        print_text(f"\nSystem prompt\n{conversation.system}")
    for message in messages:
        print_text(f"\n{_heading(message)}\n{message.content.rstrip()}")
        if message.error:
            print_text(f"[{one_line(message.error)}]")
        if message.correction is not None:
            print_text(f"\nYour correction\n{message.correction.rstrip()}")
    return 0


def _heading(message: StoredMessage) -> str:
    author = "You" if message.role == "user" else one_line(message.model) or "Model"
    remarks: list[str] = [message.status] if message.status != "complete" else []
    if message.rating:
        remarks.append(f"rated {message.rating}")
    return " · ".join([author, local_time(message.created_at), *remarks])


def _search(arguments: argparse.Namespace, context: Context) -> int:
    found = _browse(context, " ".join(arguments.words), arguments)
    if context.json:
        print_json([_fields(conversation) | _snippet_fields(conversation.snippet) for conversation in found])
        return 0
    if not found:
        note(_nothing(arguments, " ".join(arguments.words)))
    for conversation in found:
        print_text(f"{conversation.id}  {local_time(conversation.updated_at)}  {one_line(conversation.title) or '(untitled)'}")
        if conversation.snippet:
            _print_snippet(conversation.snippet)
    return 0


def _snippet_fields(snippet: str) -> dict[str, Any]:
    """The snippet without its marks, and where the found words stand in it."""
    text, found, end = "", [], 0
    for match in _FOUND.finditer(snippet):
        text += snippet[end : match.start()]
        found.append([len(text), len(text) + len(match[1])])
        text += match[1]
        end = match.end()
    return {"snippet": text + snippet[end:], "found": found}


def _print_snippet(snippet: str) -> None:
    """The snippet on a line, the found words in bold where there is a terminal."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if _emphasises() else ("", "")
    sys.stdout.write("    ")
    end = 0
    for match in _FOUND.finditer(snippet):
        write_out(_flat(snippet[end : match.start()]), sys.stdout)
        sys.stdout.write(bold)
        write_out(_flat(match[1]), sys.stdout)
        sys.stdout.write(plain)
        end = match.end()
    print_text(_flat(snippet[end:]))


def _flat(text: str) -> str:
    """One line, with the blanks at its ends kept: it stands between other words."""
    return one_line(f"|{text}|")[1:-1]


def _emphasises() -> bool:
    import os

    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
