from mtntui.widgets.prompt_text import LARGE_PASTE, Pastes, PromptHistory


def test_large_pastes_are_expanded_where_they_stand():
    pastes = Pastes()
    one, two = pastes.add("x" * 6000), pastes.add("a\nb")
    assert pastes.expand(f"see {one} and {two}, {one}") == f"see {'x' * 6000} and a\nb, {'x' * 6000}"


def test_a_paste_that_holds_another_ones_placeholder_is_not_expanded_twice():
    pastes = Pastes()
    one = pastes.add("secret")
    two = pastes.add(f"quoting {one}")
    assert pastes.expand(two) == f"quoting {one}"


def test_a_placeholder_that_was_edited_is_plain_text():
    pastes = Pastes()
    mark = pastes.add("x" * 6000)
    assert pastes.expand(mark[:-2]) == mark[:-2]


def test_only_large_text_is_replaced():
    pastes = Pastes()
    assert not pastes.wants("x" * LARGE_PASTE)
    assert pastes.wants("x" * (LARGE_PASTE + 1)) and pastes.wants("\n" * 100)


def test_ten_pastes_keep_their_own_placeholders():
    pastes = Pastes()
    marks = [pastes.add(f"text {number}") for number in range(12)]
    assert pastes.expand(" ".join(marks)) == " ".join(f"text {number}" for number in range(12))


def test_a_text_that_is_put_in_again_keeps_its_placeholder():
    pastes = Pastes()
    first, other = pastes.add("x" * 6000), pastes.add("y" * 6000)
    assert pastes.add("x" * 6000) == first != other
    assert pastes.add("z" * 6000) not in {first, other}


def test_recalling_goes_back_and_forth_and_forgets_repetitions():
    history = PromptHistory()
    for prompt in ("one", "two", "one"):
        history.add(prompt)
    assert [history.older(), history.older(), history.older()] == ["one", "two", None]
    assert [history.newer(), history.newer()] == ["one", ""]
