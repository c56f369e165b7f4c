package faults

// The points at which cmd/analyst/failpoints.go can kill, as a run passes them that
// fetches one document and makes one report. NAME:N is the Nth pass.

func runPoints() []string {
	return []string{
		// Around each durable write.
		"journal.before.task_opening", "journal.after.task_opening",
		"journal.before.demand", "journal.after.demand", "journal.before.demand:2", "journal.after.demand:2",
		"journal.before.grant", "journal.after.grant", "journal.before.grant:2", "journal.after.grant:2",
		"journal.before.call_sent", "journal.after.call_sent", "journal.before.call_sent:2", "journal.after.call_sent:2",
		// Of the conversation.
		"sessions.appended", "sessions.appended:3",
		// After each note, which may be lost with the process.
		"journal.noted.task_opened", "journal.noted.call", "journal.noted.refused", "journal.noted.decision", "journal.noted.decision:2", "journal.noted.use",
		"journal.noted.call_returned", "journal.noted.call_returned:2", "journal.noted.call_ended", "journal.noted.task_completing", "journal.noted.task_completed",
		// When the authorization server has answered, and nobody has kept the answer;
		// token_issued is between the issue of a token and its recording.
		"authority.agent_token", "authority.task_created", "authority.requested", "authority.requested:2",
		"authority.token_issued", "authority.token_issued:2", "authority.completing", "authority.completed",
		// In the middle of a call: before it, when its headers left, when its body left,
		// when the answer began.
		"api.get.before", "api.get.headers", "api.get.sent", "api.get.answered", "api.get.answered:2",
		"api.post.before", "api.post.headers", "api.post.sent", "api.post.answered",
		"api.post.before:2", "api.post.headers:2", "api.post.sent:2", "api.post.answered:2",
	}
}

// recoveryPoints are passed by whoever recovers the tasks of the dead.
func recoveryPoints() []string {
	return []string{"recovery.completing", "recovery.completed", "recovery.noted"}
}

// suspensionPoints are passed around what is kept of a suspension: by a run that needs
// a person, and by what goes on with it when they have approved.
func suspensionPoints() (suspends, resumes []string) {
	return []string{
			"sessions.appended", "sessions.appended:2", "suspensions.before.save", "suspensions.after.save",
			"journal.before.task_suspended", "journal.after.task_suspended",
		}, []string{
			"journal.before.task_resumed", "journal.after.task_resumed", "authority.token_issued", "journal.after.grant",
			"sessions.appended", "sessions.appended:3", "journal.after.call_sent", "api.post.sent", "api.post.answered",
			"suspensions.before.drop", "suspensions.after.drop", "authority.completed",
		}
}
