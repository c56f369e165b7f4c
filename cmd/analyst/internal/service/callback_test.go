package service

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/oauthz"
)

// The authorization server is given an address only where it can call it, not in the clear, and
// where that is wanted.
func TestWhoIsCalledBack(t *testing.T) {
	state, err := cli.Ephemeral(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = state.Close() }()
	const remote, local = "https://app.lumoauth.dev", "http://127.0.0.1:8085"
	for _, tt := range []struct {
		base, server string
		off, want    bool
	}{
		{base: "https://analyst.example.com", server: remote, want: true},
		{base: "https://analyst.example.com", server: remote, off: true},
		{base: "https://analyst.example.com", server: local, want: true},
		{base: "http://analyst.example.com", server: remote},
		{base: "http://127.0.0.1:8080", server: local, want: true},
		{base: "http://127.0.0.1:8080", server: remote},
		{base: "https://127.0.0.1:8443", server: remote},
		{base: "https://analyst.example.com", server: ""}, // a standard server
		{base: "", server: local},                         // a worker that was not told
	} {
		s := &Parts{Options: &Options{Callback: !tt.off}, State: state, Settings: cli.Settings{LumoAuth: lumoauth.Config{URL: tt.server}}}
		if tt.base != "" {
			if s.Base, err = url.Parse(tt.base); err != nil {
				t.Fatal(err)
			}
		}
		if tt.server == "" {
			s.Settings.OAuth = &oauthz.Config{}
		}
		c := s.callbacks()
		if got := c != nil; got != tt.want || got && !strings.HasPrefix(c.For("task_1"), tt.base+"/callbacks/") {
			t.Errorf("%+v: %+v", tt, c)
		}
	}
}
