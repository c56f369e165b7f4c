package markdown_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
	xhtml "golang.org/x/net/html"

	"github.com/jitagent/jitagent/internal/markdown"
)

func TestTitle(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "",
		"intro\n\n## The heading\n":    "The heading",
		"Setext\ntitle\n=====\n\ntext": "Setext title",
		"<h1 align=\"center\">Boat</h1>\n\n## Rules":        "Boat",
		"# [Boat house](https://x.test) **rules** `v2` #\n": "Boat house rules v2",
		"<!-- off -->\n\n![badge](b.svg)\n\n# The real one": "The real one",
		"Get the tool.\nNow.\n\n```sh\n# install\n```\n":    "Get the tool.",
		"#hashtag\n\n# &amp; so\\*":                         "& so*",
		"> # In a quote\n\ntext":                            "In a quote",
		"1,2\n---\n3":                                       "1,2",
		"# \n\n## Second":                                   "Second",
		"# 概要と\n":                                           "概要と",
		"    # code\n\ntext":                                "text",
		"- # in a list":                                     "in a list",
	} {
		if got := markdown.Title(text); got != want {
			t.Errorf("Title(%q) = %q, want %q", text, got, want)
		}
	}
	if got := markdown.PlainTitle("\n2026-03-01 INFO\n# by hand\n"); got != "2026-03-01 INFO" {
		t.Errorf("PlainTitle() = %q", got)
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"<p>One <b>two</b>\nthree</p><p>four</p>":                         "One two three\n\n\n\nfour",
		"<head><title>T</title><style>a{}</style></head><h2>H</h2>x<br>y": "# T\n\n\n\n\n\n## H\n\nx\ny",
		"<script>var a = '<p>no</p>'</script>yes":                         "yes",
		"<p hidden>no <p>no</p></p>no":                                    "no",
		"<div style='display: none'>no<div>no</div>no</div>yes":           "yes",
		"<!-- a > b, no -->yes":                                           "yes",
		"<!-- never ends":                                                 "",
		"<ul><li>a<li>b</ul>&amp;":                                        "- a\n- b\n\n&",
	} {
		if got := markdown.HTML(source); got != want {
			t.Errorf("HTML(%q) = %q, want %q", source, got, want)
		}
	}
}

// On a folder of real files, such as the module cache, the title is the first
// heading of the page that CommonMark makes of them:
//
//	MARKDOWN_FILES=$(go env GOMODCACHE) go test -run TestTitlesOfRealFiles -v ./internal/markdown
func TestTitlesOfRealFiles(t *testing.T) {
	root := os.Getenv("MARKDOWN_FILES")
	if root == "" {
		t.Skip("MARKDOWN_FILES names no folder")
	}
	page := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithRendererOptions(html.WithUnsafe()))
	files, differ := 0, 0
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.EqualFold(filepath.Ext(path), ".md") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, body, err := markdown.SplitFrontMatter(string(raw))
		if err != nil {
			return nil
		}
		var out bytes.Buffer
		if err := page.Convert([]byte(body), &out); err != nil {
			return err
		}
		files++
		want := firstHeading(out.String())
		if want == "" {
			return nil
		}
		if got := markdown.Title(body); got != want {
			differ++
			t.Errorf("%s:\n got %q\nwant %q", path, got, want)
		}
		return nil
	})
	t.Logf("%d files, %d differ", files, differ)
	if err != nil {
		t.Error(err)
	}
}

// firstHeading returns the text of the first heading of a page that has any.
func firstHeading(page string) string {
	root, err := xhtml.Parse(strings.NewReader(page))
	if err != nil {
		return ""
	}
	for n := range root.Descendants() {
		if len(n.Data) != 2 || n.Type != xhtml.ElementNode || n.Data[0] != 'h' || n.Data[1] < '1' || n.Data[1] > '6' {
			continue
		}
		var b strings.Builder
		for c := range n.Descendants() {
			if c.Type == xhtml.TextNode {
				b.WriteString(c.Data)
			}
		}
		if s := strings.Join(strings.Fields(b.String()), " "); s != "" {
			return s
		}
	}
	return ""
}
