package provider

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genai"
)

// A Setting is one that a provider takes, for help texts.
type Setting struct {
	// Name is what is written before the equals sign.
	Name string
	// Help says in one line what it does and which values it takes.
	Help string
	// Values are the words it takes; nil when Help gives a range.
	Values []string
}

// Settings shape answers where a request does not say. The zero Settings change
// nothing. A nil field or an empty one leaves the choice to the model.
type Settings struct {
	Temperature *float32
	TopP        *float32
	// MaxTokens bounds an answer, what the model thinks included. 0 sets no bound.
	MaxTokens int32
	Seed      *int32
	// ReasoningEffort is one of the provider's words, such as low or high.
	ReasoningEffort string
	// ThinkingBudget bounds the tokens of thinking; -1 leaves it to the model.
	ThinkingBudget *int32
	// API is "chat", "responses", or empty for what suits the model.
	API string
}

// Names of settings.
const (
	Temperature     = "temperature"
	TopP            = "top_p"
	MaxTokens       = "max_tokens"
	Seed            = "seed"
	ReasoningEffort = "reasoning_effort"
	ThinkingBudget  = "thinking_budget"
	API             = "api"
)

// parsers reads each setting. The ranges are the widest that any provider takes; a
// model may take less, and says so itself.
var parsers = map[string]func(*Settings, string) bool{
	Temperature: func(s *Settings, v string) (ok bool) { s.Temperature, ok = float(v, 2); return },
	TopP:        func(s *Settings, v string) (ok bool) { s.TopP, ok = float(v, 1); return },
	MaxTokens: func(s *Settings, v string) bool {
		n, err := strconv.ParseInt(v, 10, 32)
		s.MaxTokens = int32(n) //nolint:gosec // parsed as 32 bits
		return err == nil && n > 0
	},
	Seed:           func(s *Settings, v string) (ok bool) { s.Seed, ok = integer(v, math.MinInt32); return },
	ThinkingBudget: func(s *Settings, v string) (ok bool) { s.ThinkingBudget, ok = integer(v, -1); return },
	// Words are checked against Setting.Values.
	ReasoningEffort: func(s *Settings, v string) bool { s.ReasoningEffort = v; return v != "" },
	API:             func(s *Settings, v string) bool { s.API = v; return v != "" },
}

func float(v string, most float64) (*float32, bool) {
	f, err := strconv.ParseFloat(v, 32)
	f32 := float32(f)
	return &f32, err == nil && f >= 0 && f <= most // false for NaN
}

func integer(v string, least int64) (*int32, bool) {
	n, err := strconv.ParseInt(v, 10, 32)
	n32 := int32(n) //nolint:gosec // parsed as 32 bits
	return &n32, err == nil && n >= least
}

// ParseSettings reads settings for the provider called name, which takes those in
// known. One that is unknown or out of range is an error that says what is taken.
func ParseSettings(name string, known []Setting, values map[string]string) (Settings, error) {
	var s Settings
	for _, key := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(known, func(k Setting) bool { return k.Name == key })
		if i < 0 {
			return Settings{}, fmt.Errorf("models: %s has no setting %q: %s", name, Shorten(key), list(known))
		}
		v := values[key]
		if parse := parsers[key]; parse == nil || !parse(&s, v) || known[i].Values != nil && !slices.Contains(known[i].Values, v) {
			return Settings{}, fmt.Errorf("models: %s cannot be %q for %s: %s", key, Shorten(v), name, known[i].Help)
		}
	}
	return s, nil
}

func list(known []Setting) string {
	if len(known) == 0 {
		return "it takes none"
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name
	}
	return "it takes " + strings.Join(names, ", ")
}

// Apply returns config with the settings in those fields that it leaves unset.
// config may be nil and is not changed; the result shares what it points to.
// ReasoningEffort, ThinkingBudget and API are the providers' own to read.
func (s Settings) Apply(config *genai.GenerateContentConfig) *genai.GenerateContentConfig {
	var out genai.GenerateContentConfig
	if config != nil {
		out = *config
	}
	out.Temperature = cmp.Or(out.Temperature, s.Temperature)
	out.TopP = cmp.Or(out.TopP, s.TopP)
	out.MaxOutputTokens = cmp.Or(out.MaxOutputTokens, s.MaxTokens)
	out.Seed = cmp.Or(out.Seed, s.Seed)
	return &out
}
