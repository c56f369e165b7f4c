package browser

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// served starts analyst serve, and returns its address and the token of its user.
func (w *world) served() (token string) {
	w.Helper()
	cmd := w.command("serve", "--listen", "127.0.0.1:0", "--reports", "reports")
	stderr := w.lines(cmd.StderrPipe)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	serving := regexp.MustCompile("serving at ")
	for said := ""; !serving.MatchString(said) && stderr.Scan(); {
		said = stderr.Text()
		if m := regexp.MustCompile(`sign in at (\S+)/login with the token (\S+)`).FindStringSubmatch(said); m != nil {
			w.url, token = m[1], m[2]
		}
	}
	go func() { // or its pipe fills
		for stderr.Scan() {
			continue
		}
	}()
	return token
}

// TestTheWebUI has a person talk to the agent by ADK's web UI, and approve what it waits for.
func TestTheWebUI(t *testing.T) {
	w := &world{T: t, dir: t.TempDir(), env: map[string]string{}}
	w.open()
	token := w.served()
	p := w.person()
	p.opens(w.url + "/")
	p.do(chromedp.SendKeys(chromedp.CSS("input"), token+kb.Enter))
	p.sees("none yet")
	p.sees("Sessions of user")
	p.presses("Talk to the agent")
	p.do(chromedp.WaitVisible(chromedp.CSS("textarea")))
	p.picture("ui")
	p.says("Fetch doc_9982 and create a summary report")
	p.sees("Summary of")
	p.picture("ui-report")
	if files, _ := filepath.Glob(filepath.Join(w.dir, "reports", "*.md")); len(files) != 1 {
		t.Errorf("the reports are %q", files)
	}
	p.says("Summarize doc_7310")
	p.sees("Waiting for a person's decision")
	p.picture("ui-waits")
	p.says("And now?")
	p.sees("The message was not said")
	decides := p.another()
	decides.opens(w.url + "/approvals")
	decides.presses("fetch_document")
	decides.presses("Approve")
	decides.sees("Approved.")
	p.says("What does it say about customers?")
	p.sees("(doc_7310)")
	p.picture("ui-went-on")
	decides.opens(w.url + "/")
	decides.looks("sessions")
	decides.do(chromedp.Click(chromedp.CSS("li a")))
	decides.sees("What happened")
}
