package serve_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/internal/serve"
)

func TestListenRefusesRemote(t *testing.T) {
	for _, addr := range []string{
		":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:192.0.2.1]:0", "example.com:0",
		"127.0.0.1.example.com:0", "[fe80::1]:0", "0:0", "localhost.:0",
	} {
		l, err := serve.Listen(addr, false)
		if err == nil {
			t.Errorf("Listen(%q) listens on %v", addr, l.Addr())
			_ = l.Close()
		} else if !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("Listen(%q) = %v, want advice", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1", "nonsense", "[::1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:nobody", "nobody.invalid:0"} {
		if _, err := serve.Listen(addr, true); err == nil {
			t.Errorf("Listen(%q) listens", addr)
		}
	}
	for _, addr := range []string{"", "127.0.0.1:0", "localhost:0", "127.8.8.8:0"} {
		l, err := serve.Listen(addr, false)
		if err != nil {
			t.Errorf("Listen(%q) = %v", addr, err)
			continue
		}
		_ = l.Close()
	}
	l, err := serve.Listen("0.0.0.0:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if base := serve.BaseURL(l); base.Hostname() != "127.0.0.1" || base.Port() == "" {
		t.Errorf("BaseURL() = %s, want one that clients can use", base)
	}
}

func TestEveryTimeout(t *testing.T) {
	l, err := serve.Listen("", false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := serve.New(http.NotFoundHandler(), l, "", slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 || s.ErrorLog == nil {
		t.Errorf("New() leaves something unbounded: %+v", s)
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:8085":         "http://127.0.0.1:8085",
		"http://127.0.0.1:8085/":        "http://127.0.0.1:8085",
		"HTTPS://API.acme-corp.com:443": "https://api.acme-corp.com",
		"http://api.acme-corp.com:80/":  "http://api.acme-corp.com",
		"https://api.acme-corp.com:80":  "https://api.acme-corp.com:80",
		"http://[::1]:80":               "http://[::1]",
	} {
		if got, err := serve.Origin(in); got != want || err != nil {
			t.Errorf("Origin(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "api.acme-corp.com", "ftp://a", "http://", "http://a/v1", "http://a?x", "http://u@a", "http://a#f", "http://%zz"} {
		if got, err := serve.Origin(in); err == nil {
			t.Errorf("Origin(%s) = %s, want an error", in, got)
		}
	}
}
