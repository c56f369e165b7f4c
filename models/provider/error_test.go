package provider_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/models/provider"
)

const poison = "KEY-PROMPT-OR-BODY"

var target = provider.Target{Provider: "acme", Model: "small", Host: "llm.acme-corp.com", Key: "ACME_KEY"}

func dial(number syscall.Errno) error {
	return &url.Error{Op: "Post", URL: "https://" + poison, Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", number)}}
}

// What the network says is worded; what a transport says besides is dropped.
func TestUnansweredIsOneLineAndTemporaryWhereItIs(t *testing.T) {
	for _, tt := range []struct {
		name      string
		err       error
		want      string
		temporary bool
	}{
		{"refused", dial(syscall.ECONNREFUSED), "no connection to llm.acme-corp.com: connection refused: check that it runs, the base URL, and network and proxy settings", true},
		{"reset", dial(syscall.ECONNRESET), "no connection to llm.acme-corp.com: check the network and proxy settings", true},
		{"reset within the body", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "the answer broke off: try again", true},
		{"unreachable", dial(syscall.ENETUNREACH), "no connection to llm.acme-corp.com: check the network and proxy settings", false},
		{"closed", &url.Error{Op: "Post", URL: poison, Err: io.EOF}, "no connection to llm.acme-corp.com: it closed the connection without an answer: try again; if it stays so, check the base URL", true},
		{"cut", io.ErrUnexpectedEOF, "the answer broke off: try again", true},
		{"unknown name", &url.Error{Op: "Post", URL: poison, Err: &net.DNSError{Err: "no such host", Name: "llm.acme-corp.com"}}, "no connection to llm.acme-corp.com: the host name was not found: check the base URL and the network", false},
		{"bad certificate", &url.Error{Op: "Post", URL: poison, Err: &tls.CertificateVerificationError{Err: errors.New("x")}}, "no connection to llm.acme-corp.com: its certificate is not trusted: check the base URL; where a proxy or a company signs certificates, name its authority's file in SSL_CERT_FILE", false},
		{"no certificates", &url.Error{Op: "Post", URL: poison, Err: &tls.CertificateVerificationError{Err: x509.SystemRootsError{Err: errors.New("x")}}}, "no connection to llm.acme-corp.com: the certificates that this machine trusts cannot be read: check that SSL_CERT_FILE, where it is set, names a file of certificates (PEM) that can be read", false},
		{"other dial errors", &net.OpError{Op: "dial", Err: errors.New(poison)}, "no connection to llm.acme-corp.com: check the network and proxy settings", false},
		{"too large", fmt.Errorf("read: %w", &provider.TooLargeError{Limit: 16 << 20}), "the answer is over 16 MiB: ask for less", false},
		{"anything", errors.New(poison), "the answer could not be read: try again; if it stays so, check the base URL", false},
	} {
		e := target.Unanswered(nil, tt.err)
		if got := e.Error(); got != "models: acme/small: "+tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
		if _, temporary := e.Temporary(); temporary != tt.temporary {
			t.Errorf("%s: temporary %v", tt.name, temporary)
		}
		noPoison(t, tt.name, e)
	}
	if e := target.Unanswered(nil, dial(syscall.ECONNREFUSED)); !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("the cause is %v", errors.Unwrap(e))
	}
}

// noPoison prints err and all that it wraps in every way.
func noPoison(t *testing.T, what string, err error) {
	t.Helper()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Error("x", "err", err)
	slog.New(slog.NewJSONHandler(&log, nil)).Error("x", "err", err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&log, "%v %+v %#v %q", e, e, e, e)
	}
	if strings.Contains(log.String(), poison) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %s", what, &log)
	}
}

func TestStatusesAreWorded(t *testing.T) {
	for status, want := range map[int]string{
		401: "the API key was refused: check the key in ACME_KEY",
		402: "the quota is used up: check plan and billing of the account behind ACME_KEY",
		403: "the API key may not use this model: check the key in ACME_KEY and what its project is allowed",
		404: "there is no such model: choose another name",
		408: "the provider failed: try again later",
		413: "the request is too large: use a shorter document or conversation",
		418: "the provider refused the request: try another model than small",
		429: "too many requests: wait, or raise the rate limit of the account behind ACME_KEY",
		500: "the provider failed: try again later",
		302: "the server answered with a redirect, which is not followed: check the base URL",
		200: "the answer could not be read: try again; if it stays so, check the base URL",
	} {
		if p := target.Status(status); p.Text+": "+p.Remedy != want {
			t.Errorf("%d: %+v", status, p)
		}
	}
	if p := (provider.Target{}).Status(401); p.Remedy != "check the key" {
		t.Errorf("without a variable: %+v", p)
	}
}

func TestTemporary(t *testing.T) {
	for status, want := range map[int]bool{0: false, 400: false, 401: false, 404: false, 408: true, 409: false, 429: true, 500: true, 503: true, 529: true} {
		wait, got := (&provider.Error{Status: status, RetryAfter: time.Second}).Temporary()
		if got != want || wait != time.Second {
			t.Errorf("status %d: temporary %v after %v, want %v", status, got, wait, want)
		}
	}
}

func TestErrorIsOneLine(t *testing.T) {
	for want, e := range map[string]*provider.Error{
		"models: p/m: it broke: mend it":              {},
		"models: p/m: it broke (500): mend it":        {Status: 500},
		"models: p/m: it broke (500 BROKEN): mend it": {Status: 500, Reason: "BROKEN"},
		"models: p/m: it broke (BROKEN): mend it":     {Reason: "BROKEN"},
	} {
		e.Provider, e.Model, e.Problem, e.Remedy = "p", "m", "it broke", "mend it"
		if e.Error() != want {
			t.Errorf("got %s, want %s", e, want)
		}
	}
	long := provider.Target{Provider: "p", Model: strings.Repeat("é", 500)}.Fail(provider.NoAnswer, nil)
	if len(long.Error()) > 200 || strings.Contains(long.Error(), "\uFFFD") {
		t.Errorf("a long name: %s", long)
	}
}

func TestCodeTakesNoFreeText(t *testing.T) {
	for s, want := range map[string]string{
		"RESOURCE_EXHAUSTED": "RESOURCE_EXHAUSTED", "context_length_exceeded": "context_length_exceeded", "DeploymentNotFound": "DeploymentNotFound",
		"": "", "two words": "", "sk-abc": "", "key123": "", "_x": "", "a\nb": "", "é": "", strings.Repeat("a", 49): "",
	} {
		if got := provider.Code(s); got != want {
			t.Errorf("Code(%q) = %q", s, got)
		}
	}
}

func TestEndedNamesTheTarget(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := target.Ended(ctx); err != nil {
		t.Errorf("before the end: %v", err)
	}
	cancel()
	if err := target.Ended(ctx); !errors.Is(err, context.Canceled) || err.Error() != "models: acme/small: context canceled" {
		t.Errorf("got %v", err)
	}
}

// A whole round trip: nothing listens.
func TestRefusedConnectionOnASocket(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := provider.Client(nil).Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("somebody answered")
	}
	if _, temporary := target.Unanswered(nil, err).Temporary(); !temporary {
		t.Errorf("%v is not temporary", err)
	}
}
