#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server, build 11549), Python 3.11.
#
# Guess: an answer that was cut at max_output_tokens has the status `incomplete` in the
# Responses API, with incomplete_details, as chat completions say finish_reason `length`.
# Seen: chat completions say `length`; the Responses API says `completed`, and no
# incomplete_details. Only output_tokens, which equals the bound, gives it away.
#
# The model is made by ../lab/realmodels/llama.py and says a fixed script.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) dir=$(mktemp -d)
trap 'kill $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0
"$dir/venv/bin/python" "$here/../lab/realmodels/llama.py" "$dir" >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 240); do [ -s "$dir/url" ] && break; sleep 0.5; done
"$dir/venv/bin/python" - "$(cat "$dir/url")" <<'PY'
import json, sys, urllib.request

def ask(path, **body):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)

chat = ask("/v1/chat/completions", messages=[{"role": "user", "content": "hello"}], max_tokens=3)
response = ask("/v1/responses", input="hello", max_output_tokens=3)
print("chat:", chat["choices"][0]["finish_reason"], "responses:", response["status"], response.get("incomplete_details"), "output_tokens:", response["usage"]["output_tokens"])
assert chat["choices"][0]["finish_reason"] == "length"
assert response["status"] == "completed" and not response.get("incomplete_details"), "it says now that it was cut"
assert response["usage"]["output_tokens"] == 3
print("as seen before: completed, although it was cut")
PY
