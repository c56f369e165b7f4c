//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"sync"
)

// A browser is that of a person who is at the terminal: it goes wherever the program says
// that they are to log in.
type browser struct {
	approve bool
	client  http.Client

	mu   sync.Mutex
	said bytes.Buffer // by the program
	seen int          // how much of that was looked at
	wg   sync.WaitGroup
	errs []error
}

var (
	invitation = regexp.MustCompile(`log in with a browser on this machine: (\S+)\n`)
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formPrompt = regexp.MustCompile(`name="prompt" value="(\w+)"`)
	formAbort  = regexp.MustCompile(`href="([^"]+/abort)"`)
)

// Write takes what the program says.
func (b *browser) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.said.Write(p)
	for {
		at := invitation.FindSubmatchIndex(b.said.Bytes()[b.seen:])
		if at == nil {
			return n, err
		}
		address := string(b.said.Bytes()[b.seen+at[2] : b.seen+at[3]])
		b.seen += at[1]
		b.wg.Go(func() {
			if err := b.visit(address); err != nil {
				b.mu.Lock()
				b.errs = append(b.errs, err)
				b.mu.Unlock()
			}
		})
	}
}

// visit fills in oidc-provider's own forms until the program's page is there.
func (b *browser) visit(address string) error {
	resp, err := b.client.Get(address)
	for range 5 {
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		action, prompt := formAction.FindSubmatch(body), formPrompt.FindSubmatch(body)
		if action == nil || prompt == nil {
			return nil
		}
		if abort := formAbort.FindSubmatch(body); !b.approve && string(prompt[1]) == "consent" && abort != nil {
			at, err := resp.Request.URL.Parse(html.UnescapeString(string(abort[1])))
			if err != nil {
				return err
			}
			resp, err = b.client.Get(at.String())
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			return nil
		}
		at, err := resp.Request.URL.Parse(html.UnescapeString(string(action[1])))
		if err != nil {
			return err
		}
		resp, err = b.client.PostForm(at.String(), url.Values{"prompt": {string(prompt[1])}, "login": {"ada"}, "password": {"any"}})
		if err != nil {
			return err
		}
	}
	return errors.New("the server asks for ever")
}

// withBrowser runs the program beside a browser, and returns what it wrote.
func withBrowser(ctx context.Context, cmd *exec.Cmd, approve bool) (string, error) {
	jar, _ := cookiejar.New(nil)
	b := &browser{approve: approve, client: http.Client{Jar: jar}}
	cmd.Stdout, cmd.Stderr = b, b
	err := cmd.Run()
	b.wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() == nil && !killed(err) {
		err = errors.Join(append(b.errs, err)...)
	}
	return b.said.String(), err
}
