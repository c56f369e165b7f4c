package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value, date string
		want        time.Duration
		said        bool
	}{
		{value: "", said: false},
		{value: "0", want: 0, said: true},
		{value: "7", want: 7 * time.Second, said: true},
		{value: " 1.5 ", want: 1500 * time.Millisecond, said: true},
		{value: "86401", want: MaxRetryAfter, said: true},
		{value: strings.Repeat("9", 400), want: MaxRetryAfter, said: true},
		{value: "-3"}, {value: "soon"}, {value: "1e3"}, {value: "0x10"}, {value: "NaN"}, {value: "."}, {value: "1.2.3"},
		{value: "Fri, 01 May 2026 12:00:30 GMT", want: 30 * time.Second, said: true},
		{value: "Friday, 01-May-26 12:00:30 GMT", want: 30 * time.Second, said: true},
		{value: "Fri May  1 12:00:30 2026", want: 30 * time.Second, said: true},
		{value: "Fri, 01 May 2026 11:00:00 GMT", want: 0, said: true},
		{value: "Fri, 01 May 2099 12:00:00 GMT", want: MaxRetryAfter, said: true},
		{value: "Fri, 01 May 2026 13:00:30 GMT", date: "Fri, 01 May 2026 13:00:00 GMT", want: 30 * time.Second, said: true},
	} {
		h := http.Header{}
		if test.value != "" {
			h.Set("Retry-After", test.value)
		}
		if test.date != "" {
			h.Set("Date", test.date)
		}
		if got, said := RetryAfter(h, now); got != test.want || said != test.said {
			t.Errorf("RetryAfter(%q, Date %q) = %v, %v, want %v, %v", test.value, test.date, got, said, test.want, test.said)
		}
	}
}

func TestBroke(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	read := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	for _, test := range []struct {
		err              error
		want             Fault
		neverSent, again bool
	}{
		{err: nil, want: Unknown},
		{err: errors.New("something else"), want: Unknown},
		{err: context.Canceled, want: Canceled},
		{err: context.DeadlineExceeded, want: TimedOut},
		{err: read(os.ErrDeadlineExceeded), want: TimedOut},
		{err: dial(&net.DNSError{Err: "no such host", Name: "api.test"}), want: NoSuchHost, neverSent: true},
		{err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), want: Refused, neverSent: true, again: true},
		{err: dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), want: Unreachable, neverSent: true, again: true},
		{err: &net.OpError{Op: "proxyconnect", Err: dial(syscall.ECONNREFUSED)}, want: NoProxy, neverSent: true},
		{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, want: Untrusted, neverSent: true},
		{err: x509.HostnameError{Host: "api.test", Certificate: &x509.Certificate{}}, want: Untrusted},
		{err: tls.RecordHeaderError{Msg: "no"}, want: NotTLS, neverSent: true},
		{err: io.EOF, want: BrokenOff, again: true},
		{err: io.ErrUnexpectedEOF, want: BrokenOff, again: true},
		{err: read(os.NewSyscallError("read", syscall.ECONNRESET)), want: BrokenOff, again: true},
		{err: read(net.ErrClosed), want: BrokenOff, again: true},
	} {
		err := test.err
		if err != nil { // as http.Client and a caller hand it on
			err = fmt.Errorf("outer: %w", &url.Error{Op: "Get", URL: "https://api.test", Err: err})
		}
		got := Broke(err)
		if got != test.want || NeverSent(err) != test.neverSent || got.Passing() != test.again {
			t.Errorf("%v: fault %d (%v), never sent %v, passing %v; want %d, %v, %v", err, got, got, NeverSent(err), got.Passing(), test.want, test.neverSent, test.again)
		}
	}
}

// TestBrokeOfRealExchanges asks servers that have the faults.
func TestBrokeOfRealExchanges(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(address)}}).Get("https://api.test") //nolint:noctx // it is answered at once
	if got := Broke(err); got != NoProxy || !strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired)) {
		t.Errorf("a proxy that wants a login: Broke(%v) = %v", err, got)
	}
	for _, test := range []struct {
		name, url string
		want      Fault
	}{
		{"TLS where there is none", "https" + strings.TrimPrefix(plain.URL, "http"), NotTLS},
		{"a certificate of nobody", secure.URL, Untrusted},
		{"hangs up", hangsUp.URL, BrokenOff},
		{"nobody listens", gone.URL, Refused},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, test.url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{}).RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if got := Broke(err); got != test.want {
			t.Errorf("%s: Broke(%v) = %v, want %v", test.name, err, got, test.want)
		}
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"as it is", 10, "as it is"},
		{" two\r\n\tlines ", 40, "two lines"},
		{"bell\a and \x1b[31mred", 40, "bell and [31mred"},
		{"pay\u202elap\u200b \ufeffme\ufe0f", 40, "paylap me"},
		{"bad \xff\xfebytes, kept \ufffd", 40, "bad bytes, kept \ufffd"},
		{"nul\x00nul", 40, "nul nul"},
		{"twelve bytes", 12, "twelve bytes"},
		{"thirteen byte", 12, "thirteen …"},
		{"ééééé", 8, "éé…"},
		{"long", 2, "lo"},
		{"long", 0, ""},
	} {
		got := Clean(test.text, test.limit)
		if got != test.want {
			t.Errorf("Clean(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
		if len(got) > test.limit || !utf8.ValidString(got) {
			t.Errorf("Clean(%q, %d) = %q, %d bytes", test.text, test.limit, got, len(got))
		}
	}
}

// A file of certificates that cannot be read leaves an authority unknown, and is what to
// look at: crypto/x509 says nothing of it.
func TestBrokeOfCertificatesThatCannotBeRead(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	whole := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(whole, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	unknown := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	for file, want := range map[string]Fault{"": Untrusted, empty: NoRoots, empty + ".missing": NoRoots, whole: Untrusted} {
		t.Setenv("SSL_CERT_FILE", file)
		if got := Broke(unknown); got != want {
			t.Errorf("with the file %q: %v, want %v", file, got, want)
		}
	}
	t.Setenv("SSL_CERT_FILE", empty)
	if got := Broke(x509.HostnameError{Host: "api.test", Certificate: &x509.Certificate{}}); got != Untrusted {
		t.Errorf("another host's certificate: %v", got)
	}
	if got := Broke(x509.SystemRootsError{}); got != NoRoots {
		t.Errorf("no certificates at all: %v", got)
	}
}
