// What the official A2A SDK for JavaScript sees of a server, a line each: what is done, and what comes of it.
import { randomUUID } from 'node:crypto';
import { ClientFactory, ClientFactoryOptions, JsonRpcTransportFactory } from '@a2a-js/sdk/client';
import { Role, TaskState, taskStateToJSON } from '@a2a-js/sdk';

const hitl = 'https://kagent.dev/extensions/hitl/v1';

function message(text, taskId = '', decisions, wait = true) {
  return {
    tenant: '', metadata: undefined,
    message: {
      messageId: randomUUID(), contextId: '', taskId, role: Role.ROLE_USER, referenceTaskIds: [],
      parts: [{ content: { $case: 'text', value: text }, metadata: undefined, filename: '', mediaType: '' }],
      extensions: decisions ? [hitl] : [],
      metadata: decisions ? { [hitl]: { type: 'tool_approval_response', approvals: decisions } } : undefined,
    },
    configuration: { acceptedOutputModes: [], taskPushNotificationConfig: undefined, returnImmediately: !wait },
  };
}

const named = (status) => taskStateToJSON(status.state).replace('TASK_STATE_', '');
const code = (error) => String(error.envelopeCode ?? error);
const state = (promise) => promise.then((task) => named(task.status), code);

async function connect(name) {
  const fetchImpl = (url, init) => fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization: `Bearer ${process.env[name]}` } });
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, { transports: [new JsonRpcTransportFactory({ fetchImpl })] });
  return new ClientFactory(options).createFromUrl(process.env.SERVER);
}

const client = await connect('TOKEN');
const other = await connect('OTHER_TOKEN');
const done = await client.sendMessage(message('hi'));
console.log('a message:', named(done.status), done.artifacts[0].parts[0].content.value);
console.log('a message to a task that has ended:', await state(client.sendMessage(message('more', done.id))));
console.log("another user's task:", await state(other.getTask({ tenant: '', id: done.id })));

const waits = await client.sendMessage(message('read doc_1'));
console.log('a call that waits:', named(waits.status));
const asked = waits.status.message.metadata[hitl].tools[0];
let first;
const began = new Promise((resolve) => { first = resolve; });
const following = (async () => {
  let last;
  for await (const event of client.resubscribeTask({ tenant: '', id: waits.id })) {
    if (event.payload?.$case === 'task') first(event.payload.value);
    if (event.payload?.$case === 'statusUpdate') last = event.payload.value;
  }
  return last;
})();
console.log('subscribed to it, first:', named((await began).status));
console.log('words:', await state(client.sendMessage(message('approved', waits.id))));
console.log('a decision that is null:', await state(client.sendMessage(message('-', waits.id, [{ id: asked.id, approved: null }]))));
console.log('an id that is a large number:', await state(client.sendMessage(message('-', waits.id, [{ id: 12345678901234567, approved: true }]))));
console.log("a decision, by the task's id alone:", await state(client.sendMessage(message('-', waits.id, [{ id: asked.id, approved: true }]))));
console.log('subscribed to it, last:', named((await following).status));
console.log('a call that somebody else decides:', named((await other.sendMessage(message('read doc_2'))).status));

const held = await client.sendMessage(message('hold', '', undefined, false));
console.log('a message that takes long:', named(held.status));
console.log('another message meanwhile:', await state(client.sendMessage(message('more', held.id))));
console.log('canceled:', await state(client.cancelTask({ tenant: '', id: held.id, metadata: undefined })));
console.log('listed:', (await client.listTasks({ tenant: '', contextId: '', status: TaskState.TASK_STATE_UNSPECIFIED, pageToken: '' })).totalSize);
