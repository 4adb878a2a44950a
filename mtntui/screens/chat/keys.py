"""The keys of the chat room."""

from textual.binding import BindingType

from mtntui.keymap import command

KEYS: list[BindingType] = [
    command("chat.stop", "escape", "stop", "Stop", "Stop the reply; what there is of it is kept.", show=True),
    command("chat.stop_fetch", "escape", "stop_fetch", "Stop fetching", "Stop fetching a first model.", show=True),
    command("chat.back", "escape", "back", "Back", "Go back to the prompt, and close the list over the transcript.", show=True),
    command("chat.new", "ctrl+n", "new", "New", "Begin a new conversation.", show=True, priority=True),
    command("chat.list", "ctrl+l", "toggle_list", "List", "Show or hide the conversations.", show=True, priority=True),
    command("chat.search", "ctrl+f", "search", "Search", "Search in everything that was said.", show=True, priority=True),
    command(
        "chat.model",
        "ctrl+o",
        "pick_model",
        "Model",
        "Choose the model that answers, or fetch one.",
        show=True,
        priority=True,
    ),
    command(
        "chat.previous",
        "ctrl+up",
        "select(-1)",
        "Message above",
        "Go to the message above, to rate or copy it.",
        priority=True,
    ),
    command("chat.next", "ctrl+down", "select(1)", "Message below", "Go to the message below.", priority=True),
    command("chat.rename", "f2", "rename", "Rename", "Give the conversation another title."),
    command("chat.delete", "f3", "delete", "Delete", "Delete the conversation; this can be undone."),
    command("chat.undo_delete", "f4", "undo_delete", "Undo delete", "Bring back the conversation deleted last."),
    command("chat.retry", "f5", "retry", "Ask again", "Ask for another reply to your last message."),
    command("chat.good", "f6", "rate('good')", "Good", "Mark the selected reply, or the last one, as good.", priority=True),
    command("chat.bad", "f7", "rate('bad')", "Bad", "Mark it as bad.", priority=True),
    command("chat.correct", "f8", "correct", "Correct", "Write what it should have been.", priority=True),
    command("chat.copy", "f9", "copy_reply", "Copy", "Copy the selected message, or the last reply.", priority=True),
]
