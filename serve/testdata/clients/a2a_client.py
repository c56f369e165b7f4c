"""What the official A2A SDK for Python sees of a server, a line each: what is done, and what comes of it."""

import asyncio
import os
import re
import uuid

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    CancelTaskRequest, GetTaskRequest, ListTasksRequest, Message, Part, Role, SendMessageConfiguration, SendMessageRequest, SubscribeToTaskRequest, TaskState,
)
from a2a.utils.errors import JSON_RPC_ERROR_CODE_MAP
from google.protobuf.json_format import MessageToDict, ParseDict

HITL = "https://kagent.dev/extensions/hitl/v1"


def message(text, task="", decisions=None, wait=True):
    m = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, task_id=task, parts=[Part(text=text)])
    if decisions is not None:
        m.extensions.append(HITL)
        ParseDict({HITL: {"type": "tool_approval_response", "approvals": decisions}}, m.metadata)
    return SendMessageRequest(message=m, configuration=SendMessageConfiguration(return_immediately=not wait))


async def send(client, *args, **kwargs):
    async for event in client.send_message(message(*args, **kwargs)):
        return event.task


async def state(coroutine):
    try:
        return TaskState.Name((await coroutine).status.state).removeprefix("TASK_STATE_")
    except Exception as error:
        code = JSON_RPC_ERROR_CODE_MAP.get(type(error)) or re.search(r"-3[12]\d{3}", str(error)).group()
        return str(code)


async def connect(name, streaming=False):
    http = httpx.AsyncClient(headers={"Authorization": "Bearer " + os.environ[name]}, timeout=30)
    return await ClientFactory(ClientConfig(httpx_client=http, streaming=streaming)).create_from_url(os.environ["SERVER"])


async def follow(events):
    last = None
    async for event in events:
        if event.HasField("status_update"):
            last = event.status_update
    return last


async def main():
    client, other = await connect("TOKEN"), await connect("OTHER_TOKEN")
    done = await send(client, "hi")
    print("a message:", TaskState.Name(done.status.state).removeprefix("TASK_STATE_"), done.artifacts[0].parts[0].text)
    print("a message to a task that has ended:", await state(send(client, "more", done.id)))
    print("another user's task:", await state(other.get_task(GetTaskRequest(id=done.id))))

    waits = await send(client, "read doc_1")
    print("a call that waits:", TaskState.Name(waits.status.state).removeprefix("TASK_STATE_"))
    asked = MessageToDict(waits.status.message.metadata)[HITL]["tools"][0]
    events = (await connect("TOKEN", streaming=True)).subscribe(SubscribeToTaskRequest(id=waits.id))
    print("subscribed to it, first:", TaskState.Name((await anext(events)).task.status.state).removeprefix("TASK_STATE_"))
    following = asyncio.create_task(follow(events))
    print("words:", await state(send(client, "approved", waits.id)))
    print("a decision that is null:", await state(send(client, "-", waits.id, [{"id": asked["id"], "approved": None}])))
    print("an id that is a large number:", await state(send(client, "-", waits.id, [{"id": 12345678901234567, "approved": True}])))
    print("a decision, by the task's id alone:", await state(send(client, "-", waits.id, [{"id": asked["id"], "approved": True}])))
    print("subscribed to it, last:", TaskState.Name((await following).status.state).removeprefix("TASK_STATE_"))
    print("a call that somebody else decides:", TaskState.Name((await send(other, "read doc_2")).status.state).removeprefix("TASK_STATE_"))

    held = await send(client, "hold", wait=False)
    print("a message that takes long:", TaskState.Name(held.status.state).removeprefix("TASK_STATE_"))
    print("another message meanwhile:", await state(send(client, "more", held.id)))
    print("canceled:", await state(client.cancel_task(CancelTaskRequest(id=held.id))))
    print("listed:", (await client.list_tasks(ListTasksRequest())).total_size)


asyncio.run(main())
