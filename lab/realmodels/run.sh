#!/usr/bin/env bash
# Runs the analyst's whole job, streamed and not, against real model servers from
# public packages, whose models follow a script: llama.cpp's server, aimock, and
# LiteLLM's gateway; and against llmock, which breaks them. Prints one line for each;
# fails where a job does not end well.
# It needs Go, Python 3.11 or later, Node and a network, and takes minutes, most of
# them to install. REALMODELS_DIR keeps what it installs.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD dir=${REALMODELS_DIR:-$(mktemp -d)} work=$(mktemp -d) pids=()
mkdir -p "$dir"
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
  [ -n "${REALMODELS_DIR:-}" ] || rm -rf "$dir"
}
trap finish EXIT

# Versions stand in docs/models.md too.
install() { [ -x "$dir/$1/bin/$2" ] || { python3 -m venv "$dir/$1" && "$dir/$1/bin/pip" install --quiet --disable-pip-version-check "${@:3}"; }; }
install llama python xllamacpp==2026.10.11549 gguf==0.19.0
install litellm litellm 'litellm[proxy]==1.108.7'
install llmock llmock llmock==0.2.2
[ -d "$dir/node_modules/@copilotkit/aimock" ] || npm install --silent --no-audit --no-fund --prefix "$dir" @copilotkit/aimock@1.43.0
(cd ../.. && go build -o "$work/analyst" ./cmd/analyst)

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
up() { # up URL LOG: waits for a server
  for _ in $(seq 240); do
    if curl -fsS -o /dev/null "$1" 2>/dev/null; then return; fi
    sleep 0.5
  done
  cat "$2"
  echo "nothing listens at $1"
  exit 1
}
start() { # start LOG COMMAND...
  "${@:2}" >"$1" 2>&1 &
  pids+=($!)
}

failed=0 key=any-key
# job NAME WANT ARGUMENTS...: the job, streamed and not; WANT is the exit code.
job() {
  local name=$1 want=$2 out=() way
  shift 2
  for way in "" --stream; do
    rm -rf "$work/reports" "$work/state"
    local code=0
    # shellcheck disable=SC2086
    env -i PATH="$PATH" HOME="$work" XDG_STATE_HOME="$work/state" OPENAI_BASE_URL="$base" GOOGLE_GEMINI_BASE_URL="$base" ANTHROPIC_BASE_URL="$base" \
      OPENAI_API_KEY="$key" GOOGLE_API_KEY=any-key ANTHROPIC_API_KEY=any-key \
      timeout 300 "$work/analyst" run --quiet $way "$@" --reports "$work/reports" "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'." >"$work/out" 2>"$work/err" || code=$?
    local reports
    reports=$(cat "$work/reports"/*.md 2>/dev/null | grep -c '^# Q4 Analysis$' || true)
    if [ "$code" = "$want" ] && { [ "$want" != 0 ] || { [ "$reports" = 1 ] && grep -q 'Q4 Analysis is written' "$work/out"; }; }; then
      out+=(ok)
    else
      out+=("FAIL($code)") failed=1
      tail -n 3 "$work/out" "$work/err"
    fi
  done
  printf '%-45s %-8s %s\n' "$name" "${out[@]}"
}
printf '%-45s %-8s %s\n' server plain streamed

mkdir "$work/llama" "$work/bare"
start "$work/llama/log" "$dir/llama/bin/python" "$here/llama.py" "$work/llama"
start "$work/bare/log" "$dir/llama/bin/python" "$here/llama.py" "$work/bare" --no-tools
for _ in $(seq 120); do [ -s "$work/llama/url" ] && [ -s "$work/bare/url" ] && break; sleep 0.5; done
base=$(cat "$work/llama/url")/v1
job "llama.cpp, chat completions" 0 --model openai/scripted
job "llama.cpp, responses" 0 --model openai/scripted --model-option api=responses
base=$(cat "$work/bare/url")/v1
job "llama.cpp, a chat template without tools" 1 --model openai/scripted

mock=http://127.0.0.1:$(port)
start "$work/aimock.log" node "$dir/node_modules/@copilotkit/aimock/dist/cli.js" --port "${mock##*:}" --fixtures "$here/aimock.json" --strict
up "$mock/v1/models" "$work/aimock.log"
base=$mock/v1
job "aimock, chat completions" 0 --model openai/gpt-4.1
job "aimock, responses" 0 --model openai/gpt-4.1 --model-option api=responses
base=$mock
job "aimock, generateContent" 0 --model gemini/gemini-2.5-flash
job "aimock, messages" 0 --model anthropic/claude-sonnet-4-5

cat >"$work/litellm.yaml" <<YAML
model_list:
  - model_name: scripted
    litellm_params: {model: openai/gpt-4.1, api_base: "$mock/v1", api_key: any-key}
YAML
gateway=http://127.0.0.1:$(port)
key=sk-$(python3 -c 'import secrets; print(secrets.token_hex(32))') # it refuses to start with a weak one
LITELLM_MASTER_KEY=$key start "$work/litellm.log" "$dir/litellm/bin/litellm" --config "$work/litellm.yaml" --host 127.0.0.1 --port "${gateway##*:}" --telemetry False
up "$gateway/health/liveliness" "$work/litellm.log"
base=$gateway/v1
job "LiteLLM before aimock, chat completions" 0 --model openai/scripted
job "LiteLLM before aimock, responses" 0 --model openai/scripted --model-option api=responses

breaker=http://127.0.0.1:$(port)
start "$work/llmock.log" "$dir/llmock/bin/llmock" serve --port "${breaker##*:}" --log-level warning
up "$breaker/v1/models" "$work/llmock.log"
mkdir "$work/faults"
python3 "$here/faults.py" "$work/analyst" "$breaker" "$work/faults" || failed=1
exit "$failed"
