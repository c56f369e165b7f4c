package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/jitagent/jitagent/jit"
)

// TestAPersonDecides goes through the page as a person does, beside runs that wait.
func TestAPersonDecides(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.opens(w.link)
	p.sees("Whoever signs in decides")
	p.looks("sign-in")
	p.signsIn(w.link)
	p.sees("Nothing waits for a person")
	p.looks("nothing")

	// What comes to wait shows up by itself, with all that a person must see.
	run := w.runs("run", "--wait", "5m", "Summarize doc_7310")
	p.sees("file_access read doc_7310")
	p.looks("list")
	p.presses("fetch_document")
	p.sees(`document_id`, "its own words: a claim", "analyst: Summarize doc_7310")
	p.looks("request")

	// For a shorter time; Enter in a text decides nothing.
	p.do(chromedp.SendKeys(chromedp.CSS(`input[name=ttl]`), "1m"+kb.Enter))
	p.sees("A request for authority")
	p.presses("Approve")
	p.sees("Approved.")
	p.looks("approved")
	w.ends(run, 0, "for 1m0s of the 5m0s")

	run = w.runs("run", "--wait", "5m", "Summarize doc_7310")
	p.presses("All that waits")
	p.presses("fetch_document")
	p.do(chromedp.SendKeys(chromedp.CSS(`input[name=message]`), "ask legal first"))
	p.presses("Deny")
	p.sees("Denied.")
	w.ends(run, 4, "ask legal first")

	// Less is approved.
	id := w.asks()
	p.opens(w.url + "/approvals/" + id)
	p.looks("choices")
	p.do(chromedp.Click(`//label[contains(., "actions=list")]`))
	p.presses("Approve")
	p.sees("Approved.")
	if issued, err := w.agent.Token(t.Context(), id); err != nil || len(issued.Details) != 1 || len(issued.Details[0].Actions) != 2 || issued.Details[0].Actions[0] != "read" {
		t.Errorf("granted %v, %v", issued.Details, err)
	}

	// Another process decides: the list and the request say so by themselves, and what was
	// typed until then stays.
	token := filepath.Join(w.dir, "token")
	if err := os.WriteFile(token, []byte(w.env["LUMODEV_REVIEWER_TOKEN"]), 0o600); err != nil {
		t.Fatal(err)
	}
	first, id := w.asks(), w.asks()
	list := p.another()
	list.opens(w.url + "/approvals")
	list.presses("fetch_document")
	list.sees(first)
	list.presses("All that waits")
	p.opens(w.url + "/approvals/" + id)
	p.do(chromedp.SendKeys(chromedp.CSS(`input[name=message]`), "not yet"))
	before := p.script(`document.querySelector(".left").innerText`).(string)
	w.ends(w.runs("approvals", "deny", first, "--reviewer-token-file", token), 0, "denied")
	list.do(chromedp.WaitNotPresent(chromedp.CSS(`a[href$="` + first + `"]`)))
	p.until(`document.querySelector(".left").innerText !== "` + before + `"`)
	if typed := p.script(`document.querySelector("input[name=message]").value`); typed != "not yet" {
		t.Errorf("what was typed became %q", typed)
	}
	w.ends(w.runs("approvals", "approve", id, "--reviewer-token-file", token), 0, "approved")
	p.sees("it was decided, or its time is over")
	list.sees("Nothing waits for a person")
}

// TestWithoutJavaScript does the same where no script runs.
func TestWithoutJavaScript(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	tells(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.signsIn(w.link)
	p.sees("Nothing waits for a person")
	id := w.asks()
	p.do(chromedp.Reload())
	p.presses("fetch_document")
	p.do(chromedp.Click(`//label[contains(., "actions=list")]`))
	p.presses("Approve")
	p.sees("Approved.")
	w.is(id, jit.StatusApproved)
	id = w.asks()
	p.presses("All that waits")
	p.presses("fetch_document")
	p.presses("Deny")
	p.sees("Denied.")
	w.is(id, jit.StatusDenied)
}
