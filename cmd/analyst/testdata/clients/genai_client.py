# What Google's client for Python does, against the model server.
# GOOGLE_GEMINI_BASE_URL says where it is.
import os

from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
ASK = "Summarize doc_9982"
fetched = []


def fetch_document(document_id: str) -> dict:
    """Fetch one document by its identifier."""
    fetched.append(document_id)
    return {"id": document_id, "title": "Q4", "content": "Revenue grew by 12.4%. Costs fell."}


def ok(name, holds):
    assert holds, name
    print("ok", name)


def refused(code, call):
    try:
        call()
    except errors.APIError as e:
        return e.code == code
    return False


client = genai.Client()
ok("list", "models/offline" in [m.name for m in client.models.list()])
ok("get", client.models.get(model=MODEL).name == "models/" + MODEL)
answer = client.models.generate_content(model=MODEL, contents="hello")
ok("generate", answer.text and answer.candidates[0].finish_reason == "STOP")
ok("stream", "".join(c.text or "" for c in client.models.generate_content_stream(model=MODEL, contents="hello")) == answer.text)

auto = types.GenerateContentConfig(tools=[fetch_document], system_instruction="Be brief.", temperature=0, max_output_tokens=2000)
ok("tools called by the helper", "12.4%" in client.models.generate_content(model=MODEL, contents=ASK, config=auto).text and fetched == ["doc_9982"])
text = "".join(c.text or "" for c in client.models.generate_content_stream(model=MODEL, contents=ASK, config=auto))
ok("the same as a stream", "12.4%" in text and fetched == ["doc_9982"] * 2)
chat = client.chats.create(model=MODEL, config=auto)
ok("chat with history", "12.4%" in chat.send_message(ASK).text and chat.send_message("hello").text)

declared = types.Tool(function_declarations=[{"name": "fetch_document", "description": "Fetch one document.", "parameters": {
    "type": "OBJECT", "properties": {"document_id": {"type": "STRING", "max_length": 64}}, "required": ["document_id"]}}])
choice = types.ToolConfig(function_calling_config={"mode": "ANY", "allowed_function_names": ["fetch_document"]})
config = types.GenerateContentConfig(tools=[declared], tool_config=choice)
ok("named tool", client.models.generate_content(model=MODEL, contents=ASK, config=config).function_calls[0].args == {"document_id": "doc_9982"})
ok("named tool refused", refused(400, lambda: client.models.generate_content(model=MODEL, contents="hello", config=config)))
ok("form refused", refused(400, lambda: client.models.generate_content(model=MODEL, contents="hello", config={"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}})))
ok("unknown model", refused(404, lambda: client.models.generate_content(model="nobody", contents="hello")))
ok("tokens are not counted", refused(404, lambda: client.models.count_tokens(model=MODEL, contents="hello")))

express = genai.Client(vertexai=True, api_key="development", http_options={"base_url": os.environ["GOOGLE_GEMINI_BASE_URL"]})
ok("Vertex AI's express mode", express.models.generate_content(model=MODEL, contents="hello").text == answer.text)
