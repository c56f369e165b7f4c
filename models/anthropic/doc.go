// Package anthropic opens Claude models behind Anthropic's Messages API, or behind a
// gateway that speaks it. The wire is that of the official library,
// github.com/anthropics/anthropic-sdk-go.
//
// What Google's types say and what the API takes differ; the mapping is one way for
// each point:
//
//   - the results of a turn's calls stand first in the message after it, each call has
//     one, under an id that is unique in the request;
//   - thoughts go back with their signatures, as they came and where they came, to the
//     server that made them; encrypted ones too, which say nothing;
//   - the unchanged beginning of a conversation is marked to be cached;
//   - every answer is streamed on the wire, asked for or not: long answers that are not
//     are cut off by proxies. An answer without its end is an error;
//   - an answer that the server paused goes on, three times at most;
//   - an answer that was stopped makes no call.
//
// Errors are [provider.Error]. The package reads no environment variable, and the
// library neither: what it would send to traces is turned off, since it may hold
// documents.
package anthropic
