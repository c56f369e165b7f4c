"""The published example's job in Python: google-adk, lumoauth, requests with a pool.

Arguments: sessions, and how many run at once. Prints what they cost, warm.
"""

import asyncio
import base64
import json
import os
import resource
import sys
import time

import requests
from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.genai import types
from lumoauth import LumoAuthAgent
from lumoauth.jit import JITContext

API = os.environ["ANALYST_API_URL"]
PROMPT = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
login = LumoAuthAgent()
login.authenticate()
http = requests.Session()
http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))


class Task:
    def __init__(self):
        self.jit = JITContext(login)
        self.jit.create_task(name="protected data analysis")

    def call(self, method, url, body=None):
        def send(token):
            return http.request(method, url, json=body, headers={"Authorization": "Bearer " + token}, timeout=30)

        resp = send(login.access_token)
        demand = resp.headers.get("Insufficient-Authorization-Details")
        if resp.status_code == 403 and demand:
            asked = self.jit.request_permission(json.loads(base64.b64decode(demand)), justification=f"{method} {url}")
            assert asked["status"] == "approved", asked
            resp = send(self.jit.get_token(asked["request_id"]))
        assert resp.status_code in (200, 201), resp.status_code
        return {"result": resp.text}

    def fetch_document(self, document_id: str) -> dict:
        """Fetch one document by its identifier."""
        return self.call("GET", f"{API}/v1/documents/{document_id}")

    def create_report(self, title: str, content: str) -> dict:
        """Create a report."""
        return self.call("POST", f"{API}/v1/reports", {"title": title, "content": content})


async def session():
    task = Task()
    try:
        agent = LlmAgent(
            name="protected_data_analyst", model="gemini-2.5-flash", tools=[task.fetch_document, task.create_report],
            instruction="You are a senior data analyst. Use the tools to read documents and to create reports.",
        )
        runner = InMemoryRunner(agent=agent, app_name="analyst")
        s = await runner.session_service.create_session(app_name="analyst", user_id="u")
        calls = 0
        async for event in runner.run_async(user_id="u", session_id=s.id, new_message=types.Content(role="user", parts=[types.Part(text=PROMPT)])):
            assert not event.error_code, event
            calls += len(event.get_function_responses())
        assert calls == 2, calls
    finally:
        assert task.jit.complete_task()


async def sessions(n, at_once):
    slots = asyncio.Semaphore(at_once)

    async def one():
        async with slots:
            await session()

    await asyncio.gather(*(one() for _ in range(n)))


async def main(n, at_once):
    await sessions(max(5, at_once), at_once)
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await sessions(n, at_once)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_ms": 1000 * cpu / n, "wall_ms": 1000 * (time.monotonic() - start) / n, "rss_mb": after.ru_maxrss / 1024}))


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
