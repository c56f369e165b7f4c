// Package stores holds the runner to one table over every store of conversations:
// memory, SQLite as package session opens it, and Postgres; also where the agent is
// elsewhere, over ADK's A2A. It is a module of its own, so that the program links
// nothing of that. "make stores" runs it, and fails where Debian's package
// postgresql is not installed.
package stores
