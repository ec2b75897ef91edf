"""A chat template may put messages into text, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sovereign.errors import NotAdmitted
from sovereign.weights.admit import admit
from sovereign.weights.templates import check_template

USUAL = """
{%- macro render(schema) -%}
  {%- for key, value in schema.items() -%}
    {{- key | upper }}: {{ value['type'] if value is mapping else render(value) -}}
  {%- endfor -%}
{%- endmacro -%}
{%- set ns = namespace(last=none, _seen=false) -%}
{%- if tools %}{{ render(tools[0].function.parameters) }}{{ tools | tojson(indent=2) }}{% endif -%}
{%- for message in messages -%}
  {%- if loop.index0 % 2 == 1 and message.role not in ['user', 'tool'] %}{% continue %}{% endif -%}
  {%- if message['content'] is string -%}
    {{- '<|im_start|>' + message['role'] + '\\n' + message.content.strip().split('</think>')[-1] -}}
  {%- else -%}
    {%- for item in message.content | selectattr('type', 'equalto', 'text') -%}
      {{- item.text | trim -}}{{ item | map('upper') | map(attribute='x') | join }}
    {%- endfor -%}
  {%- endif -%}
  {%- set ns.last = message -%}
  {%- if message.role == 'assistant' -%}
    {% generation %}{{ message.content ~ eos_token }}{% endgeneration %}
  {%- endif -%}
{%- else -%}
  {{- raise_exception('no messages') -}}
{%- endfor -%}
{{ strftime_now('%d %B %Y') }}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}
"""


def test_what_usual_templates_do_is_permitted() -> None:
    """Macros, namespaces, filters, generation marks, loop controls: as large families use them."""
    check_template(USUAL, "chat_template.jinja")


ATTACKS = {
    "classes of Python's own": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "the same by subscript": "{{ ''['__class__'] }}",
    "the same by filter": "{{ '' | attr('upper') }}",
    "the same by map": "{{ [''] | map(attribute='__class__') | list }}",
    "the same in pieces": "{{ messages | map('at' ~ 'tr', 'x') | map('format') | pprint }}",
    "globals of a function": "{{ lipsum.__globals__ }}",
    "a call to a global": "{{ lipsum() }}",
    "a method of any object": "{{ messages.system('id') }}",
    "format with a format of its own": "{{ '{0.x}'.format(messages) }}",
    "printf that pads": "{{ '%999999999d' | format(1) }}",
    "printf by map": "{{ ['%999999999d'] | map('format', 1) | join }}",
    "printf by a map of maps": "{{ [['%9d']] | map('map', 'format', 1) | list }}",
    "printf by a name in pieces": "{{ ['%9d'] | map('for' ~ 'mat', 1) | join }}",
    "printf by a list of arguments": "{{ ['%9d'] | map(*['format', 1]) | join }}",
    "a map by named arguments": "{{ ['x'] | map(**{'attribute': 'y'}) | join }}",
    "a call to what was computed": "{{ (messages[0].f)() if 1 else messages[0]['f']() }}",
    "a file": "{% include '/etc/passwd' %}",
    "a module": "{% import 'x' as y %}",
    "names of a module": "{% from 'x' import y %}",
    "a parent": "{% extends 'x' %}",
    "much text": "{{ 'a' * 1000 }}",
    "a large number": "{{ 9 ** 9 }}",
    "a long loop": "{% for i in range(1000000000) %}a{% endfor %}",
    "loops in loops": "{% for a in m %}" * 5 + "{% endfor %}" * 5,
    "a loop that calls itself": "{% for a in m recursive %}{{ loop(a) }}{% endfor %}",
    "a statement that nobody knows": "{% do messages.append(1) %}",
    "no end": "{% for a in m %}",
    "a depth that no parser survives": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "a sum that no walk survives": "{{ 1" + " + 1" * 3000 + " }}",
    "a size that nobody needs": "x" * 1_000_001,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_template_that_reaches_further_is_refused_by_name(attack: str) -> None:
    """And the message says where it stands, but shows nothing of it."""
    with pytest.raises(NotAdmitted) as caught:
        check_template(ATTACKS[attack], "tokenizer_config.json#tool")
    assert caught.value.message.startswith("tokenizer_config.json#tool: the chat template ")


def test_the_line_is_named() -> None:
    """So that a person can look."""
    with pytest.raises(NotAdmitted, match="line 3"):
        check_template("a\nb\n{{ lipsum() }}", "x")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "{{ lipsum() }}"),
        ("additional_chat_templates/rag.jinja", "{{ lipsum() }}"),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ lipsum() }}"})),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": [{"name": "x", "template": "{{ lipsum() }}"}]}),
        ),
        ("processor_config.json", json.dumps({"chat_template": {"x": "{{ lipsum() }}"}})),
    ],
)
def test_every_place_that_holds_a_template_is_looked_at(
    tiny: Path, name: str, content: str
) -> None:
    """On the way in, with the file's name."""
    (tiny / name).parent.mkdir(exist_ok=True)
    (tiny / name).write_text(content)
    with pytest.raises(NotAdmitted, match=name.partition("/")[0].replace(".", r"\.")):
        admit(tiny)
