#!/usr/bin/env bash
# Prints the table of docs/naming.md: AgentDojo's tasks and injections, replayed through
# package policy. It needs Go, Python 3.11 or later and a network; AGENTDOJO_DIR keeps what
# it installs.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=${AGENTDOJO_DIR:-$(mktemp -d)} tasks=$(mktemp)
trap 'rm -f "$tasks"; [ -n "${AGENTDOJO_DIR:-}" ] || rm -rf "$dir"' EXIT
[ -x "$dir/bin/python" ] || python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check agentdojo==0.1.35
"$dir/bin/python" lab/agentdojo/export.py >"$tasks"
go run ./lab/agentdojo "$@" <"$tasks"
