"""Runs LumoAuth's published Python SDK through one task against a server.

It is configured as any program that uses the SDK is, by the environment:
LUMOAUTH_URL, LUMOAUTH_ORG_ID, AGENT_CLIENT_ID, AGENT_CLIENT_SECRET. The reviewer
and the user act through the SDK too, with the tokens in LUMODEV_REVIEWER_TOKEN and
LUMODEV_USER_TOKEN. Prints one JSON object with what it saw.
"""

import base64
import json
import os
import threading

from lumoauth import LumoAuth, LumoAuthAgent
from lumoauth.errors import LumoAuthApiError
from lumoauth.jit import JITContext

READ = {"type": "file_access", "actions": ["read"], "identifier": "doc_9982"}
DELETE = {"type": "file_access", "actions": ["delete"], "identifier": "doc_9982"}


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def status_of(call):
    try:
        call()
    except LumoAuthApiError as err:
        return err.status_code
    return 200


out = {}
agent = LumoAuthAgent()
out["login"] = agent.authenticate()
out["login_again"] = agent.authenticate(agent.token_scopes)
out["scopes"] = agent.token_scopes
out["info"] = agent.get_agent_info()["identity_type"]
out["budget_exhausted"] = agent.is_budget_exhausted()
out["identity"] = agent.get_identity()["identity"]["type"]
out["allowed"] = agent.is_allowed("read:documents")
out["not_allowed"] = agent.is_allowed("fly")
out["mcp"] = claims(agent.get_mcp_token("https://mcp.acme-corp.com/mcp"))["aud"]

reviewer = LumoAuth(token_provider=lambda: os.environ["LUMODEV_REVIEWER_TOKEN"])
with JITContext(agent) as jit:
    out["task"] = bool(jit.create_task(name="Analyse Q4 report", task_type="analysis"))
    low = jit.request_permission(READ, justification="read it", ttl=300)
    out["low"] = low["status"]
    token = jit.get_token(low["request_id"])
    out["details"] = claims(token)["authorization_details"]
    call = jit.call(token, "GET", os.environ["LUMODEV_API_URL"])
    out["call"] = call.status_code

    # The reviewer decides while the SDK polls.
    def approve():
        for request in reviewer.jit.pending():
            path = f"/orgs/{os.environ['LUMOAUTH_ORG_ID']}/api/v1/jit/approve/{request['request_id']}"
            reviewer._http.request("POST", path, json={"agent_message": "fine"})

    first = jit.request_permission(DELETE, wait_for_approval=False)
    out["first"] = first["status"]
    threading.Timer(0.1, approve).start()
    high = jit._poll_status(first, 0.05, 30)
    out["high"] = [high["status"], high["agent_message"]]
    out["high_token"] = bool(jit.get_token(high["request_id"]))
    out["agent_lists_pending"] = status_of(jit.list_pending_requests)
    task = jit.task_id
    out["evaluate"] = jit.evaluate_task(result="completed", notes="done")["task_id"] == task
    out["complete"] = jit.complete_task()
out["after"] = status_of(lambda: agent.jit.get_token(low["request_id"]))

# With escalation, against an API that answers 403 with a challenge.
with JITContext(agent) as jit:
    jit.create_task()
    out["escalated"] = jit.call_with_escalation("GET", os.environ["LUMODEV_API_URL"]).status_code

# On behalf of a user, then through a task.
jit = JITContext(agent)
out["delegated"] = jit.delegate_on_behalf_of(os.environ["LUMODEV_USER_TOKEN"])
jit.create_task()
token = jit.get_token(jit.request_permission(READ)["request_id"])
out["act"] = "act" in claims(token)
out["delegated_complete"] = jit.complete_task()
out["logged_out_exchange"] = status_of(
    lambda: agent.delegation.exchange(os.environ["LUMODEV_USER_TOKEN"], "")
)

approval = agent.approvals.create(
    task_id="wire-1", reason="Wire $4,500", impact="high", on_behalf_of="ada@acme-corp.example"
)
out["approval"] = agent.approvals.get_status(approval["approval_token"])["status"]
print(json.dumps(out))
