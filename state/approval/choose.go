package approval

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/serve"
)

// choices are what can be taken away from a request.
func (r Request) choices() (out []string) {
	if r.OnlyWhole || r.Problem != "" {
		return nil
	}
	for _, d := range r.Details {
		for _, l := range []struct {
			name string
			list []string
		}{{"actions", d.Actions}, {"locations", d.Locations}, {"datatypes", d.DataTypes}, {"privileges", d.Privileges}} {
			for _, s := range l.list {
				if len(l.list) > 1 { // or nothing would be left
					out = append(out, l.name+"="+s)
				}
			}
		}
	}
	return out
}

func (p *Page) decide(w http.ResponseWriter, r *http.Request) {
	if p.busy(w) {
		return
	}
	if err := r.ParseForm(); err != nil {
		status, why := serve.Unread(err)
		p.show(w, status, view{Problem: "Nothing was decided: " + why + "."})
		return
	}
	if repeated(r.PostForm) {
		p.show(w, http.StatusBadRequest, view{Problem: "Nothing was decided: the form says something twice."})
		return
	}
	digests := r.PostForm["digest"]
	found, others := p.shown(r.Context(), digests)
	if found == nil || others { // as one they are no longer shown
		problem := "It was decided before, or its time is over: the first decision counts."
		if others || p.find(r.Context(), r.PathValue("id")) != nil {
			problem = "The request is not the one that was shown: look at it again."
		}
		p.show(w, http.StatusConflict, view{Problem: problem})
		return
	}
	how, err := found.chosen(r.PostForm)
	if err != nil {
		p.show(w, http.StatusBadRequest, view{Problem: "Nothing was decided: what was entered is not part of the request, is no lifetime up to what was asked, or is too long."})
		return
	}
	done, err := found.Decide(r.Context(), p.cfg.Decider, how)
	v := view{Said: "Denied."}
	if how.Approve {
		v.Said = "Approved."
	}
	gone := len(digests) - len(found.All())
	for _, left := range []struct {
		n   int
		why string
	}{{len(digests) - gone - done, why(err)}, {gone, why(ErrDecided)}} {
		if left.n > 0 {
			v.Problem += "It does not count for " + plain.Count(left.n, "request") + " of those that were shown: " + left.why + ". "
		}
	}
	switch {
	case done > 0:
		p.show(w, http.StatusOK, v)
	case errors.Is(err, ErrOneMore):
		p.show(w, http.StatusAccepted, view{Said: "One of several: " + ErrOneMore.Error() + "."})
	case errors.Is(err, ErrOwn), errors.Is(err, ErrMayNot), errors.Is(err, ErrUnreadable):
		p.show(w, http.StatusForbidden, view{Problem: "Nothing was decided: " + why(err) + "."})
	case errors.Is(err, ErrDecided):
		p.show(w, http.StatusConflict, view{Problem: "It was decided before, or its time is over: the first decision counts."})
	case errors.Is(err, ErrOtherRequest):
		p.show(w, http.StatusConflict, view{Problem: "The request is not the one that was shown: look at it again."})
	default:
		p.show(w, http.StatusBadGateway, view{Problem: "Nothing was decided, as far as is known: the authorization server refused, or gave no answer. Look at it again."})
	}
}

// why says why a decision about one of several does not count.
func why(err error) string {
	for _, known := range []error{ErrOwn, ErrMayNot, ErrUnreadable, ErrOneMore} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errors.Is(err, ErrDecided) || errors.Is(err, ErrOtherRequest) {
		return "decided before, or over"
	}
	return "the authorization server refused, or gave no answer"
}

// repeated reports whether a form says more than once what is said once: what is kept may
// be, and digests are when they differ.
func repeated(form url.Values) bool {
	for name, values := range form {
		digests := map[string]bool{}
		for _, v := range values {
			digests[v] = true
		}
		if name != "keep" && len(values) > 1 && (name != "digest" || len(digests) < len(values)) {
			return true
		}
	}
	return false
}

// chosen returns the decision that a form has about a request.
func (r Request) chosen(form url.Values) (how Decision, err error) {
	how = Decision{Approve: form.Get("decision") == "approve", Reason: form.Get("reason"), Message: form.Get("message")}
	switch {
	case strings.Contains(how.Reason+how.Message, "\x00"), max(len(how.Reason), len(how.Message)) > MaxMessage:
		return how, errors.New("not every database keeps this")
	case !how.Approve && form.Get("decision") == "deny":
		return how, nil
	case !how.Approve:
		return how, errors.New("neither approved nor denied")
	}
	take := slices.DeleteFunc(r.choices(), func(c string) bool { return slices.Contains(form["keep"], c) })
	how.Less, err = r.Less(take)
	if life := form.Get("ttl"); life != "" && err == nil {
		how.TTL, err = time.ParseDuration(life)
		if err == nil && (how.TTL < time.Second || r.TTL > 0 && how.TTL > r.TTL) {
			err = errors.New("that is longer than was asked, or no time at all")
		}
	}
	return how, err
}
