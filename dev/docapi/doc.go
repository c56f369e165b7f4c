// Package docapi is the sample protected API that the analyst works against: it
// serves documents and takes reports, to whoever holds the authority.
//
//	GET  /v1/documents/{id}        one document
//	GET  /v1/documents?query=...   which documents hold these words; * is any
//	POST /v1/reports               make a report
//	GET  /v1/reports/{id}          read a report back
//
// A search answers with at most 20 ids, titles, kinds and snippets of 160
// characters. Restricted documents are found by none: whichever words find one are
// words that stand in it.
//
// A request is checked in this order, and the order is a promise:
//
//  1. path and method (404, 405): the same for everyone;
//  2. the token (401, 503);
//  3. the syntax of an id or a query (400);
//  4. authority over exactly that (403, with the detail that is missing);
//  5. existence (404), or for a report its headers and body (400, 413, 415).
//
// Authority comes before existence, so an agent may be asked to get authority
// over a document that is not there. That is the price of not telling strangers
// which ids exist.
//
// What a request needs:
//
//	read a document    file_access, actions [read],   identifier "{id}"
//	search documents   file_access, actions [search], identifier "documents"
//	make a report      file_access, actions [write],  identifier "reports"
//	read a report      file_access, actions [read],   identifier "reports/{id}"
//
// each with this API's origin as the only location.
//
// Documents are read once, by [New], and classified then: an authorization
// server whose risk policy is built from [Server.Sensitive] and this API never
// disagree about a document. A changed directory needs a restart. A file that
// cannot be served takes no other away, and a classification that cannot be read, or
// is none of ours, means the most restricted one; [Server.Remarks] tells of both.
//
// Reports are Markdown files. A file appears whole or not at all, and never
// replaces another. A request with an Idempotency-Key makes at most one report,
// also when the process dies between writing the report and answering, as long
// as Config.StateDir is set. A key belongs to the agent's client and to the first
// body that was sent with it. An answer other than 201 is not kept: the same
// request may be tried again under the same key.
package docapi
