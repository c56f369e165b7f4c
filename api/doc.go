// Package api holds the exported API of each public package as text, so that a change of it
// shows in review, and the test that compares the texts with the code.
//
// A line that goes or changes breaks somebody who imports it: CHANGELOG.md says so.
package api
