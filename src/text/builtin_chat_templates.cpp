#include "src/text/builtin_chat_templates.h"

namespace windlass {
namespace {

constexpr std::string_view kChatMl = R"({%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
)";

constexpr std::string_view kLlama3 = R"({%- for message in messages -%}
{{- bos_token if loop.first -}}
<|start_header_id|>{{ message.role }}<|end_header_id|>

{{ message.content | trim }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start_header_id|>assistant<|end_header_id|>

{% endif -%}
)";

constexpr std::string_view kLlama2 = R"({%- set ns = namespace(system='', turn=0) -%}
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%}
    {%- set ns.system = '<<SYS>>\n' ~ message.content ~ '\n<</SYS>>\n\n' -%}
    {%- continue -%}
  {%- endif -%}
  {%- if (message.role == 'user') != (ns.turn % 2 == 0) -%}
    {{- raise_exception('roles must alternate user/assistant/user/assistant/...') -}}
  {%- endif -%}
  {%- set body = (ns.system ~ message.content) | trim -%}
  {%- if message.role == 'user' -%}
    {{- bos_token ~ '[INST] ' ~ body ~ ' [/INST]' -}}
  {%- elif message.role == 'assistant' -%}
    {{- ' ' ~ body ~ ' ' ~ eos_token -}}
  {%- endif -%}
  {%- set ns.turn = ns.turn + 1 -%}
  {%- set ns.system = '' -%}
{%- endfor -%}
)";

constexpr std::string_view kMistral = R"({{- bos_token -}}
{%- set ns = namespace(system='', first=true) -%}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {%- set ns.system = message.content ~ '\n\n' -%}
  {%- elif message.role == 'user' -%}
    {{- '[INST] ' ~ (ns.system if ns.first else '') ~ message.content ~ '[/INST]' -}}
    {%- set ns.first = false -%}
  {%- elif message.role == 'assistant' -%}
    {{- ' ' ~ message.content | trim ~ eos_token -}}
  {%- else -%}
    {{- raise_exception('unsupported role: ' ~ message.role) -}}
  {%- endif -%}
{%- endfor -%}
)";

constexpr std::string_view kGemma = R"({{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%}
    {{- raise_exception('System role not supported') -}}
  {%- elif (message.role == 'user') != (loop.index is odd) -%}
    {{- raise_exception('Conversation roles must alternate') -}}
  {%- endif -%}
<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}
{{ message.content | trim }}<end_of_turn>
{% endfor -%}
{%- if add_generation_prompt -%}
<start_of_turn>model
{% endif -%}
)";

constexpr std::string_view kPhi3 = R"({%- for message in messages -%}
  {%- if message.role in ['system', 'user', 'assistant'] -%}
<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>
{% else -%}
{{- eos_token -}}
{%- endif -%}
)";

constexpr std::string_view kZephyr = R"({%- for message in messages -%}
  {%- if message.role in ['system', 'user', 'assistant'] -%}
<|{{ message.role }}|>
{{ message.content ~ eos_token }}
{% endif -%}
  {%- if loop.last and add_generation_prompt -%}
<|assistant|>
{% endif -%}
{%- endfor -%}
)";

// Names of roles and tags as DeepSeek's vocabulary spells them, with full-width bars.
constexpr std::string_view kDeepSeek = R"({{- bos_token -}}
{{- messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\n\n') -}}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<｜User｜>' ~ message.content -}}
  {%- elif message.role == 'assistant' -%}
    {{- '<｜Assistant｜>' ~ message.content.split('</think>')[-1] ~ eos_token -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<｜Assistant｜>{%- endif -%}
)";

constexpr std::string_view kQwenTools = R"({%- macro begin(role) -%}
<|im_start|>{{ role }}
{% endmacro -%}
{%- macro end() -%}
<|im_end|>
{% endmacro -%}
{{- begin('system') -}}
{%- if messages and messages[0].role == 'system' -%}
  {{- messages[0].content -}}
{%- else -%}
You are Qwen, created by Alibaba Cloud. You are a helpful assistant.
{%- endif -%}
{%- if tools %}


# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{% for tool in tools %}
{{ tool | tojson }}
{% endfor %}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>
{%- endif -%}
{{- end() -}}
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%}
    {%- continue -%}
  {%- elif message.role == 'tool' -%}
    {%- if loop.first or loop.previtem.role != 'tool' -%}<|im_start|>user{%- endif %}

<tool_response>
{{ message.content }}
</tool_response>
    {%- if loop.last or loop.nextitem.role != 'tool' -%}{{- end() -}}{%- endif -%}
  {%- elif message.tool_calls -%}
    {{- '<|im_start|>' ~ message.role -}}
    {{- '\n' ~ message.content if message.content -}}
    {%- for call in message.tool_calls -%}
      {%- set function = call.function if call.function is defined else call %}

<tool_call>
{"name": "{{ function.name }}", "arguments": {{ function.arguments | tojson }}}
</tool_call>
    {%- endfor -%}
    {{- end() -}}
  {%- else -%}
    {{- begin(message.role) ~ message.content ~ end() -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- begin('assistant') -}}{%- endif -%}
)";

constexpr BuiltinChatTemplate kTemplates[] = {
    {"chatml", kChatMl},   {"llama-3", kLlama3},    {"llama-2", kLlama2},
    {"mistral", kMistral}, {"gemma", kGemma},       {"phi-3", kPhi3},
    {"zephyr", kZephyr},   {"deepseek", kDeepSeek}, {"qwen2.5-tools", kQwenTools},
};

}  // namespace

std::span<const BuiltinChatTemplate> builtin_chat_templates() { return kTemplates; }

}  // namespace windlass
