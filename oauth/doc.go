// Package oauth reads what OAuth authorization servers say, for their clients and
// for the APIs that trust them alike: metadata (RFC 8414), token responses (RFC 6749,
// section 5.1), introspection responses (RFC 7662), each with the authorization
// details of RFC 9396.
//
// It makes no calls and keeps no state. Everything is decoded strictly (duplicate
// members and invalid UTF-8 are errors), and where servers differ in what they send
// and leave out, what cannot be read counts as not said. What is read wrong could
// widen what is granted is an error instead. Errors quote no values: a response may
// hold credentials.
package oauth
