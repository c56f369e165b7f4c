package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/template"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/secret"
)

const canary = "canary+7f3a/9d=e1"

// leaks returns the spelling in which text holds the canary, or "".
func leaks(text string) string {
	for _, spelling := range []string{
		canary,
		canary[3:14], // part of it
		url.QueryEscape(canary),
		hex.EncodeToString([]byte(canary)),
		strings.ToUpper(hex.EncodeToString([]byte(canary))),
		fmt.Sprintf("% x", canary),
		fmt.Sprint([]byte(canary)),
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"),
		// Base64 at each of the three offsets in a longer text.
		base64.StdEncoding.EncodeToString([]byte(canary))[:20],
		base64.StdEncoding.EncodeToString([]byte("x" + canary))[4:20],
		base64.StdEncoding.EncodeToString([]byte("xx" + canary))[4:20],
		strings.Trim(strings.ReplaceAll(fmt.Sprintf("%#v", []byte(canary)), "[]byte", ""), "{}"),
	} {
		if strings.Contains(text, spelling) {
			return spelling
		}
	}
	return ""
}

type (
	exported   struct{ Token secret.String }
	unexported struct{ token secret.String }
	pointers   struct {
		Token *secret.String
		token *secret.String
	}
	embedded struct{ secret.String }
	deep     struct {
		List   []exported
		Map    map[string]unexported
		hidden []map[string]*unexported
		Any    any
	}
	failure struct{ token secret.String }
)

func (f *failure) Error() string { return fmt.Sprintf("login with %v failed", f.token) }

// holders are all the places in which a program could keep a secret.
func holders() map[string]any {
	s := secret.New(canary)
	return map[string]any{
		"value":            s,
		"pointer":          &s,
		"exported field":   exported{s},
		"unexported field": unexported{s},
		"pointer fields":   pointers{&s, &s},
		"pointer to both":  &pointers{&s, &s},
		"embedded":         embedded{s},
		"slice":            []secret.String{s},
		"slice of any":     []any{s, &s},
		"array":            [1]secret.String{s},
		"map":              map[string]secret.String{"token": s},
		"map of pointers":  map[string]*secret.String{"token": &s},
		"deep": deep{
			[]exported{{s}}, map[string]unexported{"a": {s}}, []map[string]*unexported{{"b": {s}}}, &embedded{s},
		},
		"anonymous": struct {
			A secret.String
			b secret.String
		}{s, s},
		"error":         &failure{s},
		"wrapped error": fmt.Errorf("start: %w", &failure{s}),
		"joined error":  errors.Join(io.EOF, &failure{s}),
		"in an error":   fmt.Errorf("token %v, %+v", s, exported{s}),
		"a method":      s.Equal,
	}
}

func TestLeaksFindsTheCanary(t *testing.T) {
	for _, text := range []string{
		canary, "a" + canary + "b", fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary),
		fmt.Sprintf("%v", []byte(canary)), fmt.Sprintf("%#v", []byte(canary)), url.QueryEscape(canary),
		base64.StdEncoding.EncodeToString([]byte("{" + canary + "}")),
	} {
		if leaks(text) == "" {
			t.Errorf("leaks(%q) finds nothing: the tests below would show nothing", text)
		}
	}
}

func TestNoVerbShowsTheValue(t *testing.T) {
	verbs := []string{"none", "%*d", "%[3]v %!"} // with the holder where none is expected
	for c := '!'; c <= '~'; c++ {                // all of ASCII, so that no verb is forgotten
		if c != '*' && c != '%' && c != '[' {
			verbs = append(verbs, "%"+string(c), "%+"+string(c), "%#"+string(c), "%-20"+string(c), "% "+string(c), "%.40"+string(c))
		}
	}
	for name, holder := range holders() {
		for _, verb := range verbs {
			if text := fmt.Sprintf(verb, holder); leaks(text) != "" {
				t.Errorf("Sprintf(%q, %s) = %s", verb, name, text)
			}
		}
		for how, text := range map[string]string{
			"Sprint":   fmt.Sprint(holder),
			"Sprintln": fmt.Sprintln(holder, holder),
			"Errorf":   fmt.Errorf("x: %v", holder).Error(),
			"template": run(t, holder),
		} {
			if leaks(text) != "" {
				t.Errorf("%s of %s = %s", how, name, text)
			}
		}
	}
}

func run(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	if err := template.Must(template.New("").Parse(`{{.}} {{printf "%v %s %q" . . .}}`)).Execute(&b, v); err != nil {
		b.WriteString(err.Error())
	}
	return b.String()
}

func TestVerbsOfAStringItself(t *testing.T) {
	s := secret.New(canary)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%b", "%t", "%20s"} {
		for _, holder := range []any{s, &s} {
			if got := fmt.Sprintf(verb, holder); got != secret.Redacted {
				t.Errorf("Sprintf(%q, %T) = %s, want %s", verb, holder, got, secret.Redacted)
			}
		}
	}
	if got := fmt.Sprintf("%T", s); got != "secret.String" {
		t.Errorf("%%T = %s", got)
	}
	if got := fmt.Sprint(secret.String{}); got != secret.Redacted {
		t.Errorf("the zero String prints %s, which tells that it is empty", got)
	}
}

func TestNoLoggerShowsTheValue(t *testing.T) {
	for name, holder := range holders() {
		var b bytes.Buffer
		options := &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&b, options), slog.NewJSONHandler(&b, options)} {
			log := slog.New(handler).With("with", holder).WithGroup("g")
			log.Info("call", "arg", holder, "group", slog.GroupValue(slog.Any("inner", holder)))
			log.Error("call", slog.Any("err", holder), slog.Any("list", []any{holder}))
		}
		if leaks(b.String()) != "" || b.Len() == 0 {
			t.Errorf("%s is logged as %s", name, b.String())
		}
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("call", "token", secret.New(canary))
	if !strings.Contains(b.String(), `"token":"[redacted]"`) {
		t.Errorf("a String is logged as %s", b.String())
	}
	// A handler of one's own sees a plain string.
	if v := slog.AnyValue(secret.New(canary)).Resolve(); v.Kind() != slog.KindString || v.String() != secret.Redacted {
		t.Errorf("a handler sees %v of kind %v", v, v.Kind())
	}
}

func TestNoEncoderShowsTheValue(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"encoding/json": json.Marshal,
		"indented":      func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") },
		"json v2":       func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
		"xml":           xml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
	}
	for how, encode := range encoders {
		for name, holder := range holders() {
			text, err := encode(holder) // not all can be encoded, and the error may not tell either
			if leaks(string(text)) != "" || leaks(fmt.Sprint(err)) != "" {
				t.Errorf("%s of %s = %s, %v", how, name, text, err)
			}
		}
	}
	for how, want := range map[string]string{
		"encoding/json": `{"Token":"[redacted]"}`,
		"json v2":       `{"Token":"[redacted]"}`,
		"xml":           `<exported><Token>[redacted]</Token></exported>`,
	} {
		if text, err := encoders[how](exported{secret.New(canary)}); err != nil || string(text) != want {
			t.Errorf("%s = %s, %v, want %s", how, text, err, want)
		}
	}
}

func TestNothingDecodesIntoAString(t *testing.T) {
	// "[redacted]" read back must not pass for a credential.
	var e exported
	for how, decode := range map[string]func([]byte, any) error{
		"encoding/json": json.Unmarshal,
		"json v2":       func(b []byte, v any) error { return jsonv2.Unmarshal(b, v) },
	} {
		if err := decode([]byte(`{"Token":"[redacted]"}`), &e); err == nil || !e.Token.IsZero() {
			t.Errorf("%s: %v, zero %v", how, err, e.Token.IsZero())
		}
	}
}

func TestErrorsAndPanicsShowNothing(t *testing.T) {
	for name, holder := range holders() {
		func() {
			defer func() {
				v := recover()
				if text := fmt.Sprintf("%v %+v %#v", v, v, v); leaks(text) != "" {
					t.Errorf("panic with %s: %s", name, text)
				}
			}()
			panic(holder)
		}()
	}
	left, right := exported{secret.New(canary)}, exported{secret.New("other")}
	if diff := cmp.Diff(left, right); diff == "" || leaks(diff) != "" {
		t.Errorf("cmp.Diff shows %s", diff)
	}
}

// The runtime prints the value of a panic that nobody recovers, by its own rules.
func TestCrashShowsNothing(t *testing.T) {
	const variable = "SECRET_TEST_CRASH"
	if name := os.Getenv(variable); name != "" {
		panic(holders()[name])
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, name := range []string{"value", "pointer", "exported field", "unexported field", "slice", "error", "wrapped error"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashShowsNothing$")
			cmd.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=all")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "panic: ") {
				t.Fatalf("the process did not crash: %v, %s", err, out)
			}
			if leaks(string(out)) != "" {
				t.Errorf("the crash shows %s", out)
			}
		})
	}
}

func TestReveal(t *testing.T) {
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	var zero secret.String
	if zero.Reveal() != "" || !zero.IsZero() || !secret.New("").IsZero() || secret.New(" ").IsZero() {
		t.Errorf("zero: Reveal() = %q, IsZero() = %v", zero.Reveal(), zero.IsZero())
	}
	text, err := json.Marshal(struct {
		A secret.String `json:"a,omitzero"`
		B secret.String `json:"b,omitzero"`
	}{B: secret.New("x")})
	if err != nil || string(text) != `{"b":"[redacted]"}` {
		t.Errorf("omitzero: %s, %v", text, err)
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b secret.String
		want bool
	}{
		{secret.New("abc"), secret.New("abd"), false},
		{secret.New("abc"), secret.New("ab"), false},
		{secret.New("abc"), secret.New("ABC"), false},
		{secret.New("abc"), secret.String{}, false},
		{secret.New("[redacted]"), secret.New("abc"), false},
		{secret.New("abc"), secret.New("abc"), true},
		{secret.String{}, secret.New(""), true},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want || tt.b.Equal(tt.a) != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a.Reveal(), tt.b.Reveal(), got)
		}
	}
}

func TestFingerprint(t *testing.T) {
	s := secret.New("abc")
	// HMAC-SHA-256 of "abc" by "key", the first 8 bytes.
	const want = "9c196e32dc0175f8"
	got := s.Fingerprint([]byte("key"))
	if got != want {
		t.Errorf("Fingerprint = %s, want %s", got, want)
	}
	if s.Fingerprint([]byte("other")) == got || secret.New("abd").Fingerprint([]byte("key")) == got {
		t.Error("another key or value has the same fingerprint")
	}
	if leaks(secret.New(canary).Fingerprint(nil)) != "" {
		t.Error("the fingerprint shows the value")
	}
}

func ExampleString() {
	token := secret.New("eyJhbGciOiJFUzI1NiJ9")
	fmt.Printf("%v %+v\n", token, struct{ Token secret.String }{token})
	fmt.Println(len(token.Reveal()))
	// Output:
	// [redacted] {Token:[redacted]}
	// 20
}
