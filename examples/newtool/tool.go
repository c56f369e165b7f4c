package main

import (
	"net/url"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// InvoiceArgs are the arguments of get_invoice, as the model is told.
type InvoiceArgs struct {
	Number string `json:"number" jsonschema:"description=Number of the invoice such as inv_2041,pattern=^inv_[0-9]{1\\,10}$"`
}

// Invoice is the result of get_invoice.
type Invoice struct {
	Number   string `json:"number"`
	Customer string `json:"customer"`
	Amount   string `json:"amount"`
	Due      string `json:"due"`
}

// getInvoice returns the tool get_invoice for the invoice API at api. A call may
// ask for reading the one invoice that it names, and for nothing else.
func getInvoice(api *url.URL) (tool.Tool, error) {
	origin := api.Scheme + "://" + api.Host
	return tools.New(tools.Spec[InvoiceArgs]{
		Name:        "get_invoice",
		Description: "Returns one invoice: customer, amount and due date.",
		API:         api,
		Ceiling: func(a InvoiceArgs) []rar.Detail {
			return []rar.Detail{{Type: "invoice", Actions: []string{"read"}, Identifier: a.Number, Locations: []string{origin}}}
		},
		Justify: func(a InvoiceArgs) string { return "Read invoice " + a.Number },
	}, func(ctx tools.Context, a InvoiceArgs) (inv Invoice, err error) {
		err = ctx.GetJSON(api.JoinPath("v1/invoices", a.Number).String(), &inv)
		return inv, err
	})
}
