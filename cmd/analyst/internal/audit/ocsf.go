package audit

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// ocsfVersion is the version of the schema that events are held to.
const ocsfVersion = "1.8.0"

// An object is a part of an event. [object.set] leaves out what is not known.
type object map[string]any

func (o object) set(name, value string) {
	if value != "" {
		o[name] = value
	}
}

// refer names something by its id.
func (o object) refer(name, id string) {
	if id != "" {
		o[name] = object{"uid": id}
	}
}

// ocsfLine returns an entry as an event of the Open Cybersecurity Schema Framework, class
// API Activity (6003), in one line: an agent calls APIs, and each entry is a step of a call
// or of the authority for one. Authorize Session (3003) is of logins, and has no place for
// calls. The entry itself, which says more than the class has members for, is in unmapped.
func ocsfLine(r journal.Record) ([]byte, error) {
	entry, err := r.Line()
	if err != nil {
		return nil, err
	}
	const category, class = 6, 6003
	does, name := activity(r)
	severity, status := weight(r)
	metadata := object{
		"version": ocsfVersion, "uid": r.Head().String(), "sequence": r.Seq, "log_name": "journal", "event_code": r.Kind,
		"product": object{"name": "analyst", "vendor_name": "jitagent", "version": cli.Release()},
	}
	actor, source, api := object{"app_name": "analyst"}, object{"svc_name": "analyst"}, object{"operation": cmp.Or(r.Tool, string(r.Kind))}
	e := object{
		"category_uid": category, "class_uid": class, "activity_id": does, "activity_name": name, "type_uid": class*100 + does,
		"time": r.Time.UnixMilli(), "severity_id": severity, "status_id": status,
		"metadata": metadata, "actor": actor, "src_endpoint": source, "api": api, "unmapped": json.RawMessage(entry),
	}
	e.set("status_detail", r.Error)
	metadata.set("correlation_uid", r.Run)
	actor.set("app_uid", r.Authority)
	if r.OnBehalfOf != "" {
		actor["user"] = object{"name": r.OnBehalfOf}
	}
	actor.refer("session", r.Session)
	source.set("instance_uid", r.Owner)
	api.refer("request", cmp.Or(r.CallID, r.RequestID))
	if r.HTTPStatus > 0 {
		api["response"] = object{"code": r.HTTPStatus}
	}
	if r.Method != "" && r.URL != "" {
		e["http_request"] = object{"http_method": r.Method, "url": object{"url_string": r.URL}}
	}
	if e.refer("trace", r.Trace); r.Trace != "" {
		metadata["profiles"] = []string{"trace"}
	}
	line, err := json.Marshal(e)
	return append(plain.JSON(line), '\n'), err
}

// activity says what a request does; where there is none, what the entry is.
func activity(r journal.Record) (id int, name string) {
	switch r.Method {
	case http.MethodPost:
		return 1, "Create"
	case http.MethodGet, http.MethodHead:
		return 2, "Read"
	case http.MethodPut, http.MethodPatch:
		return 3, "Update"
	case http.MethodDelete:
		return 4, "Delete"
	}
	return 99, string(r.Kind)
}

// weight says how grave an entry is, and whether it tells of success.
func weight(r journal.Record) (severity, status int) {
	const informational, low, medium, high = 1, 2, 3, 4
	const success, failure = 1, 2
	switch {
	case r.Kind == journal.EntryLoss || r.Kind == journal.EntryTaskUnknown:
		return high, failure
	case r.Kind == jit.EntryBlocked || r.Outcome == jit.OutcomeInDoubt:
		return medium, failure
	case r.Kind == jit.EntryDecision && (r.Status == jit.StatusDenied || r.Status == jit.StatusExpired), r.Error != "":
		return low, failure
	}
	return informational, success
}
