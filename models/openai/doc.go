// Package openai opens models behind OpenAI's chat completions API: OpenAI's own,
// Azure OpenAI's, and those of compatible servers such as Ollama, vLLM, llama.cpp's
// server and LM Studio. The wire is that of github.com/sashabaranov/go-openai.
//
// What Google's types say and what OpenAI's API takes differ; the mapping is one
// way for each point:
//
//   - every function call that goes out is answered by exactly one tool message, in
//     the order of the calls, under an id that is unique in the request: missing ids
//     are made up, missing results are stated as missing, stray results are dropped;
//   - thoughts come in as thought parts and are not sent back;
//   - a streamed answer yields text and thoughts as they come, and ends with one
//     response that holds all of it and every call; calls are never partial;
//   - an answer without its end is an error, and so is a call whose arguments are not
//     a JSON object: nothing half-read is acted on;
//   - what cannot be sent (audio, several candidates, ...) is an error that names it,
//     before anything is sent.
//
// Models that take tools only through OpenAI's newer Responses API are asked there,
// with nothing stored; [Settings] may choose either API.
//
// Errors are [provider.Error]. Bodies are capped, redirects are not followed, and
// temporary failures are tried again before an answer begins. The package reads no
// environment variable.
package openai
