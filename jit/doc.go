// Package jit gives any Go HTTP client, tool or agent just-in-time authority.
//
// A protected API refuses a call and says what is missing, as RFC 9396
// authorization details. The engine checks that demand against a ceiling that
// the caller fixed beforehand, asks the authorization server for exactly that,
// waits for a person if one must decide, repeats the call with a token of a few
// minutes, and gives everything back when the task ends.
//
//	engine, err := jit.New(jit.Config{Authority: authority})
//	task, err := engine.Open(ctx, jit.TaskSpec{Name: "quarterly numbers"})
//	defer task.Complete(context.WithoutCancel(ctx))
//
//	client := &http.Client{Transport: &jit.Transport{Origin: api}}
//	ctx = task.Call(ctx, jit.Call{ID: "call-1", Ceiling: ceiling})
//	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
//	resp, err := client.Do(req)
//
// Invariants:
//
//   - No request for authority is sent unless it lies within the call's ceiling
//     and the operator's policy, and no token is used unless what was granted lies
//     within what was asked. Failing to decide is refusal.
//   - A token goes only to the origin (scheme, host, port) that it was obtained
//     for, and over plain http only on loopback.
//   - No token is in an error, an event, a log line or a journal entry.
//   - Every loop is bounded: escalations of a call, polls, bytes read.
//   - Nothing that creates authority happens before the [Journal] has it.
//
// The package knows no agent framework and no particular authorization server.
// It does not store tokens: they live in memory, as long as their task.
package jit
