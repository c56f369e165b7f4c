package jit

import (
	"sync"

	"github.com/jitagent/jitagent/rar"
)

// standing is what was decided for a family of tasks, which none of them may ask again.
type standing struct {
	mu     sync.Mutex
	denied []denial          // only ever appended to
	signed map[string]string // the transactions that were demanded: the call's [scope.alone], "" once granted
}

// A denial is a demand that was denied, and the answer to whoever makes it again.
type denial struct {
	origin Origin
	demand rar.Checked
	err    *DeniedError
}

// begin notes the transaction of a signed challenge that a call has to ask for. It
// reports false where that was another call's, or was granted before.
func (d *standing) begin(txn, call string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first, seen := d.signed[txn]
	if !seen {
		if d.signed == nil {
			d.signed = map[string]string{}
		}
		d.signed[txn] = call
	}
	return !seen || first == call
}

// spend notes that a transaction was granted.
func (d *standing) spend(txn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signed[txn] = ""
}

func (d *standing) deny(no denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.denied = append(d.denied, no)
}

// before returns the answer to a demand of which all or part was denied. A person's no
// stands for the whole task, and for those above and below it: asking again until they
// tire, or packed into something larger, would make the decision worthless. Scopes mean
// what the API that names them says, whose server may be another: there a no stands for
// that API.
func (d *standing) before(origin Origin, ask rar.Checked, rules rar.Rules) error {
	d.mu.Lock()
	denied := d.denied[:len(d.denied):len(d.denied)]
	d.mu.Unlock()
	for _, no := range denied {
		if no.origin != origin && ask.Detail().IsScopes() {
			continue
		}
		if rar.Covers(ask, no.demand) || rules.Within(no.demand, ask) == nil {
			return no.err
		}
	}
	return nil
}
