// What the official OpenAI client for JavaScript does, against the model server.
// OPENAI_BASE_URL says where it is.
import assert from "node:assert/strict";
import OpenAI from "openai";

const model = "gpt-4.1";
const ask = { role: "user", content: "Summarize doc_9982" };
const hello = [{ role: "user", content: "hello" }];
const fetched = [];
const parameters = { type: "object", properties: { document_id: { type: "string" } }, required: ["document_id"], additionalProperties: false };
const described = { name: "fetch_document", description: "Fetch one document by its identifier.", parameters };
const tool = { type: "function", function: described };
const runnable = {
  type: "function",
  function: {
    ...described,
    parse: JSON.parse,
    function: ({ document_id: id }) => {
      fetched.push(id);
      return { id, title: "Q4", content: "Revenue grew by 12.4%. Costs fell." };
    },
  },
};
const client = new OpenAI({ maxRetries: 0 });
const ok = (name, holds) => {
  assert.ok(holds, name);
  console.log("ok", name);
};
const refused = async (status, call) => {
  try {
    await call();
  } catch (e) {
    return e.status === status;
  }
  return false;
};

ok("list", (await client.models.list()).data.some((m) => m.id === "offline"));
const answer = (await client.chat.completions.create({ model, messages: hello })).choices[0].message.content;
ok("chat", answer);
let text = "";
for await (const e of await client.chat.completions.create({ model, messages: hello, stream: true })) text += e.choices[0]?.delta.content ?? "";
ok("stream", text === answer);
ok("run tools", (await client.chat.completions.runTools({ model, messages: [ask], tools: [runnable] }).finalContent()).includes("12.4%"));
ok("run tools as a stream", (await client.chat.completions.runTools({ model, messages: [ask], tools: [runnable], stream: true }).finalContent()).includes("12.4%"));
assert.deepEqual(fetched, ["doc_9982", "doc_9982"]);

const loop = async (turn) => {
  const messages = [ask];
  for (let i = 0; i < 4; i++) {
    const message = await turn(messages);
    messages.push(message);
    if (!message.tool_calls?.length) return message.content;
    for (const c of message.tool_calls) messages.push({ role: "tool", tool_call_id: c.id, content: JSON.stringify(runnable.function.function(JSON.parse(c.function.arguments))) });
  }
};
ok("stream helper", (await loop(async (messages) => (await client.chat.completions.stream({ model, messages, tools: [tool] }).finalChatCompletion()).choices[0].message)).includes("12.4%"));
ok("parse", (await loop(async (messages) => (await client.chat.completions.parse({ model, messages, tools: [{ ...tool, function: { ...described, strict: true } }] })).choices[0].message)).includes("12.4%"));

const items = async (turn) => {
  const input = [ask];
  for (let i = 0; i < 4; i++) {
    const response = await turn({ model, input, tools: [{ type: "function", ...described, strict: true }] });
    input.push(...response.output);
    const calls = response.output.filter((o) => o.type === "function_call");
    if (!calls.length) return response.output_text;
    for (const c of calls) input.push({ type: "function_call_output", call_id: c.call_id, output: JSON.stringify(runnable.function.function(JSON.parse(c.arguments))) });
  }
};
ok("responses", (await items((q) => client.responses.create(q))).includes("12.4%"));
ok("responses parse", (await items((q) => client.responses.parse(q))).includes("12.4%"));
ok("responses stream helper", (await items((q) => client.responses.stream(q).finalResponse())).includes("12.4%"));

const format = { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } };
ok("form refused", await refused(400, () => client.chat.completions.create({ model, messages: hello, response_format: format })));
ok("several answers refused", await refused(400, () => client.chat.completions.create({ model, messages: hello, n: 2 })));
ok("unknown model", await refused(404, () => client.chat.completions.create({ model: "nobody", messages: hello })));
