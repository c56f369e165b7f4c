package audit

import (
	"encoding/json"
	"net/http"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// An ocsfEvent is an entry as an event of the Open Cybersecurity Schema Framework, class
// API Activity (6003): an agent calls APIs, and each entry is a step of a call or of the
// authority for one. Authorize Session (3003) is of logins, and has no place for calls. The
// entry itself, which says more than the class has members for, is in unmapped.
type ocsfEvent struct {
	CategoryUID  int    `json:"category_uid"`
	ClassUID     int    `json:"class_uid"`
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	TypeUID      int    `json:"type_uid"`
	Time         int64  `json:"time"` // ms
	SeverityID   int    `json:"severity_id"`
	StatusID     int    `json:"status_id"`
	StatusDetail string `json:"status_detail,omitempty"`

	Metadata struct {
		Version        string   `json:"version"`
		UID            string   `json:"uid"`
		Sequence       int64    `json:"sequence"`
		CorrelationUID string   `json:"correlation_uid,omitempty"`
		LogName        string   `json:"log_name"`
		EventCode      string   `json:"event_code"`
		Profiles       []string `json:"profiles,omitempty"`
		Product        struct {
			Name    string `json:"name"`
			Vendor  string `json:"vendor_name"`
			Version string `json:"version"`
		} `json:"product"`
	} `json:"metadata"`
	Actor struct {
		AppName string   `json:"app_name"`
		AppUID  string   `json:"app_uid,omitempty"`
		User    *ocsfID  `json:"user,omitempty"`
		Session *ocsfUID `json:"session,omitempty"`
	} `json:"actor"`
	Source struct {
		Service  string `json:"svc_name"`
		Instance string `json:"instance_uid,omitempty"`
	} `json:"src_endpoint"`
	API struct {
		Operation string        `json:"operation"`
		Request   *ocsfUID      `json:"request,omitempty"`
		Response  *ocsfResponse `json:"response,omitempty"`
	} `json:"api"`
	HTTPRequest *ocsfHTTP       `json:"http_request,omitempty"`
	Trace       *ocsfUID        `json:"trace,omitempty"`
	Unmapped    json.RawMessage `json:"unmapped"`
}

type (
	ocsfUID struct {
		UID string `json:"uid"`
	}
	ocsfID struct {
		Name string `json:"name"`
	}
	ocsfResponse struct {
		Code int `json:"code"`
	}
	ocsfHTTP struct {
		Method string `json:"http_method"`
		URL    struct {
			Text string `json:"url_string"`
		} `json:"url"`
	}
)

// ocsfVersion is the version of the schema that events are held to.
const ocsfVersion = "1.8.0"

// ocsfLine returns an entry as an event, in one line.
func ocsfLine(r journal.Record) ([]byte, error) {
	var e ocsfEvent
	var err error
	if e.Unmapped, err = r.Line(); err != nil {
		return nil, err
	}
	e.CategoryUID, e.ClassUID, e.Time = 6, 6003, r.Time.UnixMilli()
	e.ActivityID, e.ActivityName = activity(r)
	e.TypeUID = e.ClassUID*100 + e.ActivityID
	e.SeverityID, e.StatusID = weight(r)
	e.StatusDetail = r.Error
	m := &e.Metadata
	m.Version, m.UID, m.Sequence, m.CorrelationUID = ocsfVersion, r.Head().String(), r.Seq, r.Run
	m.LogName, m.EventCode = "journal", string(r.Kind)
	m.Product.Name, m.Product.Vendor, m.Product.Version = "analyst", "jitagent", cli.Release()
	e.Actor.AppName, e.Actor.AppUID = "analyst", r.Authority
	if r.OnBehalfOf != "" {
		e.Actor.User = &ocsfID{r.OnBehalfOf}
	}
	e.Actor.Session = uid(r.Session)
	e.Source.Service, e.Source.Instance = "analyst", r.Owner
	if e.API.Operation = r.Tool; r.Tool == "" {
		e.API.Operation = string(r.Kind)
	}
	if e.API.Request = uid(r.CallID); r.CallID == "" {
		e.API.Request = uid(r.RequestID)
	}
	if r.HTTPStatus > 0 {
		e.API.Response = &ocsfResponse{r.HTTPStatus}
	}
	if r.Method != "" && r.URL != "" {
		e.HTTPRequest = &ocsfHTTP{Method: r.Method}
		e.HTTPRequest.URL.Text = r.URL
	}
	if e.Trace = uid(r.Trace); e.Trace != nil {
		m.Profiles = []string{"trace"}
	}
	line, err := json.Marshal(e)
	return append(plain.JSON(line), '\n'), err
}

func uid(id string) *ocsfUID {
	if id == "" {
		return nil
	}
	return &ocsfUID{id}
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
