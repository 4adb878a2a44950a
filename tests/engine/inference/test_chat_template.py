"""Templates render as transformers renders them, and cannot reach out of their sandbox."""

import time

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


LONG = "range(99999)"


@pytest.mark.parametrize(
    "source",
    [
        f"{{% for a in {LONG} %}}{{% for b in {LONG} %}}{{% endfor %}}{{% endfor %}}",
        f"{{% for a in {LONG} %}}{{% for b in {LONG} if false %}}{{% endfor %}}{{% endfor %}}",
        f"{{% for a in {LONG} recursive %}}{{{{ loop({LONG}) if loop.depth < 5 }}}}{{% endfor %}}",
        f"{{% for a in {LONG} %}}{{% set x = {LONG} | map('string') | join %}}{{% endfor %}}",
        f"{{% for a in {LONG} %}}{{{{ {LONG} | sum }}}}{{% endfor %}}",
        f"{{% set long = 'x' * 999999 %}}{{% for a in {LONG} %}}{{{{ long }}}}{{% endfor %}}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% block a %}{% if messages %}{{ self.a() }}{{ self.a() }}{% endif %}{% endblock %}",
        "{% set ns = namespace(x='xx') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='xx') %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ 'x' | center(3000000000) }}",
        "{{ 'x'.ljust(3000000000) }}",
        "{{ '%3000000000d' % 1 }}{{ '%*d' % (3000000000, 1) }}",
        "{{ '{:3000000000}'.format(1) }}",
        "{{ ('x' * 1000000).replace('x', 'x' * 1000000) }}",
        "{{ ('x' * 1000000) | replace('x', 'x' * 1000000) }}",
        "{{ [1] | slice(1000000000) | list }}",
        "{{ lipsum(100000000) }}",
        "{{ ('%999999d' * 100000) % ((1,) * 100000) }}",
        "{{ ('{0:999999}' * 100000).format(1) }}",
        "{{ ('{0}' * 100000).format('x' * 999999) }}",
        "{{ (['x' * 999999] * 100000) | join }}",
        "{{ ('x' * 999999).join(['a'] * 100000) }}",
        "{{ (['x' * 999999] * 100000) | tojson | length }}",
        "{{ ('a\\n' * 500000) | indent(999999) }}",
        "{{ ('\\t' * 999999).expandtabs(999999) }}",
        "{{ ([[1]] * 900000) | sum(start=[]) | length }}",
        "{{ ('f' * 999999) | int(0, 16) // 3 }}",
        "{% set ns = namespace(x=1) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=1) %}{% for a in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x | tojson }}",
        "{% set ns = namespace(x=1) %}{% for a in range(60) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x={}) %}{% for a in range(60) %}{% set ns.x = {1: ns.x.items(), 2: ns.x.items()} %}{% endfor %}",
        "{% set ns = namespace() %}{% for a in range(60) %}{% set ns.x = namespace(a=ns.x, b=ns.x) %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='xx') %}{% for a in range(60) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        f"{{% set x %}}{{% for a in {LONG} %}}{{% for b in {LONG} %}}{'x' * 9999}{{% endfor %}}{{% endfor %}}{{% endset %}}",
    ],
)
def test_a_template_without_an_end_is_stopped_soon(source):
    began = time.monotonic()
    with pytest.raises(InvalidInputError, match="chat template failed"):
        ChatTemplate(source).render([Message("system", "Be brief."), *TALK])
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("before", "each", "after"),
    [
        ("", "[{{ m.role }}]{{ m['content'] }}", ""),
        ("{% set n = namespace(x='') %}", "{% set n.x = n.x + '[' + m.role + ']' + m.content %}", "{{ n.x }}"),
        ("{% set n = namespace(x='') %}", "{% set n.x = n.x ~ '[' ~ m.role ~ ']' ~ m.content %}", "{{ n.x }}"),
        ("{% macro f(m) %}[{{ m.role }}]{{ m.content | string }}{% endmacro %}", "{{ f(m) }}", ""),
    ],
)
def test_a_long_conversation_renders_however_a_template_puts_it_together(before, each, after):
    turns = [Message(("user", "assistant")[number % 2], f"{number} " * 300) for number in range(601)]
    expected = "".join(f"[{turn.role}]{turn.content}" for turn in turns)
    source = f"{before}{{% for m in messages %}}{each}{{% endfor %}}{after}"
    assert ChatTemplate(source).render(turns) == expected


def test_long_texts_are_handed_on_as_arguments():
    long = "x" * 200_000
    source = (
        "{% macro f(a, b) %}{{ a ~ b }}{% endmacro %}{% set n = namespace(a=messages[0].content, b=messages[1].content) %}"
        "{{ f(n.a, n.b) }}{{ n.a | default(n.b) }}{{ '%s: %s' % (n.a, n.b) }}{{ messages | tojson(indent=2) | length }}"
        "{{ {'a': [n.a, (1, none)]} }}{{ messages | map(attribute='role') | join(', ') }}"
    )
    turns = [Message("user", long), Message("assistant", long)]
    assert len(ChatTemplate(source).render(turns)) > 5 * len(long)


def test_loops_know_where_they_are():
    source = (
        "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{% if not loop.last %},{% endif %}"
        "{% else %}none{% endfor %}{{ messages | map(attribute='role') | unique | join('+') }}"
    )
    assert ChatTemplate(source).render(TALK) == "1/2,2/2user+assistant"


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
