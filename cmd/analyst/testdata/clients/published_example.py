# What LumoAuth's page "JIT Permissions - Google ADK" shows, step by step: one task, an
# agent of Google's ADK with two function tools, each call with the agent's own token
# first, and for whatever a refusal demands one request and one more call.
#
# Configured as that program is (LUMOAUTH_URL, LUMOAUTH_ORG_ID, AGENT_CLIENT_ID,
# AGENT_CLIENT_SECRET), and by DOCUMENTS_API; the model is at GOOGLE_GEMINI_BASE_URL.
# Reads a JSON array of prompts, each of which is a run and a task of its own, and
# prints what the tools returned in each.
import asyncio
import base64
import json
import os
import sys

import requests
from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.genai import types
from lumoauth import LumoAuthAgent
from lumoauth.errors import LumoAuthApiError
from lumoauth.jit import JITContext

API = os.environ["DOCUMENTS_API"]
login = LumoAuthAgent()
login.authenticate()


class Task:
    """The tools of one run, and what they returned."""

    def __init__(self):
        self.jit = JITContext(login)
        self.jit.create_task(name="protected data analysis")
        self.returned = []

    def call(self, tool, method, url, body=None):
        answer = self.escalating(method, url, body)
        self.returned.append({"tool": tool, **answer})
        return answer

    def escalating(self, method, url, body):
        def send(token):
            return requests.request(method, url, json=body, headers={"Authorization": "Bearer " + token}, timeout=30)

        resp = send(login.access_token)
        demand = resp.headers.get("Insufficient-Authorization-Details")
        if resp.status_code == 403 and demand:
            text = base64.urlsafe_b64decode(demand.replace("+", "-").replace("/", "_") + "==")
            try:
                asked = self.jit.request_permission(one(json.loads(text)), justification=f"{method} {url}")
            except LumoAuthApiError as err:
                return {"error": f"asking for permission: {err.status_code}"}
            except ValueError as err:  # from the SDK: a demand that is no object
                return {"error": f"asking for permission: {err}"}
            if asked["status"] != "approved":
                return {"error": "permission is " + asked["status"]}
            resp = send(self.jit.get_token(asked["request_id"]))
        if resp.status_code in (200, 201):
            return {"result": resp.text}
        return {"error": f"the API answered {resp.status_code}"}

    def fetch_document(self, document_id: str) -> dict:
        """Fetch one document by its identifier.

        Args:
            document_id: identifier such as doc_9982
        """
        return self.call("fetch_document", "GET", f"{API}/v1/documents/{document_id}")

    def create_report(self, title: str, content: str) -> dict:
        """Create a report.

        Args:
            title: title of the report
            content: the whole report
        """
        return self.call("create_report", "POST", f"{API}/v1/reports", {"title": title, "content": content})


def one(demand):
    return demand[0] if isinstance(demand, list) and len(demand) == 1 else demand


async def run(prompt):
    task = Task()
    try:
        agent = LlmAgent(
            name="protected_data_analyst",
            model="gemini-2.5-flash",
            instruction="You are a senior data analyst. Use the tools to read documents and to create reports.",
            tools=[task.fetch_document, task.create_report],
        )
        runner = InMemoryRunner(agent=agent, app_name="analyst")
        session = await runner.session_service.create_session(app_name="analyst", user_id="u")
        content = types.Content(role="user", parts=[types.Part(text=prompt)])
        async for event in runner.run_async(user_id="u", session_id=session.id, new_message=content):
            assert not event.error_code, event
    finally:
        assert task.jit.complete_task()
    return task.returned


async def main():
    return [await run(prompt) for prompt in json.load(sys.stdin)]


print(json.dumps(asyncio.run(main())))
