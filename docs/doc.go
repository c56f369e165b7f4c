// Package docs holds the guides, as Markdown. It has no code of its own; its
// tests keep the guides true.
package docs
