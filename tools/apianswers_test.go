package tools_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// apiAnswers returns what real APIs answer when all went well, by name. None of them
// is an error, and to a POST each says that it took effect.
func apiAnswers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"201 empty":      answers(201, "application/json", ""),
		"204":            answers(204, "", ""),
		"text":           answers(200, "text/plain; charset=utf-8", "Churn rose to 4.2 %."),
		"Markdown":       answers(200, "text/markdown", "# Churn\n\nIt rose to 4.2 %."),
		"numeric id":     answers(201, "application/json", `{"id": 1234567890123456789, "title": "Churn", "content": "It rose."}`),
		"duplicate keys": answers(201, "application/json", `{"id": "x", "id": "x", "content": "It rose."}`),
		"303":            redirects(303),
		"HTML":           answers(200, "text/html", "<!doctype html><title>Churn</title><p>It rose."),
		"Latin-1":        answers(200, "text/plain; charset=iso-8859-1", "Caf\xe9 M\xfcller"),
		"UTF-16":         answers(200, "text/plain", "\xff\xfeC\x00a\x00f\x00\xe9\x00"),
		"UTF-16, named":  answers(200, "text/plain; charset=UTF-16LE", "C\x00a\x00f\x00\xe9\x00"),
		"BOM":            answers(200, "application/json", "\ufeff"+`{"id": "x", "title": "Churn", "content": "It rose."}`),
		"nested JSON":    answers(200, "application/json", `{"data": {"id": "x", "attributes": {"body": ["It rose."]}}}`),
		"JSON as text":   answers(200, "application/json", `{"result": "{\"id\": \"x\", \"content\": \"It rose.\"}"}`),
		"a list":         answers(200, "application/json", `[{"content": "It rose."}]`),
		"U+0000":         answers(200, "application/json", `{"id": "x", "content": "It\u0000rose."}`),
		"beyond the bound": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			repeat(w, 32<<20)
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer func() { _ = z.Close() }()
			repeat(z, 1<<30)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { repeat(w, 1<<40) },
	}
}

func answers(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if media != "" {
			w.Header().Set("Content-Type", media)
		}
		if body != "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// redirects sends a POST on to what it made, and a GET to where the document is.
func redirects(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.RawQuery, "at=there") {
			answers(200, "application/json", `{"id": "x", "content": "It rose."}`)(w, r)
			return
		}
		w.Header().Set("Location", r.URL.Path+"?at=there")
		w.WriteHeader(status)
	}
}

// repeat writes up to most bytes, as long as somebody reads them.
func repeat(w io.Writer, most int) {
	block := bytes.Repeat([]byte("rose "), 13<<10)
	for ; most > 0; most -= len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
