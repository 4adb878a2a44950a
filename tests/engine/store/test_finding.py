"""Where a search found what it looked for."""

from engine.store.conversations import Conversations
from engine.store.database import Database
from engine.store.finding import find_place


def test_the_place_is_on_the_branch_that_is_shown(tmp_path):
    database = Database(tmp_path / "mtntui.db")
    store = Conversations(database)
    conversation = store.create(title="Herons")
    ids = []
    for number in range(5):
        user = store.add_user_message(conversation.id, f"question {number}")
        reply = store.start_reply(conversation.id, parent=user.id, model="m", parameters={})
        store.finish_reply(reply.id, "the grey heron" if number == 2 else f"answer {number}", "complete")
        ids += [user.id, reply.id]
    other = store.start_reply(conversation.id, parent=ids[-2], model="m", parameters={})
    store.finish_reply(other.id, "an osprey", "complete")

    place = find_place(database, conversation.id, "grey her")
    assert place is not None
    assert (place.message, place.branch) == (ids[5], [*ids[:-1], other.id])
    assert find_place(database, conversation.id, "osprey").message == other.id
    assert find_place(database, conversation.id, '"answer 4"') is None, "that reply is on a branch that is not shown"
    assert find_place(database, conversation.id, "herons") is None, "only the title says so"
    assert find_place(database, conversation.id, "  ") is None
    database.close()
