package dev_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
)

// fence matches a fenced block that a reader may run, and one of output.
var fence = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// TestDocumentedWalk runs the sh blocks of docs/lumodev.md as one session and
// compares what each prints with the text block after it.
func TestDocumentedWalk(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the walk needs %s", tool)
		}
	}
	doc, err := os.ReadFile("../docs/lumodev.md")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "---- end of block ----"
	var script strings.Builder
	var wants []string
	for _, m := range fence.FindAllStringSubmatch(string(doc), -1) {
		if m[1] == "sh" {
			fmt.Fprintf(&script, "%s\necho '%s'\n", m[2], mark)
			wants = append(wants, "")
		} else {
			wants[len(wants)-1] = m[2]
		}
	}
	if len(wants) < 8 {
		t.Fatalf("%d blocks in docs/lumodev.md, want the whole walk", len(wants))
	}

	servers, err := dev.Start(t.Context(), dev.Config{Documents: &docapi.Config{Reports: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Close() })
	reviewer, err := servers.Auth.UserToken(lumodev.DefaultReviewerEmail)
	if err != nil {
		t.Fatal(err)
	}
	agent, rs := servers.Client(), servers.Guard()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail")
	cmd.Stdin = strings.NewReader(script.String())
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"LUMOAUTH_URL=" + agent.URL, "LUMOAUTH_ORG_ID=" + agent.Org, "ANALYST_API_URL=" + servers.API.String(),
		"AGENT_CLIENT_ID=" + agent.ClientID, "AGENT_CLIENT_SECRET=" + agent.ClientSecret.Reveal(),
		"LUMODEV_REVIEWER_TOKEN=" + reviewer.Reveal(),
		"LUMODEV_RS_CLIENT_ID=" + rs.ClientID, "LUMODEV_RS_CLIENT_SECRET=" + rs.ClientSecret.Reveal(),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	got := strings.Split(stdout.String(), mark+"\n")
	if len(got) != len(wants)+1 {
		t.Fatalf("%d blocks ran of %d:\n%s", len(got)-1, len(wants), stdout.String())
	}
	for i, want := range wants {
		if !matches(want, got[i]) {
			t.Errorf("block %d printed\n%s\nthe document shows\n%s", i+1, got[i], want)
		}
	}
	if n := servers.Auth.Snapshot().LiveTokens; n != 0 {
		t.Errorf("LiveTokens = %d after the walk, want 0", n)
	}
}

// matches compares line by line; "..." in want stands for anything in its line.
func matches(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, `[^\n]*`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got)
}
