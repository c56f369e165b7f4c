// Package modelserver serves any [model.LLM] over the wires of two providers, so
// that a client written for either, in any language, runs without a key:
//
//	POST /v1/chat/completions                        OpenAI, one answer or events
//	GET  /v1/models, /v1/models/{model}
//	POST /v1beta/models/{model}:generateContent      Gemini
//	POST /v1beta/models/{model}:streamGenerateContent, with ?alt=sse or a JSON array
//	GET  /v1beta/models, /v1beta/models/{model}
//
// Gemini's methods are also found under /v1/ and under Vertex AI's
// /v1/projects/P/locations/L/publishers/google/models/{model}. GET /v1/models
// answers in Gemini's shape when the request carries Google's key header or
// parameter, else in OpenAI's.
//
// Invariants:
//
//   - What a request says reaches the model or is refused: a member that cannot be
//     honoured, or that is not known, is a 400 that names it. The exceptions are
//     listed below.
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
//   - Bodies are capped and decoded strictly.
//
// Read and not passed on: of OpenAI user, metadata, store, service_tier,
// safety_identifier, prompt_cache_key, prompt_cache_retention, verbosity,
// include_obfuscation, a message's name and annotations, an image's detail, a tool's
// strict, a JSON schema's name, description and strict; of Gemini model, store and
// serviceTier. Settings such as temperature reach the model; whether it heeds them
// is its own affair.
//
// It is for development and tests. Every caller is served, whatever key it shows:
// listen on loopback, and put no model behind it that somebody pays for.
package modelserver
