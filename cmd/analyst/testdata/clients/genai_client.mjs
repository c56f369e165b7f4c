// What Google's client for JavaScript does, against the model server.
// GOOGLE_GEMINI_BASE_URL says where it is.
import assert from "node:assert/strict";
import { GoogleGenAI, Type } from "@google/genai";

const model = "gemini-2.5-flash";
const ask = "Summarize doc_9982";
const fetched = [];
const described = {
  name: "fetch_document",
  description: "Fetch one document by its identifier.",
  parameters: { type: Type.OBJECT, properties: { document_id: { type: Type.STRING, maxLength: "64" } }, required: ["document_id"] },
};
const callable = {
  tool: async () => ({ functionDeclarations: [described] }),
  callTool: async (calls) =>
    calls.map((c) => {
      fetched.push(c.args.document_id);
      return { functionResponse: { id: c.id, name: c.name, response: { title: "Q4", content: "Revenue grew by 12.4%. Costs fell." } } };
    }),
};
const options = { apiKey: process.env.GOOGLE_API_KEY, httpOptions: { baseUrl: process.env.GOOGLE_GEMINI_BASE_URL } };
const client = new GoogleGenAI(options);
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
const joined = async (stream) => {
  let text = "";
  for await (const chunk of await stream) text += chunk.text ?? "";
  return text;
};

const listed = [];
for await (const m of await client.models.list()) listed.push(m.name);
ok("list", listed.includes("models/offline"));
const answer = (await client.models.generateContent({ model, contents: "hello" })).text;
ok("generate", answer);
ok("stream", (await joined(client.models.generateContentStream({ model, contents: "hello" }))) === answer);
const config = { tools: [callable] };
ok("tools called by the helper", (await client.models.generateContent({ model, contents: ask, config })).text.includes("12.4%"));
ok("the same as a stream", (await joined(client.models.generateContentStream({ model, contents: ask, config }))).includes("12.4%"));
assert.deepEqual(fetched, ["doc_9982", "doc_9982"]);
const chat = client.chats.create({ model, config });
ok("chat with history", (await chat.sendMessage({ message: ask })).text.includes("12.4%") && (await chat.sendMessage({ message: "hello" })).text);
const named = { tools: [{ functionDeclarations: [described] }], toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["fetch_document"] } } };
ok("named tool", (await client.models.generateContent({ model, contents: ask, config: named })).functionCalls[0].args.document_id === "doc_9982");
ok("named tool refused", await refused(400, () => client.models.generateContent({ model, contents: "hello", config: named })));
ok("unknown model", await refused(404, () => client.models.generateContent({ model: "nobody", contents: "hello" })));
ok("tokens are not counted", await refused(404, () => client.models.countTokens({ model, contents: "hello" })));
const express = new GoogleGenAI({ ...options, vertexai: true });
ok("Vertex AI's express mode", (await express.models.generateContent({ model, contents: "hello" })).text === answer);
