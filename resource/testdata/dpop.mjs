// Proofs by npm's dpop, from the folder of npm packages in argv[2]. It says the thumbprint
// of its key in a line, and answers each line of its standard input, a JSON object, with a proof.
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';

const dpop = await import(pathToFileURL(`${process.argv[2]}/node_modules/dpop/build/index.js`));
const keys = await dpop.generateKeyPair('ES256');
console.log(await dpop.calculateThumbprint(keys.publicKey));
for await (const line of createInterface({ input: process.stdin })) {
  const { url, method, nonce, token } = JSON.parse(line);
  console.log(await dpop.generateProof(keys, url, method, nonce, token));
}
