package browser

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// launched starts examples/launcher, and returns where to sign in with which token, if with
// any, and what it says after that.
func (w *world) launched(args ...string) (signIn, token string, says <-chan string) {
	w.Helper()
	program := filepath.Join(w.dir, "launcher")
	build := exec.CommandContext(w.Context(), "go", "build", "-o", program, ".")
	build.Dir, build.Stderr = filepath.Join("..", "..", "examples", "launcher"), os.Stderr
	if err := build.Run(); err != nil {
		w.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0") // the launcher does not tell which port it found
	if err != nil {
		w.Fatal(err)
	}
	port := fmt.Sprint(free.Addr().(*net.TCPAddr).Port)
	if err := free.Close(); err != nil {
		w.Fatal(err)
	}
	w.url = "http://localhost:" + port
	for i, arg := range args {
		args[i] = strings.NewReplacer("URL", w.url, "PORT", port).Replace(arg)
	}
	cmd := exec.CommandContext(w.Context(), program, args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "NO_PROXY=*", "TMPDIR="+w.dir)
	stderr := w.lines(cmd.StderrPipe)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	for serving := regexp.MustCompile("^Web servers starts on"); stderr.Scan() && !serving.MatchString(stderr.Text()); {
		if m := regexp.MustCompile(`signs? in at (\S+?)\]?(?: with the token (\w+)\])?$`).FindStringSubmatch(stderr.Text()); m != nil {
			signIn, token = m[1], m[2]
		}
	}
	said := make(chan string, 1000)
	go func() {
		defer close(said)
		for stderr.Scan() {
			said <- stderr.Text()
		}
	}()
	return signIn, token, said
}

// TestTheLauncher has a person talk to examples/launcher by ADK's web UI, at ADK's own
// servers and behind authentication, while another one decides at the page: that of the
// authorization server, or the launcher's own.
func TestTheLauncher(t *testing.T) {
	for name, args := range map[string][]string{
		"api": {"web", "-port", "PORT", "api", "webui", "-api_server_address", "URL/api"}, "secured": {"-url", "URL", "web", "-port", "PORT", "secured"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{T: t, dir: t.TempDir(), env: map[string]string{}}
			w.open()
			signIn, token, says := w.launched(args...)
			p := w.person()
			decides := w.person()
			if token != "" {
				p.opens(signIn)
				p.do(chromedp.SendKeys(chromedp.CSS("input"), token+kb.Enter))
				p.sees("none yet")
				decides = p.another()
				decides.opens(w.url + "/approvals")
				p.presses("Talk to the agent")
			} else {
				decides.signsIn(signIn)
				p.opens(w.url + "/ui/?app=protected_data_analyst")
			}
			p.do(chromedp.WaitVisible(chromedp.CSS("textarea")))
			p.says("Fetch doc_9982 and create a summary report")
			p.sees("Summary of")
			p.picture("launcher-" + name + "-report")
			p.says("Fetch doc_7310 and create a summary report")
			p.sees("Waiting for a person's decision")
			p.picture("launcher-" + name + "-waits")
			decides.sees("file_access read doc_7310")
			decides.presses("fetch_document")
			decides.picture("launcher-" + name + "-request")
			decides.presses("Approve")
			decides.sees("Approved.")
			for over := 0; over < 2; {
				line, more := <-says
				if !more {
					t.Fatal("the launcher ended")
				}
				if strings.HasSuffix(line, "the task is over: 2 of 2 tokens revoked]") {
					over++
				}
			}
			p.do(chromedp.Reload())
			p.sees("Salary Bands 2025", "was created")
			p.picture("launcher-" + name + "-went-on")
		})
	}
}
