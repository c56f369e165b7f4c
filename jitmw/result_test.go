package jitmw_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/agent"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

// returning runs a tool that returns v, after it has been given a token.
func returning(t testing.TB, cfg jitmw.Config, v map[string]any) map[string]any {
	t.Helper()
	cfg.Plan = func(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{Ceiling: []rar.Detail{read("doc_1")}}, nil }
	inner := &plain{name: "act", run: func(ctx agent.Context, _ any) (map[string]any, error) {
		_, err := jit.Acquire(ctx, read("doc_1"))
		return v, err
	}}
	return run(t, wrap(t, inner, cfg), under(t, newAuthority()), nil)
}

type echo struct {
	Header map[string][]string `json:"header"`
	Note   *string             `json:"note"`
	Raw    []byte              `json:"raw"`
	Any    fmt.Stringer        `json:"any,omitempty"`
}

func TestResultHoldsNoToken(t *testing.T) {
	note := "Bearer " + grantToken
	b64 := base64.StdEncoding.EncodeToString
	// Within a longer text the token starts at each place of a base64 group.
	got := returning(t, jitmw.Config{}, map[string]any{
		"raw":           "Authorization: Bearer " + grantToken,
		"base64":        b64([]byte(grantToken)),
		"basic":         []any{b64([]byte("u:" + grantToken + ":p")), b64([]byte("us:" + grantToken)), b64([]byte("usr:" + grantToken))},
		"base64url":     base64.RawURLEncoding.EncodeToString([]byte("\xff" + grantToken)),
		"hex":           hex.EncodeToString([]byte(grantToken)),
		"HEX":           strings.ToUpper(hex.EncodeToString([]byte(grantToken))),
		"escaped":       "?t=" + url.QueryEscape(grantToken) + "&u=" + url.PathEscape(grantToken),
		"nested":        map[string]any{"list": []any{1, true, nil, map[string]any{"deep": grantToken}}},
		grantToken:      "as a key",
		"struct":        echo{Header: map[string][]string{"Authorization": {note}}, Note: &note, Raw: []byte("x" + note)},
		"pointer":       &echo{Note: &note},
		"strings":       []string{note},
		"map":           map[string]string{grantToken: note},
		"rawjson":       json.RawMessage(`{"a":"` + grantToken[:5] + `\u` + fmt.Sprintf("%04x", grantToken[5]) + grantToken[6:] + `"}`),
		"error":         fmt.Errorf("failed with %s", grantToken),
		"bytes":         []byte("xy" + grantToken),
		"typed strings": []any{jitmwText(grantToken)},
	})
	text := fmt.Sprintf("%#v", got)
	for name, form := range map[string]string{
		"raw": grantToken, "hex": hex.EncodeToString([]byte(grantToken)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(grantToken))),
		"base64 at 0": b64([]byte(grantToken))[:32], "base64 at 1": b64([]byte("x" + grantToken))[4:32], "base64 at 2": b64([]byte("xy" + grantToken))[4:32],
	} {
		if strings.Contains(text, form) {
			t.Errorf("the result holds the token in the form %s: %s", name, text)
		}
	}
	if n := strings.Count(text, "[redacted]"); n < 19 {
		t.Errorf("the result has %d redactions, want at least 19: %s", n, text)
	}
	if got["error"] != "failed with [redacted]" {
		t.Errorf("an error became %v, want its scrubbed text", got["error"])
	}
}

type jitmwText string

// What a tool returns may be its own: a cached answer, handed to several calls.
func TestResultIsACopy(t *testing.T) {
	kept := map[string]any{"a": grantToken, "list": []any{grantToken}, "inner": map[string]any{"text": strings.Repeat("x", 5000)}}
	returning(t, jitmw.Config{MaxResult: 1000}, kept)
	want := map[string]any{"a": grantToken, "list": []any{grantToken}, "inner": map[string]any{"text": strings.Repeat("x", 5000)}}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("the tool's own value changed (-want +got):\n%s", diff)
	}
}

func TestNumbersKeepTheirValue(t *testing.T) {
	type ids struct {
		Small int     `json:"small"`
		Big   int64   `json:"big"`
		Share float64 `json:"share"`
	}
	got := returning(t, jitmw.Config{}, map[string]any{"ids": ids{42, 9007199254740993, 0.25}, "n": 7, "f": 1.5})
	want := map[string]any{"ids": map[string]any{"small": 42.0, "big": "9007199254740993", "share": 0.25}, "n": 7, "f": 1.5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
}

func TestResultThatNobodyCanRead(t *testing.T) {
	endless := map[string]any{}
	endless["self"] = endless
	for name, v := range map[string]any{
		"not a number": math.NaN(), "infinite": math.Inf(1), "a channel": make(chan int), "endless": endless,
		"no number": json.Number("1x"), "a long no number": json.Number("1x3456789012345678"),
	} {
		t.Run(name, func(t *testing.T) {
			got := returning(t, jitmw.Config{}, map[string]any{"v": v})
			if got["status"] != "failed" || got["error"] == "" {
				t.Errorf("Run() = %v, want a failure", got)
			}
		})
	}
}

func TestLongestTextIsCut(t *testing.T) {
	for name, tt := range map[string]struct {
		result map[string]any
		limit  int
		cut    func(map[string]any) string
		want   string // prefix of which the cut text must consist, repeated
		least  int    // bytes that it must keep
	}{
		"plain":    {map[string]any{"title": "Q4", "content": strings.Repeat("a", 5000)}, 1000, content, "a", 850},
		"runes":    {map[string]any{"title": "Q4", "content": strings.Repeat("語", 5000)}, 1000, content, "語", 850},
		"emoji":    {map[string]any{"title": "Q4", "content": strings.Repeat("🙂", 5000)}, 1001, content, "🙂", 850},
		"markup":   {map[string]any{"title": "Q4", "content": strings.Repeat("<", 5000)}, 1000, content, "<", 140},
		"escapes":  {map[string]any{"title": "Q4", "content": strings.Repeat("\\", 5000)}, 1000, content, "\\", 420},
		"controls": {map[string]any{"title": "Q4", "content": strings.Repeat("\x01", 5000)}, 1000, content, "\x01", 140},
		"in a list": {map[string]any{"title": "Q4", "list": []any{"short", map[string]any{"content": strings.Repeat("a", 5000)}}}, 1000, func(m map[string]any) string {
			list, _ := m["list"].([]any)
			inner, _ := list[1].(map[string]any)
			return content(inner)
		}, "a", 800},
		"two": {map[string]any{"title": "Q4", "content": strings.Repeat("a", 5000), "other": strings.Repeat("b", 4000)}, 1000, content, "a", 20},
	} {
		t.Run(name, func(t *testing.T) {
			had, err := json.Marshal(tt.result)
			if err != nil {
				t.Fatal(err)
			}
			got := returning(t, jitmw.Config{MaxResult: tt.limit}, tt.result)
			text, err := json.Marshal(got)
			if err != nil || len(text) > tt.limit {
				t.Fatalf("the result has %d bytes, %v, want at most %d", len(text), err, tt.limit)
			}
			cut := tt.cut(got)
			if strings.Trim(cut, tt.want) != "" || len(cut) < tt.least || !utf8.ValidString(cut) {
				t.Errorf("the text was cut to %d bytes: %q", len(cut), cut)
			}
			want := fmt.Sprintf("the result was cut: it had %d bytes, and at most %d are shown", len(had), tt.limit)
			if note, _ := got["truncated"].(string); note != want {
				t.Errorf("truncated = %q, want %q", note, want)
			}
			if got["title"] != "Q4" {
				t.Errorf("title = %v, want it whole", got["title"])
			}
		})
	}
}

func content(m map[string]any) string { s, _ := m["content"].(string); return s }

func TestResultThatCannotBeCutIsAFailure(t *testing.T) {
	rows := make([]any, 1000)
	for i := range rows {
		rows[i] = map[string]any{"id": i, "name": "short"}
	}
	got := returning(t, jitmw.Config{MaxResult: 1000}, map[string]any{"rows": rows})
	want := map[string]any{"status": "failed", "error": "the result is larger than 1000 bytes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
}

func TestDefaultLimit(t *testing.T) {
	fits := map[string]any{"content": strings.Repeat("a", 256<<10-len(`{"content":""}`)-2)}
	if got := returning(t, jitmw.Config{}, fits); got["truncated"] != nil {
		t.Errorf("a result of just under 256 KiB was cut: %v", got["truncated"])
	}
	over := map[string]any{"content": strings.Repeat("a", 256<<10)}
	if got := returning(t, jitmw.Config{}, over); got["truncated"] == nil {
		t.Error("a result over 256 KiB was not cut")
	}
}

// Whatever a tool returns, the model gets at most the limit.
func TestNoResultIsOverTheLimit(t *testing.T) {
	g := wrap(t, &plain{name: "act", run: func(_ agent.Context, args any) (map[string]any, error) {
		m, _ := args.(map[string]any)
		return m, nil
	}}, jitmw.Config{MaxResult: 400})
	ctx := under(t, newAuthority())
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(0, 2000, -1), rapid.Custom(func(r *rapid.T) string {
			return string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(r, "bytes"))
		}))
		m := map[string]any{
			"a": text.Draw(r, "a"), "b": []any{text.Draw(r, "b"), rapid.Float64Range(-1e300, 1e300).Draw(r, "f")},
			rapid.StringN(0, 20, -1).Draw(r, "key"): map[string]any{"c": text.Draw(r, "c"), "d": rapid.Int().Draw(r, "d")},
		}
		got, err := g.Run(ctx, m)
		if err != nil {
			r.Fatal(err)
		}
		out, err := json.Marshal(got)
		if err != nil || len(out) > 400 {
			r.Fatalf("Run(%q) gives %d bytes, %v, want at most 400", m, len(out), err)
		}
	})
}
