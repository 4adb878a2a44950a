"""Templates render as transformers renders them, and cannot reach out of their sandbox."""

import pytest
from tiny_models import tiny_weights
from transformers import AutoTokenizer

from engine.errors import InvalidInputError
from engine.inference.chat_template import ChatTemplate, load_chat_template
from engine.inference.types import Message

TALK = [Message("user", "Hello <b>\n there"), Message("assistant", "Hi."), Message("user", "Bye & thanks")]


@pytest.mark.parametrize("messages", [TALK, [Message("system", "Be brief."), *TALK]])
def test_renders_as_transformers_does(tmp_path, messages):
    folder = tiny_weights(tmp_path / "model")
    turns = [{"role": message.role, "content": message.content} for message in messages]
    expected = AutoTokenizer.from_pretrained(folder).apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert load_chat_template(folder).render(messages) == expected


def test_a_model_without_a_template_gets_plain_turns_and_stops_before_the_next():
    template = ChatTemplate("")
    assert template.render(TALK).endswith("User: Bye & thanks\nAssistant:")
    assert template.stop == ("\nUser:",)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].__init__.__globals__ }}{{ 1/0 }}",
        "{% for i in range(999999999) %}x{% endfor %}",
        "{{ 10 ** 10 ** 9 }}",
        "{% set n = 10 %}{{ n ** (n ** 9) }}",
        "{{ 'x' * 10000000000 }}",
        "{{ 10000000000 * messages }}",
    ],
)
def test_a_hostile_template_is_stopped(source):
    with pytest.raises(InvalidInputError, match="chat template failed"):
        ChatTemplate(source).render(TALK)


def test_a_template_that_does_not_parse_says_so():
    with pytest.raises(InvalidInputError, match="does not parse"):
        ChatTemplate("{% for %}")


def test_a_template_that_refuses_a_system_turn_gets_it_in_the_first_user_turn():
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    rendered = ChatTemplate(source).render([Message("system", "Be brief."), Message("user", "Hi")])
    assert rendered == "[user]Be brief.\n\nHi"


def test_generation_tags_loop_controls_and_tojson_work():
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}"
        "{% generation %}{{ m.content | tojson }}{% endgeneration %}{% endfor %}{{ bos_token }}"
    )
    assert ChatTemplate(source, {"bos_token": "<s>"}).render(TALK) == '"Hi."<s>'


@pytest.mark.parametrize(
    "source",
    ["{{ 1 / 0 }}", "{{ '{a}'.format() }}", "{{ '{}'.format() }}", "{{ 'x'.encode('nonsense') }}", "{{ '%999999999999d' % 1 }}"],
)
def test_whatever_a_template_raises_is_said_in_words(source):
    with pytest.raises(InvalidInputError, match="chat template failed"):
        ChatTemplate(source).render(TALK)


@pytest.mark.parametrize(
    "source",
    ["{% if true %}" * 120 + "{% endif %}" * 120, "{{" + "(" * 3000 + "1" + ")" * 3000 + "}}"],
    ids=["conditions", "parentheses"],
)
def test_a_template_nested_too_deeply_does_not_parse(source):
    with pytest.raises(InvalidInputError, match="does not parse"):
        ChatTemplate(source)


def test_tools_and_documents_are_none_as_in_transformers():
    source = "{% if tools is not none or documents is not none %}tools{% endif %}{{ messages | tojson(separators=(',', ':')) }}"
    assert ChatTemplate(source).render([Message("user", "Hi")]) == '[{"role":"user","content":"Hi"}]'


@pytest.mark.parametrize(
    "config", ["{", "[1]", '{"chat_template": ["x"]}', "[" * 100_000], ids=["cut", "list", "unnamed template", "deep"]
)
def test_a_broken_tokenizer_config_names_the_file(tmp_path, config):
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises(InvalidInputError, match=r"tokenizer_config\.json"):
        load_chat_template(tmp_path)


def test_a_template_that_is_no_text_names_the_file(tmp_path):
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match=r"chat_template\.jinja"):
        load_chat_template(tmp_path)
