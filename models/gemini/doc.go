// Package gemini opens Google's Gemini models, through the Gemini API with a key or
// through Vertex AI with Google Cloud credentials. It is ADK's own adapter with its
// rough edges taken off:
//
//   - requests are not changed, so they may be shared;
//   - neither a request nor the process environment can send documents, a key or an
//     access token to another host than the one opened;
//   - failures are [provider.Error], a blocked prompt and an answer that breaks off
//     among them, and temporary ones are tried again before an answer begins;
//   - bodies are capped and redirects are not followed.
//
// It reads no environment variable, with one exception: where [Vertex].Token is nil,
// Google's library finds Application Default Credentials in its usual places. It
// offers no live (bidirectional) sessions.
package gemini
