package explain

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// WriteHTML writes the story as one page that needs nothing else: a picture of each
// task, and below it the story in words. Times are in the given zone (nil means UTC).
// The page runs no script and loads nothing.
func (s *Story) WriteHTML(w io.Writer, zone *time.Location) error {
	tmpl, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("explain: page: %w", err)
	}
	zone = cmp.Or(zone, time.UTC)
	v := s.view(zone)
	for i, t := range s.Tasks {
		v.Tasks[i].Chart = t.chart(s.At, calendar{zone, t.Opened})
	}
	sum := sha256.Sum256([]byte(pageCSS))
	var b bytes.Buffer
	err = tmpl.Execute(&b, struct {
		storyView
		Policy string // nothing may be loaded or run, and no style but the page's own
		Style  template.CSS
		Legend []legend
	}{
		v, "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
		template.CSS(pageCSS), legends(), //nolint:gosec // the embedded file
	})
	if err != nil {
		return fmt.Errorf("explain: page: %w", err)
	}
	if _, err := io.WriteString(w, plain.Text(b.String())); err != nil {
		return fmt.Errorf("explain: write the page: %w", err)
	}
	return nil
}

// A legend explains one of the picture's shapes.
type legend struct{ Path, Class, Text string }

func legends() []legend {
	of := func(kind jit.EntryKind, class, text string) legend {
		return legend{Step{Kind: kind}.shape(), class, text}
	}
	return []legend{
		of(jit.EntryCall, "plain", "called, asked, ended"),
		of(jit.EntryRefused, "warn", "refused by the API"),
		of(jit.EntryDecision, "good", "decision: approved"),
		of(jit.EntryDecision, "bad", "decision: denied"),
		of(jit.EntryCallSent, "good", "request to the API and its answer"),
		of(jit.EntryBlocked, "bad", "blocked, cut off or failed"),
		{Class: "wait", Text: "waiting for a person"},
		{Class: "token", Text: "token, revoked at its end"},
		{Class: "token expired", Text: "token, expired by itself"},
		{Class: "token live", Text: "token, still valid"},
		{Class: "token unknown", Text: "token, not known whether revoked"},
		{Class: "dead", Text: "no process at work"},
	}
}
