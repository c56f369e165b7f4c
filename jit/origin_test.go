package jit_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/jitagent/jitagent/jit"
)

func TestOriginRefusesWhatNoCredentialMayGoTo(t *testing.T) {
	for _, s := range []string{
		"", "api.example.com", "/path", "//api.example.com", "https://", "https:///path", "https://:443", "https://.",
		"https:api.example.com", "mailto:a@b.test", "ftp://api.example.com", "ws://127.0.0.1", "file:///etc/passwd",
		"https://user@api.example.com", "https://user:pw@api.example.com", "https://@api.example.com",
		"https://b\u00fccher.example", "https://api.e\u212aample.com", "https://\uff41pi.example.com", "https://api\u3002example.com",
		"https://api.example.com\x00", "https://api.example.com:port", "https://api example.com", "https://[::1", "://x",
	} {
		if o, err := jit.ParseOrigin(s); err == nil || o != (jit.Origin{}) {
			t.Errorf("ParseOrigin(%q) = %q, %v, want an error", s, o, err)
		}
	}
	if _, err := jit.OriginOf(nil); err == nil {
		t.Error("OriginOf(nil) is no error")
	}
	if _, err := jit.OriginOf(&url.URL{Scheme: "HTTPS", Host: "api.example.com"}); err == nil {
		t.Error("a scheme that url.Parse did not see is no error")
	}
}

func TestPlainHTTPOnlyOnLoopback(t *testing.T) {
	for s, ok := range map[string]bool{
		"http://localhost": true, "http://LOCALHOST:8080": true, "http://localhost.": true,
		"http://127.0.0.1": true, "http://127.9.9.9:1": true, "http://[::1]": true, "http://[::ffff:127.0.0.1]": true,
		"http://api.example.com": false, "http://localhost.example.com": false, "http://127.0.0.1.example.com": false,
		"http://192.168.0.1": false, "http://0.0.0.0": false, "http://[::]": false, "http://169.254.169.254": false,
		"http://[::ffff:10.0.0.1]": false, "http://127.1": false, "http://2130706433": false, "http://0x7f.0.0.1": false,
	} {
		o, err := jit.ParseOrigin(s)
		switch {
		case ok && (err != nil || !o.Loopback()):
			t.Errorf("ParseOrigin(%q) = %v, %v, want a loopback origin", s, o, err)
		case !ok && !errors.Is(err, jit.ErrInsecure):
			t.Errorf("ParseOrigin(%q) = %v, %v, want ErrInsecure", s, o, err)
		}
	}
}

func TestOriginContains(t *testing.T) {
	const https, port, v6 = "https://api.example.com", "http://127.0.0.1:8080", "https://[2001:db8::1]:8443"
	for _, test := range []struct {
		origin, url string
		want        bool
	}{
		{https, "https://api.example.com", true},
		{https, "https://api.example.com/", true},
		{https, "https://api.example.com/a/b?c=d#e", true},
		{https, "https://api.example.com:443/x", true},
		{https, "https://api.example.com:/x", true},
		{https, "https://API.Example.COM/x", true},
		{https, "HTTPS://api.example.com/x", true},
		{https, "https://api.example.com./x", true},
		{https, "https://api.example.com../x", false},
		{https, "http://api.example.com/x", false},
		{https, "http://api.example.com:443/x", false},
		{https, "https://api.example.com:8443/x", false},
		{https, "https://api.example.com:0443/x", false},
		{https, "https://example.com/x", false},
		{https, "https://v1.api.example.com/x", false},
		{https, "https://api.example.com.evil.test/x", false},
		{https, "https://evil.test/api.example.com", false},
		{https, "https://api.example.com@evil.test/x", false},
		{https, "https://api.example.co\u217f/x", false}, // Roman numeral: lower case and compatible with m
		{https, "https://api.example.\u212aom/x", false},
		{https, "//api.example.com/x", false},
		{https, "/x", false},
		{https, "https:///x", false},
		{https, "wss://api.example.com/x", false},
		{"https://api.kk.example", "https://API.\u212ak.example/x", false}, // Kelvin sign: lower case k
		{port, "http://127.0.0.1:8080/x", true},
		{port, "http://127.0.0.1/x", false},
		{port, "http://127.0.0.1:8081/x", false},
		{port, "http://localhost:8080/x", false},
		{port, "http://127.0.0.2:8080/x", false},
		{port, "https://127.0.0.1:8080/x", false},
		{"http://localhost:80", "http://localhost/x", true},
		{v6, "https://[2001:DB8::1]:8443/x", true},
		{v6, "https://[2001:db8::1]/x", false},
		{v6, "https://[2001:db8::2]:8443/x", false},
	} {
		o, err := jit.ParseOrigin(test.origin)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Contains(u); got != test.want {
			t.Errorf("%s contains %s = %t, want %t", o, test.url, got, test.want)
		}
		if (jit.Origin{}).Contains(u) {
			t.Errorf("the zero Origin contains %s", test.url)
		}
	}
	if (jit.Origin{}).Contains(&url.URL{}) {
		t.Error("the zero Origin contains the zero URL")
	}
}

func TestOriginStringIsItsOwnOrigin(t *testing.T) {
	for s, want := range map[string]string{
		"https://API.example.com:443/path?q": "https://api.example.com",
		"https://api.example.com.:8443":      "https://api.example.com:8443",
		"http://localhost:80":                "http://localhost",
		"http://[::1]:8080":                  "http://[::1]:8080",
		"https://[2001:DB8::1]":              "https://[2001:db8::1]",
	} {
		o, err := jit.ParseOrigin(s)
		if err != nil || o.String() != want {
			t.Errorf("ParseOrigin(%q) = %q, %v, want %q", s, o, err, want)
			continue
		}
		if again, err := jit.ParseOrigin(o.String()); err != nil || again != o {
			t.Errorf("ParseOrigin(%q) = %q, %v, want the same again", o, again, err)
		}
	}
	if s := (jit.Origin{}).String(); s != "" {
		t.Errorf("zero Origin = %q, want nothing", s)
	}
}

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://api.example.com", "http://[::1%25lo]:1", "https://\u212a.test", "http://127.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := jit.ParseOrigin(s)
		if err != nil {
			if o != (jit.Origin{}) {
				t.Errorf("ParseOrigin(%q) = %v beside an error", s, o)
			}
			return
		}
		u, err := url.Parse(s)
		if err != nil || !o.Contains(u) {
			t.Errorf("%q is not within its own origin %q", s, o)
		}
		if u.Scheme == "http" && !o.Loopback() {
			t.Errorf("%q is plain http outside loopback", s)
		}
	})
}
