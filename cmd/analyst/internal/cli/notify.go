package cli

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/notice"
)

// Who is told what waits and how runs end.
const (
	EnvNotifyURL     = "ANALYST_NOTIFY_URL"
	EnvNotifySecret  = "ANALYST_NOTIFY_SECRET_FILE" //nolint:gosec // the name of a variable
	EnvNotifyCommand = "ANALYST_NOTIFY_COMMAND"
)

// Notify is who is told, as flags say.
type Notify struct{ url, secretFile, command string }

// AddFlags adds the flags.
func (n *Notify) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&n.url, "notify-url", "", "`URL` that is told, by a signed webhook, what waits for a person and how runs end ("+EnvNotifyURL+"; docs/notices.md)")
	f.StringVar(&n.secretFile, "notify-secret-file", "", "private `FILE` with the secret that signs it, whsec_... ("+EnvNotifySecret+")")
	f.StringVar(&n.command, "notify-command", "", "`COMMAND` that is told the same as JSON on its standard input ("+EnvNotifyCommand+")")
	Complete(cmd, "notify-secret-file", Files)
}

// Check finds what is wrong with who is told. Nobody is.
func (n *Notify) Check(p *Program) error {
	_, end, err := n.Open(p, nil)
	if err == nil {
		end()
	}
	return err
}

// Open returns who is told, nil for nobody, and what ends that, which takes two seconds at
// most.
func (n *Notify) Open(p *Program, logger *slog.Logger) (_ *notice.Notifier, end func(), err error) {
	cfg := notice.Config{URL: p.pick(n.url, EnvNotifyURL), Command: strings.Fields(p.pick(n.command, EnvNotifyCommand)), Logger: logger}
	if file := p.pick(n.secretFile, EnvNotifySecret); cfg.URL != "" && file != "" {
		if cfg.Secret, err = secretFrom("--notify-secret-file", file, true); err != nil {
			return nil, nil, Usagef("%w", err)
		}
	}
	told, err := notice.New(cfg)
	if err != nil {
		return nil, nil, Usagef("--notify-url: %s", strings.TrimPrefix(err.Error(), "notice: "))
	}
	return told, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		told.Close(ctx)
	}, nil
}
