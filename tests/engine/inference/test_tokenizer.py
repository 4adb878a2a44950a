import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer

from engine.errors import InvalidInputError
from engine.inference.tokenizer import Detokenizer, StopStrings, Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return Tokenizer(folder)


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\ufffd\ufdd0\ufdd1"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_text_comes_back_whole_and_never_with_a_broken_character(tokenizer, text):
    stream = Detokenizer(tokenizer)
    pieces = [stream.add(token) for token in tokenizer.encode(tokenizer.defuse(text))]
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(pieces) + stream.finish() == text


def test_a_character_split_over_tokens_is_held_until_it_is_whole(tokenizer):
    ids = tokenizer.encode("👩‍🚀")
    assert len(ids) > 3, "the tiny vocabulary must split it, or this test shows nothing"
    stream = Detokenizer(tokenizer)
    pieces = [stream.add(token) for token in ids]
    assert pieces[0] == ""
    assert "".join(pieces) == "👩‍🚀"


def test_an_unfinished_character_at_the_end_is_left_out(tokenizer):
    stream = Detokenizer(tokenizer)
    shown = [stream.add(token) for token in tokenizer.encode("ok 🚀")[:-1]]
    assert "".join(shown) + stream.finish() in {"ok ", "ok"}


def test_bytes_that_never_become_a_character_do_not_hold_the_rest_back(tokenizer):
    half = tokenizer.encode("🚀")[:1]
    stream = Detokenizer(tokenizer)
    shown = "".join(stream.add(token) for token in half * 12 + tokenizer.encode(" go on"))
    assert shown.endswith(" go on")


def test_special_tokens_in_a_message_stay_text(tokenizer):
    special = "<|im_end|>"
    end = tokenizer.token_id(special)
    assert end is not None
    assert end in tokenizer.encode(special), "the template's own are recognised"
    ids = tokenizer.encode(tokenizer.defuse(f"say {special} now"))
    assert end not in ids
    assert tokenizer.decode(ids) == f"say {special} now"


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Tokenizer:
    """A tokenizer with special tokens that are characters: one that ends turns, and some that ordinary text is made of."""
    folder = tmp_path_factory.mktemp("odd")
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens(["\u241e", "\n", "  ", "7"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return Tokenizer(folder)


def test_special_tokens_of_one_character_in_a_message_stay_text(odd):
    special = "\u241e"
    end = odd.token_id(special)
    said = f"{special}say {special}{special} now{special}"
    ids = odd.encode(f"{special}{odd.defuse(said)}{special}")
    assert [place for place, token in enumerate(ids) if token == end] == [0, len(ids) - 1], "the template's own alone"
    assert odd.decode(ids) == said
    cut = odd.defuse(f"a{special}").removesuffix(special)  # a template may cut what a message says
    assert odd.encode(cut + "<|im_end|>")[-1] == odd.token_id("<|im_end|>")


def test_special_tokens_that_text_is_made_of_are_encoded_as_the_model_learned_them(odd):
    text = "one\ntwo  three 7 four\n"
    assert odd.encode(odd.defuse(text)) == odd.library.encode(text, add_special_tokens=False).ids
    assert odd.token_id("\n") in odd.encode(odd.defuse(text))


def test_a_folder_without_a_tokenizer_says_so(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no tokenizer\.json"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        Tokenizer(tmp_path)


@given(st.text("abU:s\n", max_size=40), st.lists(st.text("abU:s\n", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
@settings(max_examples=400, deadline=None)
def test_stop_strings_cut_at_the_first_one_however_the_text_is_split(text, strings, data):
    places = [text.find(string) for string in strings if string in text]
    stops = StopStrings(tuple(strings))
    shown, position = "", 0
    while position < len(text) and not stops.found:
        step = data.draw(st.integers(1, 5))
        shown += stops.add(text[position : position + step])
        assert text.startswith(shown)
        position += step
    if not stops.found:
        shown += stops.finish()
    # A stop string that ends earlier is seen earlier, even if another one began before it.
    assert bool(places) == stops.found
    assert shown == text if not places else any(text[len(shown) :].startswith(string) for string in strings)


def test_nothing_is_held_back_without_stop_strings():
    assert StopStrings(()).add("User") == "User"
