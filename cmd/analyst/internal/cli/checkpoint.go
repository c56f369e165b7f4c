package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/state/journal"
)

// The environment variables of checkpoints.
const (
	EnvCheckpointKey = "ANALYST_CHECKPOINT_KEY_FILE"
	EnvCheckpoints   = "ANALYST_CHECKPOINTS"
)

// CheckpointSigner reads the private file that a key is in: the one that is named, else
// that of [EnvCheckpointKey]; nil for none.
func (p *Program) CheckpointSigner(file string) (note.Signer, error) {
	if file = p.pick(file, EnvCheckpointKey); file == "" {
		return nil, nil
	}
	key, err := secretFrom("--checkpoint-key", file, true)
	if err != nil {
		return nil, Usagef("%w", err)
	}
	signer, err := note.NewSigner(key.Reveal())
	if err != nil { // which says nothing of it
		return nil, Usagef(`--checkpoint-key: %s holds no key as "analyst audit key" makes it`, file)
	}
	return signer, nil
}

// Checkpoints are the flags by which a server keeps checkpoints while it serves.
type Checkpoints struct {
	key, dir string
	every    time.Duration
}

// AddFlags adds them to a command.
func (c *Checkpoints) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.key, "checkpoint-key", "", "private `FILE` with the key that signs checkpoints of the journal ("+EnvCheckpointKey+"; analyst audit key makes one)")
	f.StringVar(&c.dir, "checkpoints", "", "`DIR` where they are left, to be kept elsewhere ("+EnvCheckpoints+")")
	f.DurationVar(&c.every, "checkpoint-every", time.Hour, "how `LONG` from one to the next")
	Complete(cmd, "checkpoint-key", Files)
	Complete(cmd, "checkpoints", Dirs)
}

// Check finds what is wrong with the flags, and returns the key; nil where no checkpoints
// are kept.
func (c *Checkpoints) Check(p *Program) (note.Signer, error) {
	var wrong Problems
	c.dir = p.pick(c.dir, EnvCheckpoints)
	signer, err := p.CheckpointSigner(c.key)
	wrong.Add(err)
	wrong.If(err == nil && (signer == nil) != (c.dir == ""), "--checkpoint-key and --checkpoints go together")
	wrong.If(c.every <= 0, "--checkpoint-every must be positive")
	if c.dir != "" {
		if _, err := os.ReadDir(c.dir); err != nil { // and not first after --checkpoint-every
			wrong.Addf("--checkpoints: %w", err)
		}
	}
	return signer, wrong.Err()
}

// Keep writes a checkpoint at each interval in which something was added, and a last one
// at the end. It does nothing where neither key nor folder are set. A journal that does
// not fit is told of, and gets none.
func (c Checkpoints) Keep(ctx context.Context, p *Program, j journal.Store, logger *slog.Logger) (end func() error, err error) {
	signer, err := c.Check(p)
	switch {
	case err != nil:
		return nil, err
	case signer == nil:
		return func() error { return nil }, nil
	}
	var last []journal.Head
	add := func(ctx context.Context) error {
		found, err := j.Verify(ctx)
		if err != nil || slices.Equal(found.Heads, last) { // none before the first entry
			return err
		}
		now := time.Now().UTC()
		text, err := journal.Checkpoint{Time: now, Heads: found.Heads}.Sign(signer)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s.%d.checkpoint", now.Format("20060102T150405Z"), found.Last.Seq)
		if err = disk.Replace(filepath.Join(c.dir, name), text, 0o644); err == nil {
			last = found.Heads
		}
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() {
		for pause.For(ctx, c.every) {
			if err := add(ctx); err != nil && !errors.Is(err, context.Canceled) {
				logger.ErrorContext(ctx, "journal: no checkpoint was made", "error", err)
			}
		}
	})
	return func() error {
		stop()
		done.Wait()
		if err := add(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		return nil
	}, nil
}
