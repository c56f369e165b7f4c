package tools

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/prompts"
	"github.com/jitagent/jitagent/rar"
)

// Options are what the analyst's tools share. The zero value is ready for use.
type Options struct {
	Base                 http.RoundTripper // see [Spec]
	HonorsIdempotencyKey bool              // see [Spec]
	Policy               *policy.Policy    // see [Spec]
	Search               bool              // the API has a search, so search_documents is offered
	Logger               *slog.Logger
}

// analysts makes one of the analyst's own tools, which call an API. Its description is a
// prompt.
func analysts[A, R any](opts Options, spec Spec[A], fn func(Context, A) (R, error)) (tool.Tool, error) {
	if spec.API == nil {
		return nil, fmt.Errorf("tools: %s: no API", spec.Name)
	}
	var err error
	if spec.Description, err = prompts.Tool(spec.Name); err != nil {
		return nil, err
	}
	spec.Base, spec.HonorsIdempotencyKey, spec.Policy, spec.Logger = opts.Base, opts.HonorsIdempotencyKey, opts.Policy, opts.Logger
	return New(spec, fn)
}

// ReportArgs are the arguments of create_report.
type ReportArgs struct {
	Title   string `json:"title" jsonschema:"description=Title of the report as the user worded it,minLength=1,maxLength=200"`
	Content string `json:"content" jsonschema:"description=The whole report in Markdown without its title,minLength=1,maxLength=500000"`
}

// Report is the result of create_report: what the API says of it, or in Note what it
// said instead.
type Report struct {
	ID      string `json:"id,omitempty"`
	Title   string `json:"title"`
	Path    string `json:"path,omitempty"`
	URL     string `json:"url,omitempty"`
	Created string `json:"created_at,omitempty"`
	Note    string `json:"note,omitempty"`
}

// CreateReport returns the tool create_report for the reports API at api: POST
// {api}/v1/reports. A call may ask for writing reports, and for nothing else.
func CreateReport(api *url.URL, opts Options) (tool.Tool, error) {
	return analysts(opts, Spec[ReportArgs]{
		Name: "create_report", API: api,
		// One for each request, so that a report which a document asks for does not come
		// beside the one that the person wants.
		Aim: &policy.Aim{
			Effect: "report", AskedBy: []string{"report", "create", "write", "save", "draft", "publish", "memo"},
			Targets: map[string]policy.Target{"title": {Type: "title", As: policy.FromWords}},
			Max:     policy.OnePerRequest, Each: "document",
			Records: policy.Records{Type: "report", ID: "id", Name: "title", Made: true},
		},

		Ceiling: func(ReportArgs) []rar.Detail {
			return wordings(api, rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: "reports"}, "v1/reports")
		},
		Justify: func(a ReportArgs) string { return "Create a report titled " + quoted(a.Title) },
	}, func(ctx Context, a ReportArgs) (Report, error) {
		answer, err := ctx.Post(api.JoinPath("v1/reports").String(), a)
		if err != nil {
			return Report{}, err
		}
		m := answer.members()
		report := Report{
			ID: textOf(m, "id", "report_id"), Title: cmp.Or(textOf(m, "title"), a.Title), Path: textOf(m, "path"),
			URL: cmp.Or(textOf(m, "url"), answer.Location), Created: textOf(m, "created_at"),
		}
		if report.ID == "" && report.Path == "" {
			report.Note = fmt.Sprintf("the API took the report and answered %d", answer.StatusCode)
			if text, err := answer.Text(); err == nil {
				report.Note = strings.TrimSuffix(report.Note+": "+peer.Clean(text, 500), ": ")
			}
		}
		return report, nil
	})
}

// quoted puts a model's text in quotes, short and on one line, for people.
func quoted(s string) string { return "“" + peer.Clean(s, 120) + "”" }
