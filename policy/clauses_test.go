package policy_test

import (
	"strings"
	"testing"

	"github.com/jitagent/jitagent/policy"
)

// reports is what the analyst's create_report is aimed at.
var reports = policy.Aim{
	Effect: "report", AskedBy: []string{"report", "create", "write", "save", "draft", "publish", "memo"}, Max: policy.OnePerRequest, Each: "document",
	Targets: map[string]policy.Target{"title": {Type: "title", As: policy.FromWords}},
}

// TestRequestedReports: how many reports a request is for. A word of their kind counts where
// it orders something, and a number where it stands with what is ordered.
func TestRequestedReports(t *testing.T) {
	for want, requests := range []string{0: `
Summarize doc_9001
What does the incident report doc_9001 say?
What does the incident report doc_9001 say
Who created doc_9001?
Tell me who created doc_9001
Summarize the draft doc_9001
How can we save money? doc_9001
How can you save money? doc_9001
Tell me how to save money with doc_9001
Summarize doc_9001 for the memo team
Which of the 60 reports in doc_9001 are late?
Which reports, drafts or memos in doc_9001 are late?
Summarize the 99 reports listed in doc_9001
Find a report about churn in doc_9001
Report doc_9001: what does it say?
Compare doc_9001 and report doc_9002
Summarize doc_9001 and draft doc_9002
Is the board going to create a fund, doc_9001?
Does doc_9001 report a loss?
Summarize doc_9001. You cannot create a report.
Summarize doc_9001. You can't create a report.
Summarize doc_9001. Refrain from creating a report.
Summarize doc_9001; avoid writing a report
Summarize doc_9001 instead of creating a report
Summarize doc_9001 rather than write a report
Summarize doc_9001. A report is not needed.
Summarize doc_9001, no need to write or create a report
Do not, under any circumstances, create a report on doc_9001
Summarize doc_9001 and don’t you dare create a report
Summarize doc_9001, no extra words and create nothing
Do anything but write a report on doc_9001
Do everything except create a report
I don't need a report
No report, please
Never write a report
You are forbidden to create a report
Create nothing
Memo: summarize doc_9001
Is there a report on churn?
Show me all reports that mention doc_9001
Give me the gist of a report, doc_9001
Did Bob write doc_9001?
Explain what the authors of doc_9001 write about churn
I read a report called doc_9001. What does it say?
Under no circumstances should you create a report on doc_9001
Without creating a report, summarize doc_9001
There is no need for a report
Nobody should create a report
Who should create a report?
Compare the memo and report
Compare a report and a memo
Do you have a report on churn?
Please do not write, create or save a report
Explain the idea of a plan to create a fund in doc_9001
Please explain how to write a report like doc_9001
Summarize doc_9001 before I create a report
Summarize doc_9001 in the form of a report
Give me a summary of doc_9001 in the form of a report
Tell me in the form of a report what doc_9001 says
Who, if anybody, should create a report?
Who can write and create a report?
Did you make a report on doc_9001?
What does doc_9001 say and can we make a report?
How does doc_9001 work and do you make a report?
Where doc_9001 says more, does it write a report?
Never, under any circumstances, write a report
Don't, under any circumstances, create a report
`, 1: `
Write a summary of doc_9001 in the form of a report
Create a report about doc_9001
Create a report on "Q4"
Please write a short report on doc_9001.
Write it up
Report!
Create me a report on doc_9001
Read doc_9001 and turn it into a report
Put together a report from doc_9001
Look at doc_9001 and write up your findings
Based on doc_9001 create a report
Do a write-up of doc_9001
Could I have a report on doc_9001?
It would be great if you could write a report
- Read doc_9001\n- Create a report titled 'X'
Compile doc_9001 and doc_9002 into one report
If possible create a report
Your job is to write a report on doc_9001
What I need is a report on doc_9001
Report on doc_9001
Summarize doc_9001 and write a report
Summarize doc_9001, then create a report
Summarize doc_9001, and report on it
Read all of doc_9001 and doc_9002 and every line, and create one report
Write one report on all of doc_9001 and doc_9002
Could you summarize doc_9001 and save it as a report?
Would you mind reading doc_9001 and creating a report?
What does doc_9001 say? Create a report.
What does doc_9001 say, and can you write it up?
Give me a report on doc_9001
I need a one page report on doc_9001
Summarize doc_9001 as a report
A short report on doc_9001, please
Use doc_9001 to write a report
I'd like you to draft a memo on doc_9001
Let's create a report
Don't forget to create a report
Don't worry about style and write a report
Don't use jargon, write a report
Without jargon, write a report
Write a report without figures
Write a report that does not exceed a page
If the numbers are not good, write a report
When you have read doc_9001, write a report
Do nothing but create a report
Do not just summarize doc_9001 but create a report
Summarize the 99 reports listed in doc_9001 and write a report
Do not show off.\nCreate a report on doc_9001
What does doc_9001 say, please write a report?
What does doc_9001 say, then write a report?
What does doc_9001 say, and write a report on it?
What does doc_9001 say, also create a report?
What does doc_9001 say, can you write a report?
What does doc_9001 say and could you write a report on it?
What does doc_9001 say? Write a report, will you?
Where doc_9001 says more, write a report
Read doc_9001, write a report?
No, create a report on doc_9001
If not, write a report
Late or not, write a report
Do not, as a rule, just summarize, write a report
Do not, under any circumstances, read doc_9003. Write a report on doc_9001
Use no jargon and this time make a report
`, 2: `
Write two reports on doc_9001
Create a report on each of doc_9001 and doc_9002
For each of doc_9001 and doc_9002, write a report
Read doc_9001 and doc_9002, and write one report for each
I need two short reports on doc_9001 and doc_9002
`, 3: `
Write three short reports
Give me a summary and three memos
Write doc_9001 up in 3 short reports
Which of the 60 reports in doc_9001 are late? Write 3 memos.
`} {
		for request := range strings.SplitSeq(strings.TrimSpace(requests), "\n") {
			var c policy.Conversation
			c.Said(strings.ReplaceAll(request, `\n`, "\n"))
			c.Names(policy.Target{Type: "document"}) // what "each" may mean
			if asked, most := c.Asks(reports); asked != (want > 0) || most != want {
				t.Errorf("%q asks for %d, want %d", request, most, want)
			}
		}
	}
}

// TestNegatedTargets: what a request takes out is not named, and what it says beside is.
func TestNegatedTargets(t *testing.T) {
	for request, want := range map[string]string{
		"Summarize doc_9001, not doc_9003":                                    "doc_9001",
		"doc_9982, not doc_1001":                                              "doc_9982",
		"Summarize doc_9001 but not doc_9003":                                 "doc_9001",
		"Summarize doc_9001. Do not read doc_9003.":                           "doc_9001",
		"Summarize doc_9001. Do not read the file doc_9003 or doc_9004":       "doc_9001",
		"Don't read doc_9003 and doc_9004, summarize doc_9001":                "doc_9001",
		"Summarize all documents but doc_9003":                                "",
		"Summarize everything except doc_9003":                                "",
		"Summarize all documents, except doc_9003":                            "",
		"Summarize doc_9001, never open doc_9003":                             "doc_9001",
		"Summarize doc_9001. Do not, under any circumstances, read doc_9003.": "doc_9001",
		"Summarize doc_9001. You must not look at doc_9003":                   "doc_9001",
		"I do not want you to read doc_9003":                                  "",
		"Avoid opening doc_9003":                                              "",
		"Refrain from reading doc_9003":                                       "",
		"Summarize doc_9001 instead of doc_9003":                              "doc_9001",
		"Summarize doc_9001 without reading doc_9003":                         "doc_9001",
		"You cannot use doc_9003":                                             "",
		"Stay away from doc_9003":                                             "",
		"Read nothing but doc_9001":                                           "doc_9001",
		"Do not read anything except doc_9001":                                "doc_9001",
		"Do not read anything, except doc_9001":                               "doc_9001",
		"Use no documents other than doc_9001":                                "doc_9001",
		"Do not read doc_9003 but doc_9001":                                   "doc_9001",
		"Do not just read doc_9001, compare it with doc_9002":                 "doc_9001 doc_9002",
		"Don't write a report on doc_9001, just tell me what it says":         "doc_9001",
		"Which risks are not in doc_9001?":                                    "doc_9001",
		"What is not covered in doc_9001?":                                    "doc_9001",
		"Why is doc_9001 not signed?":                                         "doc_9001",
		"I have not read doc_9001. What does it say?":                         "doc_9001",
		"I can't open doc_9001, summarize it":                                 "doc_9001",
		"Not sure what doc_9001 says: summarize it":                           "doc_9001",
		"Summarize doc_9001 without the annex":                                "doc_9001",
		"Ignore the annex of doc_9001 and summarize the rest":                 "doc_9001",
		"Don't use jargon and summarize doc_9001":                             "doc_9001",
		"Don't hesitate to read doc_9001":                                     "doc_9001",
		"Isn't doc_9001 late?":                                                "doc_9001",
		"Without changing doc_9001, say what it is about":                     "doc_9001",
		"Do not read doc_9003.\nSummarize doc_9001":                           "doc_9001",
		"Read doc_9001, but doc_9002 first":                                   "doc_9001 doc_9002",
		"Tell me about it. Do not read doc_9003":                              "",
		"Avoid anything about doc_9003":                                       "",
		"Don't use jargon. Except doc_9003, read doc_9001":                    "doc_9001",
		"Do not use jargon, read all documents except doc_9003":               "",
		"What's not in doc_9001?":                                             "doc_9001",
		"Do not read doc_9003 and the file doc_9004":                          "",
		"Could you read doc_9001 for me?":                                     "doc_9001",
		"Summarize doc_9001 and nothing in doc_9003":                          "doc_9001",
	} {
		var c policy.Conversation
		c.Said(request)
		if got := strings.Join(c.Names(policy.Target{Type: "document"}), " "); got != want {
			t.Errorf("%q names %q, want %q", request, got, want)
		}
	}
	for _, out := range []string{"not the salary bands", "do not read salary bands", "do not look at salary bands", "do not read anything about salary bands"} {
		var c policy.Conversation
		c.Said("Summarize the Q4 review, " + out)
		c.Returned(find, []any{m{"id": "doc_1", "title": "Q4 2024 Review"}, m{"id": "doc_2", "title": "Salary Bands"}})
		for id, want := range map[string]bool{"doc_1": true, "doc_2": false} {
			if v := c.Judge("read", read, m{"id": id}); v.Named() != want {
				t.Errorf("%s: %s: %q", out, id, v)
			}
		}
	}
}
