# Serves a scripted model with llama.cpp's own server (its parser, grammar and chat
# templates): usage: llama.py FOLDER [--no-tools]. It writes FOLDER/url when it listens.
#
# The weights are made here. Each token of a script has an embedding of its own, and
# the output matrix names the one token that follows it, so that the model says a
# script to its end once the prompt has ended in the script's first token. The chat
# template ends it so: in the script for the number of tool results seen so far.
# It tests the wire, not what a model knows.
import json
import sys
import time

import gguf
import numpy as np
import xllamacpp

folder, has_tools = sys.argv[1], "--no-tools" not in sys.argv


def call(name, **arguments):
    return "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}) + "\n</tool_call>"


SCRIPTS = [
    call("fetch_document", document_id="doc_9982"),
    call("create_report", title="Q4 Analysis", content="Revenue grew by 12.4 percent."),
    "The report Q4 Analysis is written.",
]
if not has_tools:  # as a model that was told of no tools
    SCRIPTS = ["The document says that all is well, and the report is written."]

TEMPLATE = """{%- set seen = namespace(results=0) -%}
{%- if TOOLS %}{{ '<|im_start|>system\\nYou may call tools, declared within <tools></tools>:\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}
{{- '\\n</tools>\\nCall one as\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}{% endif -%}
{%- for m in messages %}
{%- if m.role == 'tool' %}{% set seen.results = seen.results + 1 %}{{ '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.content %}{{ m.content }}{% endif %}
{%- for c in m.tool_calls or [] %}{{ '\\n<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<|script' ~ seen.results ~ '|>' }}{% endif %}"""
TEMPLATE = TEMPLATE.replace("TOOLS", "tools") if has_tools else TEMPLATE.replace("TOOLS", "false")

tokens, kinds, follows = ["<unk>", "<|im_start|>", "<|im_end|>"], [2, 3, 3], {}
for i in range(256):
    tokens.append(f"<0x{i:02X}>")
    kinds.append(6)
for i, script in enumerate(SCRIPTS):
    last = len(tokens)
    tokens.append(f"<|script{i}|>")
    kinds.append(3)
    script = script.replace(" ", "\u2581")
    while script:  # in pieces that are no token yet
        n = next((n for n in range(1, len(script)) if script[:n] not in tokens and script[n:] not in tokens), len(script))
        follows[last] = len(tokens)
        last = len(tokens)
        tokens.append(script[:n])
        kinds.append(1)
        script = script[n:]
    follows[last] = 2
assert len(set(tokens)) == len(tokens)

size = -(-len(tokens) // 32) * 32
embedding = np.eye(len(tokens), size, dtype=np.float32)
output = np.zeros((len(tokens), size), dtype=np.float32)
for before, after in follows.items():
    output[after, before] = 4

w = gguf.GGUFWriter(folder + "/scripted.gguf", "llama")
w.add_name("scripted")
w.add_context_length(32768)
w.add_embedding_length(size)
w.add_block_count(1)
w.add_feed_forward_length(32)
w.add_head_count(size // 32)
w.add_head_count_kv(size // 32)
w.add_rope_dimension_count(32)
w.add_layer_norm_rms_eps(1e-6)
w.add_vocab_size(len(tokens))
w.add_tokenizer_model("llama")
w.add_token_list(tokens)
w.add_token_types(kinds)
w.add_token_scores([0.0] * len(tokens))
w.add_eos_token_id(2)
w.add_unk_token_id(0)
w.add_add_bos_token(False)
w.add_add_space_prefix(False)
w.add_chat_template(TEMPLATE)
w.add_tensor("token_embd.weight", embedding)
w.add_tensor("output_norm.weight", np.ones(size, dtype=np.float32))
w.add_tensor("output.weight", output)
for name in ("attn_norm", "ffn_norm"):
    w.add_tensor(f"blk.0.{name}.weight", np.ones(size, dtype=np.float32))
for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
    w.add_tensor(f"blk.0.{name}.weight", np.zeros((size, size), dtype=np.float32))
for name, shape in (("ffn_gate", (32, size)), ("ffn_up", (32, size)), ("ffn_down", (size, 32))):
    w.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, dtype=np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

params = xllamacpp.CommonParams()
params.model.path = folder + "/scripted.gguf"
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 16384
params.n_parallel = 1
params.cpuparams.n_threads = 2
params.warmup = False
server = xllamacpp.Server(params)
with open(folder + "/url", "w") as f:
    f.write(server.listening_address)
while True:
    time.sleep(3600)
