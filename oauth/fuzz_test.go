package oauth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// lenient decodes as encoding/json does: an oracle that shares no code with the
// decoder under test. ok is false when it cannot.
func lenient(body []byte) (m map[string]any, ok bool) {
	err := json.Unmarshal(body, &m)
	return m, err == nil && m != nil
}

func FuzzTokenResponse(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"abcdefgh","token_type":"Bearer","expires_in":3600}`,
		`{"access_token":"abcdefgh","token_type":"bearer","expires_in":"60","scope":"a b","task_id":"task_1"}`,
		`{"access_token":"abcdefgh","token_type":"Bearer","authorization_details":[{"type":"x","actions":["a"]}]}`,
		`{"access_token":"abcdefgh","Access_Token":"x","token_type":"DPoP"}`,
		`{"access_token":"a b","token_type":"Bearer","expires_in":1e400}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := ParseToken(body, true); err == nil {
			if m, _ := lenient(body); !strings.EqualFold(m["token_type"].(string), "dpop") {
				t.Fatalf("took the token of %s for one that is bound", body)
			}
			if _, err := ParseToken(body, false); err == nil {
				t.Fatalf("took the token of %s for either kind: %v", body, got)
			}
		}
		got, err := ParseToken(body, false)
		if err != nil {
			if !got.Value.IsZero() {
				t.Fatalf("a token came with the error %v", err)
			}
			return
		}
		raw := got.Value.Reveal()
		if raw == "" || len(raw) > maxToken || strings.ContainsAny(raw, " \t\r\n\x00,\"") {
			t.Fatalf("accepted the token %q", raw)
		}
		if got.Lifetime < 0 || got.Lifetime > maxSeconds*time.Second {
			t.Fatalf("accepted the lifetime %v", got.Lifetime)
		}
		for _, d := range got.Details {
			if _, err := d.Check(); err != nil {
				t.Fatalf("accepted an invalid detail: %v", err)
			}
		}
		m, ok := lenient(body)
		if !ok || m["access_token"] != raw {
			t.Fatalf("read %q from %s, which says %v", raw, body, m["access_token"])
		}
		if kind, _ := m["token_type"].(string); !strings.EqualFold(kind, "bearer") {
			t.Fatalf("took a token of type %q for a bearer token", kind)
		}
	})
}
