// Package modelserver serves any [model.LLM] over the wires of three providers, so
// that a client written for one of them, in any language, runs without a key:
//
//	POST /v1/chat/completions                        OpenAI, one answer or events
//	POST /v1/responses                               OpenAI, one answer or events
//	POST /v1/messages                                Anthropic, one answer or events
//	GET  /v1/models, /v1/models/{model}
//	POST /v1beta/models/{model}:generateContent      Gemini
//	POST /v1beta/models/{model}:streamGenerateContent, with ?alt=sse or a JSON array
//	GET  /v1beta/models, /v1beta/models/{model}
//
// Gemini's methods are also found under /v1/ and under Vertex AI's
// /v1/projects/P/locations/L/publishers/google/models/{model}, without the project in
// its express mode. GET /v1/models answers in Gemini's shape when the request carries
// Google's key header or parameter, in Anthropic's when it carries anthropic-version,
// else in OpenAI's. Not served, and answered with 404: countTokens, count_tokens and embeddings, since a model here counts no tokens and has no
// vectors, and all that would have to be stored.
//
// Invariants:
//
//   - Members that are not known are ignored, as other servers do: clients send what
//     later versions and other servers take, and send back what their helpers added.
//   - What a request insists on is in the answer, or the answer is a 400 that says what
//     is not: a named or required tool, no tool, one call at a time, JSON, a JSON
//     schema. Such an answer is held back until it is whole. An answer that the client
//     could not read as it means to is refused before: n over 1, log probabilities, audio.
//   - State that must come back with a call is kept where each provider keeps it, and
//     reaches the model: reasoning_content, extra_content with Google's thought signature,
//     encrypted_content, thoughtSignature, a thinking block's signature; where Anthropic's
//     wire has no place for it, a redacted_thinking block before the call.
//   - Histories are checked as the providers check them: each tool call is answered
//     right after it, and nothing answers a call that was not made.
//   - A stream passes the model's pieces on as they come. What the client has seen
//     at its end is the model's whole answer, each piece once.
//   - An answer that breaks off looks broken: a stream without its finish reason, its
//     end mark and its last HTTP chunk.
//   - Errors have the provider's shape and status. They hold nothing that the model
//     wrote; its error goes to the log.
//   - The model's context ends when the client hangs up. A panic of the model is an
//     error of its call.
//   - Bodies are capped, and names in them match exactly and stand once.
//
// Settings such as temperature reach the model; whether it heeds them is its own
// affair.
//
// It is for development and tests. Every caller is served, whatever key it shows:
// listen on loopback, and put no model behind it that somebody pays for.
package modelserver
