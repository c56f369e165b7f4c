# An agent of Google's ADK for Python, against the model server.
import asyncio
import os

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.runners import InMemoryRunner
from google.genai import types

fetched = []


def fetch_document(document_id: str) -> dict:
    """Fetch one document by its identifier."""
    fetched.append(document_id)
    return {"id": document_id, "title": "Q4", "content": "Revenue grew by 12.4%. Costs fell."}


async def run(mode):
    agent = LlmAgent(name="analyst", model="gemini-2.5-flash", instruction="Be brief.", tools=[fetch_document])
    runner = InMemoryRunner(agent=agent, app_name="analyst")
    session = await runner.session_service.create_session(app_name="analyst", user_id="u")
    answer = ""
    for ask in ("Summarize doc_9982", "hello"):
        content = types.Content(role="user", parts=[types.Part(text=ask)])
        async for event in runner.run_async(user_id="u", session_id=session.id, new_message=content, run_config=RunConfig(streaming_mode=mode)):
            assert not event.error_code, event
            if event.content and not event.partial:
                answer += "".join(p.text or "" for p in event.content.parts)
    return answer


for name, mode in (("agent", StreamingMode.NONE), ("agent with a stream", StreamingMode.SSE)):
    answer = asyncio.run(run(mode))
    assert "12.4%" in answer, answer
    print("ok", name)
assert fetched == ["doc_9982"] * 2, fetched
