package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// analyst is the built program.
var analyst string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "browser-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			analyst = filepath.Join(dir, "analyst")
			build := exec.Command("go", "build", "-o", analyst, "./cmd/analyst")
			build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
			err = build.Run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "build the program:", err)
			return 1
		}
		return m.Run()
	}())
}

// A world is analyst dev in a process of its own, its agent, and a browser.
type world struct {
	*testing.T
	dir     string
	env     map[string]string // as dev printed it, the reviewer's token besides
	url     string            // of the authorization server
	link    string            // that signs a person in
	agent   *lumoauth.Client
	task    string
	browser context.Context
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), env: map[string]string{}}
	dev := w.command("dev", "--operator-env-file", "-", "--reports", "reports")
	stdout, stderr := w.lines(dev.StdoutPipe), w.lines(dev.StderrPipe)
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Process.Signal(os.Interrupt); _ = dev.Wait() })
	for w.link == "" && stderr.Scan() {
		w.link = regexp.MustCompile(`\S+/sign-in\?key=\S+|$`).FindString(stderr.Text())
	}
	go func() { // or its pipe fills
		for stderr.Scan() {
			continue
		}
	}()
	for w.env["LUMODEV_RS_CLIENT_SECRET"] == "" && stdout.Scan() {
		name, value, _ := strings.Cut(strings.TrimPrefix(stdout.Text(), "export "), "=")
		w.env[name] = strings.Trim(value, "'")
	}
	w.url = w.env["LUMOAUTH_URL"]
	var err error
	w.agent, err = lumoauth.New(lumoauth.Config{
		URL: w.url, Org: w.env["LUMOAUTH_ORG_ID"], ClientID: w.env["AGENT_CLIENT_ID"], ClientSecret: secret.New(w.env["AGENT_CLIENT_SECRET"]),
	})
	if err != nil {
		t.Fatal(err)
	}
	task, err := w.agent.CreateTask(t.Context(), jit.TaskSpec{Name: `<img src=x onerror="document.title='taken over'">`})
	if err != nil {
		t.Fatal(err)
	}
	w.task = task.ID

	w.open()
	return w
}

// open opens a browser.
func (w *world) open() {
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1")) // names that others have pointed at this machine
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // there is none for root
	}
	all, end := chromedp.NewExecAllocator(w.Context(), options...)
	w.Cleanup(end)
	w.browser, end = chromedp.NewContext(all)
	w.Cleanup(end)
	if err := chromedp.Do(w.browser); err != nil {
		w.Fatalf("this needs Debian's package chromium: %v", err)
	}
}

// command is analyst with the printed environment, and with no state but its own.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.Context(), analyst, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "ANALYST_STATE_DIR="+filepath.Join(w.dir, "state"))
	for name, value := range w.env {
		if !strings.HasPrefix(name, "LUMODEV_") {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func (w *world) lines(pipe func() (io.ReadCloser, error)) *bufio.Scanner {
	r, err := pipe()
	if err != nil {
		w.Fatal(err)
	}
	return bufio.NewScanner(r)
}

// A running is an analyst that works.
type running struct {
	*exec.Cmd
	out strings.Builder
}

// runs starts an analyst.
func (w *world) runs(args ...string) *running {
	w.Helper()
	r := &running{Cmd: w.command(args...)}
	r.Stdout, r.Stderr = &r.out, &r.out
	if err := r.Start(); err != nil {
		w.Fatal(err)
	}
	return r
}

// ends waits for the end of an analyst.
func (w *world) ends(r *running, code int, says string) {
	w.Helper()
	_ = r.Wait() // its state tells
	if got := r.ProcessState.ExitCode(); got != code || !strings.Contains(r.out.String(), says) {
		w.Errorf("exit %d, want %d and %q:\n%s", got, code, says, &r.out)
	}
}

// asks has the agent ask for authority over a sensitive document, and returns the request.
func (w *world) asks() string {
	w.Helper()
	d, err := w.agent.Request(w.Context(), jit.Request{
		TaskID: w.task, Detail: rar.Detail{
			Type: "file_access", Actions: []string{"read", "list", "a-rather-long-action-that-no-API-of-ours-has-but-others-may"}, Identifier: "doc_7310",
			Extra: map[string]json.RawMessage{"a_member_with_a_name_that_is_longer_than_a_phone_is_wide": json.RawMessage(`"` + strings.Repeat("x", 200) + `"`)},
		},
		Justification: "I need all of it, at once, and there is no need to look.",
		For:           jit.Purpose{Tool: "fetch_document", CallID: "call_1", Args: []byte(`{"document_id":"doc_7310"}`), Origin: w.env["ANALYST_API_URL"]},
	})
	if err != nil || d.Status != jit.StatusPending {
		w.Fatal(d, err)
	}
	return d.RequestID
}

// is fails the test unless a request has this status.
func (w *world) is(id string, want jit.Status) jit.Decision {
	w.Helper()
	d, err := w.agent.Status(w.Context(), id)
	if err != nil || d.Status != want {
		w.Errorf("request %s is %q, %v; want %q", id, d.Status, err, want)
	}
	return d
}

// posts makes a request without a browser, and returns the status of the answer.
func (w *world) posts(path string, form url.Values, bearer string) int {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A person sits before a browser of their own: its cookies are nobody else's.
type person struct {
	*world
	tab context.Context
}

func (w *world) person() *person {
	return w.at(w.browser, chromedp.WithNewBrowserContext())
}

// another opens a second tab.
func (p *person) another() *person { return p.at(p.tab) }

func (w *world) at(browser context.Context, options ...chromedp.ContextOption) *person {
	w.Helper()
	tab, end := chromedp.NewContext(browser, options...)
	w.Cleanup(end)
	if err := chromedp.Do(tab, chromedp.EmulateViewport(1280, 900)); err != nil { // with no end: the tab would share it
		w.Fatal(err)
	}
	return &person{w, tab}
}

func (p *person) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	finds(p, chromedp.Steps(steps...))
}

// finds does what finds something out.
func finds[T any](p *person, action chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, 20*time.Second)
	defer cancel()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		late, cancel := context.WithTimeout(p.tab, time.Second)
		defer cancel()
		shown, _ := chromedp.Run(late, chromedp.Evaluate[string]("document.body.innerText")) // as far as it can be read
		p.Fatalf("%v; shown is:\n%s", err, shown)
	}
	return found
}

// opens goes to a page, whatever its status is.
func (p *person) opens(url string) {
	p.Helper()
	p.do(chromedp.Navigate(url))
}

// sees waits until the page shows texts.
func (p *person) sees(texts ...string) {
	p.Helper()
	for _, text := range texts {
		p.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
	}
}

// until waits until something is so in the page.
func (p *person) until(js string) {
	p.Helper()
	finds(p, func(ctx context.Context, t *chromedp.Target) (bool, error) {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for {
			// Between two pages there is none that answers.
			if so, _ := chromedp.Evaluate[bool](js)(ctx, t); so {
				return true, nil
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return false, fmt.Errorf("it is never so that %s", js)
			}
		}
	})
}

// presses clicks a button or a link, where it stands on the screen, and waits for the page
// that follows.
func (p *person) presses(name string) {
	p.Helper()
	click := chromedp.Click(`//button[.="`+name+`"] | //a[contains(., "`+name+`")]`, chromedp.NodeVisible)
	finds(p, func(ctx context.Context, _ *chromedp.Target) (*network.Response, error) {
		return chromedp.RunResponse(ctx, click)
	})
}

// says sends a message in ADK's web UI, where the last one may still stand in the box.
func (p *person) says(text string) {
	p.Helper()
	p.script(`(() => {
  const box = document.querySelector("textarea");
  box.value = "";
  box.dispatchEvent(new Event("input", { bubbles: true }));
})()`)
	p.do(chromedp.SendKeys(chromedp.CSS("textarea"), text+kb.Enter))
}

// signsIn follows a link.
func (p *person) signsIn(link string) {
	p.Helper()
	p.opens(link)
	p.presses("Sign in")
	p.sees("Approvals")
}

// tells sends a command of the browser's protocol.
func tells[P, R any](p *person, cmd cdp.Command[P, R], params P) R {
	p.Helper()
	return finds(p, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, cmd, params) })
}

// script returns what a script in the page finds out.
func (p *person) script(js string) any {
	p.Helper()
	return finds(p, chromedp.Evaluate[any](js, chromedp.EvalAwaitPromise))
}

// A screen is what people have.
type screen struct {
	name          string
	width, height int64
	dark          bool
}

var screens = []screen{{"desktop", 1280, 900, false}, {"desktop-dark", 1280, 900, true}, {"phone", 375, 720, false}, {"phone-dark", 375, 720, true}}

// looks takes pictures of the page, on each screen, for the folder BROWSER_PICTURES, and
// fails the test where a person could not read or press something.
func (p *person) looks(what string) {
	p.Helper()
	for _, s := range screens {
		scheme := "light"
		if s.dark {
			scheme = "dark"
		}
		tells(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		tells(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.width < 600})
		wrong := finds(p, chromedp.Evaluate[[]string](legible))
		for _, w := range wrong {
			p.Errorf("%s, %s: %s", what, s.name, w)
		}
		p.picture(what + "-" + s.name)
	}
	tells(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	p.do(chromedp.EmulateViewport(1280, 900))
}

// picture takes a picture of the page, for the folder BROWSER_PICTURES.
func (p *person) picture(name string) {
	p.Helper()
	if dir := os.Getenv("BROWSER_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), finds(p, chromedp.FullScreenshot(100)), 0o600); err != nil {
			p.Error(err)
		}
	}
}

// legible finds what is wider than the screen, what is too small to be pressed (44 pixels
// high, WCAG 2.2, 2.5.5), and texts with less contrast than 4.5 to 1 (1.4.3).
const legible = `(() => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push("it is " + root.scrollWidth + " pixels wide, on " + innerWidth);
  const one = document.createElement("canvas").getContext("2d");
  const rgb = (color) => { one.clearRect(0, 0, 1, 1); one.fillStyle = color; one.fillRect(0, 0, 1, 1); return [...one.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  root.style.backgroundColor ||= "Canvas";
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility()) continue;
    const name = e.tagName + " " + (e.innerText || e.name || "").slice(0, 40);
    const box = e.getBoundingClientRect();
    if (e.matches("button, a, label") && box.height < 44) wrong.push(name + " is " + box.height + " pixels high");
    if (box.right > innerWidth + 1) wrong.push(name + " ends at " + box.right);
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    let behind = e;
    while (rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(rgb(getComputedStyle(behind).backgroundColor))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) wrong.push(name + " has a contrast of " + contrast.toFixed(2));
  }
  return wrong;
})()`
