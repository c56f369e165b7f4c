package lumodev

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Risk is the level of a request. The zero Risk is no level.
type Risk string

// The levels, lowest first.
const (
	Low      Risk = "low"
	Medium   Risk = "medium"
	High     Risk = "high"
	Critical Risk = "critical"
)

func (r Risk) rank() int { return slices.Index([]Risk{Low, Medium, High, Critical}, r) }

// atLeast returns the higher of both levels.
func (r Risk) atLeast(floor Risk) Risk {
	if floor.rank() > r.rank() {
		return floor
	}
	return r
}

// RiskPolicy says how risky a detail is and which levels a person decides. The
// zero value is LumoAuth's documented policy:
//
//   - low: reading;
//   - medium: writing;
//   - high: deleting, administering, executing, and whatever is not known: an
//     unknown action, no action at all (RFC 9396 leaves its meaning to the type),
//     wildcards, privileges, sensitive resources;
//   - critical: the types payment, wire_transfer, user_data, credentials.
//
// A task's history raises the level: see [CAEPPolicy].
type RiskPolicy struct {
	// Assess, when set, decides first; what it returns stands. "" leaves the
	// detail to the rules. A level that does not exist counts as critical. It
	// must be safe for concurrent use.
	Assess func(rar.Detail) Risk

	// SensitiveIdentifiers and SensitiveTypes make a detail at least high: one
	// that names such an identifier, has it as a path segment of a location, or
	// names no identifier, and so may reach it. nil means none.
	SensitiveIdentifiers []string
	SensitiveTypes       []string

	// CriticalTypes default to payment, wire_transfer, user_data, credentials.
	CriticalTypes []string

	// HumanLevels need a person. nil means high and critical; an empty list that
	// is not nil means none.
	HumanLevels []Risk

	// DeniedLevels are denied at once, and nobody is asked: a request of such a
	// level by itself, or by its task's history. They go before HumanLevels. Such
	// a denial counts for CAEP as one by a person does. nil means none.
	DeniedLevels []Risk
}

func (p RiskPolicy) resolved() (RiskPolicy, error) {
	if p.CriticalTypes == nil {
		p.CriticalTypes = []string{"payment", "wire_transfer", "user_data", "credentials"}
	}
	if p.HumanLevels == nil {
		p.HumanLevels = []Risk{High, Critical}
	}
	for _, level := range slices.Concat(p.HumanLevels, p.DeniedLevels) {
		if level.rank() < 0 {
			return p, fmt.Errorf("no such level %q", level)
		}
	}
	p.SensitiveIdentifiers = slices.Clone(p.SensitiveIdentifiers)
	p.SensitiveTypes = slices.Clone(p.SensitiveTypes)
	p.CriticalTypes = slices.Clone(p.CriticalTypes)
	p.HumanLevels = slices.Clone(p.HumanLevels)
	p.DeniedLevels = slices.Clone(p.DeniedLevels)
	return p, nil
}

// needsPerson reports whether a person must decide a request of this level.
func (p *RiskPolicy) needsPerson(r Risk) bool { return slices.Contains(p.HumanLevels, r) }

// denies reports whether a request of this level is denied without a person.
func (p *RiskPolicy) denies(r Risk) bool { return slices.Contains(p.DeniedLevels, r) }

// assess returns the level of a detail by itself.
func (p *RiskPolicy) assess(d rar.Detail) Risk {
	if p.Assess != nil {
		switch r := p.Assess(d.Clone()); {
		case r == "":
		case r.rank() < 0:
			return Critical
		default:
			return r
		}
	}
	if slices.Contains(p.CriticalTypes, d.Type) {
		return Critical
	}
	risk := Low
	if len(d.Actions) == 0 || len(d.Privileges) > 0 || p.sensitive(d) {
		risk = High
	}
	for _, action := range d.Actions {
		risk = risk.atLeast(actionRisk(action))
	}
	if strings.Contains(d.Identifier, "*") {
		risk = risk.atLeast(High)
	}
	return risk
}

func (p *RiskPolicy) sensitive(d rar.Detail) bool {
	if slices.Contains(p.SensitiveTypes, d.Type) {
		return true
	}
	if d.Identifier == "" {
		return len(p.SensitiveIdentifiers) > 0
	}
	names := append([]string{d.Identifier}, strings.FieldsFunc(strings.Join(d.Locations, "/"), isSeparator)...)
	return slices.ContainsFunc(p.SensitiveIdentifiers, func(id string) bool { return slices.Contains(names, id) })
}

func isSeparator(r rune) bool { return strings.ContainsRune("/?&=#;", r) }

// actionRisk returns the level of one action, in any case: HTTP verbs are written
// in capitals, database verbs in either.
func actionRisk(action string) Risk {
	switch strings.ToLower(action) {
	case "read", "get", "head", "options", "list", "search", "query", "select", "view", "fetch", "download":
		return Low
	case "write", "create", "update", "append", "insert", "upload", "edit", "post", "put", "patch", "send", "comment":
		return Medium
	}
	return High
}

// CAEPPolicy says when a task is suspended for its behaviour. LumoAuth documents one
// example event, with the two thresholds below, and no scores. Zero fields mean the
// defaults in parentheses; negative ones switch the rule off.
type CAEPPolicy struct {
	RiskThreshold   float64 // suspend at this score (65)
	DenialThreshold int     // suspend at this many denials (3); of requests that were open together one counts
	BurstRequests   int     // each further request within a minute adds to the score (60)
}

// What adds to a task's score: each request by its own level, each denial, and each
// request of a burst.
var levelScores = map[Risk]float64{Low: 1, Medium: 2, High: 5, Critical: 10}

const (
	denialScore = 15
	burstScore  = 10
	burstWindow = time.Minute
)

func (p CAEPPolicy) resolved() CAEPPolicy {
	return CAEPPolicy{cmp.Or(p.RiskThreshold, 65), cmp.Or(p.DenialThreshold, 3), cmp.Or(p.BurstRequests, 60)}
}

// exceeded reports whether a task with this history must be suspended.
func (p *CAEPPolicy) exceeded(score float64, denials int) bool {
	return (p.RiskThreshold > 0 && score >= p.RiskThreshold) ||
		(p.DenialThreshold > 0 && denials >= p.DenialThreshold)
}

// raise returns the level of a request given its task's history: half the score
// that suspends makes it medium, several denials make it critical.
func (p *CAEPPolicy) raise(own Risk, score float64, denials int) Risk {
	if p.RiskThreshold > 0 && score >= p.RiskThreshold/2 {
		own = own.atLeast(Medium)
	}
	if p.DenialThreshold > 0 && denials >= max(2, p.DenialThreshold-1) {
		own = own.atLeast(Critical)
	}
	return own
}
