from hypothesis import given
from hypothesis import strategies as st

from mtntui.widgets.message_window import MOST, PAGE, MessageWindow


def read(total: int, before: int | None, limit: int) -> list[int]:
    """As the store answers: the last `limit` of the ids 1 to `total` that come before one of them."""
    end = total if before is None else before - 1
    return list(range(max(1, end - limit + 1), end + 1))


@given(st.integers(0, 400), st.lists(st.booleans(), max_size=60))
def test_what_is_mounted_is_always_one_stretch_of_the_branch(total, steps):
    mounted = read(total, None, PAGE)
    window = MessageWindow(list(mounted), 0, len(mounted), len(mounted) < PAGE)
    for up in steps:
        if up and window.more_above:
            before, limit = window.page_above()
            ids = read(total, before, limit)
            mounted = ids + mounted
            surplus = window.prepended(ids, limit)
            mounted = mounted[: len(mounted) - surplus]
        elif not up and window.more_below:
            before, limit = window.page_below()
            ids = read(total, before, limit)
            mounted += ids
            mounted = mounted[window.appended(ids) :]
        assert mounted == window.ids[window.first : window.last]
        assert mounted == list(range(mounted[0], mounted[0] + len(mounted))) if mounted else total == 0
        assert len(mounted) <= MOST
    assert window.more_below == bool(mounted and mounted[-1] < total)
    if not window.more_above:
        assert not mounted or mounted[0] == 1


def test_a_branch_that_goes_on_differently_forgets_its_end():
    window = MessageWindow([1, 2, 3, 4], 0, 4, True)
    window.cut(2)
    window.appended([9])
    assert (window.ids, window.first, window.last) == ([1, 2, 9], 0, 3)
