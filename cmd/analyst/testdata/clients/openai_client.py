# What the official OpenAI client for Python does, against the model server.
# OPENAI_BASE_URL says where it is.
import json

import openai
from pydantic import BaseModel

MODEL = "gpt-4.1"
ASK = {"role": "user", "content": "Summarize doc_9982"}
DOCUMENT = json.dumps({"id": "doc_9982", "title": "Q4", "content": "Revenue grew by 12.4%. Costs fell."})


class FetchDocument(BaseModel):
    """Fetch one document by its identifier."""

    document_id: str


class Summary(BaseModel):
    points: list[str]


TOOL = openai.pydantic_function_tool(FetchDocument, name="fetch_document")
client = openai.OpenAI(max_retries=0)


def ok(name, holds):
    assert holds, name
    print("ok", name)


def refused(kind, call):
    try:
        call()
    except kind:
        return True
    return False


chat, flat = client.chat.completions, dict(TOOL["function"], type="function")
ok("list", "offline" in [m.id for m in client.models.list()])
ok("retrieve", client.models.retrieve(MODEL).id == MODEL)
answer = chat.create(model=MODEL, messages=[{"role": "user", "content": "hello"}], temperature=0, seed=1)
ok("chat", answer.choices[0].finish_reason == "stop" and answer.choices[0].message.content)
events = list(chat.create(model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True))
ok("stream", "".join(e.choices[0].delta.content or "" for e in events) == answer.choices[0].message.content)


def loop(ask):
    messages = [ASK]
    for _ in range(4):
        message = ask(messages)
        messages.append(message)
        if not message.tool_calls:
            return message.content
        for c in message.tool_calls:
            assert json.loads(c.function.arguments) == {"document_id": "doc_9982"}, c
            messages.append({"role": "tool", "tool_call_id": c.id, "content": DOCUMENT})


def streamed(messages):
    with chat.stream(model=MODEL, messages=messages, tools=[TOOL]) as s:
        s.until_done()
        return s.get_final_completion().choices[0].message


ok("tools", "12.4%" in loop(lambda m: chat.create(model=MODEL, messages=m, tools=[TOOL]).choices[0].message))
ok("parse with tools", "12.4%" in loop(lambda m: chat.parse(model=MODEL, messages=m, tools=[TOOL]).choices[0].message))
ok("stream helper with tools", "12.4%" in loop(streamed))
named = chat.create(model=MODEL, messages=[ASK], tools=[TOOL], tool_choice={"type": "function", "function": {"name": "fetch_document"}})
ok("named tool", named.choices[0].message.tool_calls[0].function.name == "fetch_document")


def items(ask):
    history = [ASK]
    for _ in range(4):
        out = ask(history)
        history += out.output
        calls = [o for o in out.output if o.type == "function_call"]
        if not calls:
            return out.output_text
        history += [{"type": "function_call_output", "call_id": c.call_id, "output": DOCUMENT} for c in calls]


def response_stream(history):
    with client.responses.stream(model=MODEL, input=history, tools=[flat]) as s:
        s.until_done()
        return s.get_final_response()


ok("responses", client.responses.create(model=MODEL, input="hello").output_text == answer.choices[0].message.content)
ok("responses with tools", "12.4%" in items(lambda h: client.responses.create(model=MODEL, input=h, tools=[flat], instructions="Be brief.")))
ok("responses parse with tools", "12.4%" in items(lambda h: client.responses.parse(model=MODEL, input=h, tools=[flat])))
ok("responses stream helper with tools", "12.4%" in items(response_stream))

# What the offline model cannot do is refused, not passed over.
ok("form refused", refused(openai.BadRequestError, lambda: chat.parse(model=MODEL, messages=[ASK], response_format=Summary)))
ok("responses form refused", refused(openai.BadRequestError, lambda: client.responses.parse(model=MODEL, input="hello", text_format=Summary)))
ok("required tool refused", refused(openai.BadRequestError, lambda: chat.create(model=MODEL, messages=[{"role": "user", "content": "hello"}], tools=[TOOL], tool_choice="required")))
ok("several answers refused", refused(openai.BadRequestError, lambda: chat.create(model=MODEL, messages=[ASK], n=2)))
ok("unknown model", refused(openai.NotFoundError, lambda: chat.create(model="nobody", messages=[ASK])))
ok("unknown address", refused(openai.NotFoundError, lambda: client.embeddings.create(model=MODEL, input="x")))
