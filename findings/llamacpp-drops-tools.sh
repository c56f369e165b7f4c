#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server, build 11549), Python 3.11.
#
# Guess: a request with tools, to a model whose chat template has no place for tools, is
# refused, or the tools reach the prompt in another way.
# Seen: 200; the tools are dropped without a word, `tool_choice: "required"` with them:
# the prompt has the same number of tokens with tools and without. GET /props says so.
#
# The model is made by ../lab/realmodels/llama.py and says a fixed script.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) dir=$(mktemp -d)
trap 'kill $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0
"$dir/venv/bin/python" "$here/../lab/realmodels/llama.py" "$dir" --no-tools >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 240); do [ -s "$dir/url" ] && break; sleep 0.5; done
"$dir/venv/bin/python" - "$(cat "$dir/url")" <<'PY'
import json, sys, urllib.request

def ask(path, **body):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)

messages = [{"role": "user", "content": "What is the weather in Paris?"}]
tool = {"type": "function", "function": {"name": "weather", "description": "Tells the weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
bare = ask("/v1/chat/completions", messages=messages, max_tokens=1)
told = ask("/v1/chat/completions", messages=messages, max_tokens=1, tools=[tool])
must = ask("/v1/chat/completions", messages=messages, max_tokens=8, tools=[tool], tool_choice="required")
counts = [a["usage"]["prompt_tokens"] for a in (bare, told, must)]
print("prompt_tokens without tools, with, with tool_choice required:", counts)
assert counts[0] == counts[1] == counts[2], "tools are not dropped any more"
assert not must["choices"][0]["message"].get("tool_calls"), "required is enforced now"
assert ask("/props")["chat_template_caps"]["supports_tools"] is False, "/props does not say it any more"
print("as seen before: tools dropped with 200")
PY
