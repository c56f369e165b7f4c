// Package browser holds the page of approvals to what a person does there, and to what
// somebody else's page may try, in a headless Chromium. It is a module of its own, so that
// the program links no browser's protocol. "make browser" runs it, and fails where
// Debian's package chromium is not installed.
package browser
