package audit

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

func checkpointCommand(p *cli.Program) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Check the journal, and sign where it ends",
		Long: `Check the journal, and print where it ends as a signed note. Kept elsewhere, it
shows later that the entries up to there are still the same, also where somebody
has had the whole state directory. "analyst serve --checkpoints" makes them by
itself.`,
		Example: `  analyst audit key audit.example.com checkpoint.key >checkpoint.pub
  analyst audit checkpoint --checkpoint-key checkpoint.key >today.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return checkpoint(cmd.Context(), p, key) },
	}
	cmd.Flags().StringVar(&key, "checkpoint-key", "", "private `FILE` with the key that signs ("+cli.EnvCheckpointKey+")")
	cli.Complete(cmd, "checkpoint-key", cli.Files)
	return cmd
}

func checkpoint(ctx context.Context, p *cli.Program, key string) error {
	signer, err := p.CheckpointSigner(key)
	if err != nil {
		return err
	}
	if signer == nil {
		return cli.Usagef(`no key: name the file with --checkpoint-key, or make one with "analyst audit key"`)
	}
	j, err := p.OpenState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // it only reads
	found, err := j.Verify(ctx)
	if err != nil {
		return notWhole(err)
	}
	text, err := journal.Checkpoint{Time: time.Now(), Heads: found.Heads}.Sign(signer)
	if err != nil {
		return err
	}
	_, err = p.Stdout.Write(text)
	return err
}

func keyCommand(p *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:   "key NAME FILE",
		Short: "Make a key that signs checkpoints",
		Long: `Make a key that signs checkpoints under a name, such as audit.example.com: the
private half goes to a file that only its owner can read, the public half, for
"analyst audit verify", to stdout.`,
		Example: `  analyst audit key audit.example.com checkpoint.key >checkpoint.pub`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			private, public, err := note.GenerateKey(rand.Reader, args[0])
			if err == nil {
				_, err = note.NewVerifier(public)
			}
			if err != nil {
				return cli.Usagef("the name must be neither empty nor hold spaces or a plus sign")
			}
			if _, err := os.Lstat(args[1]); err == nil {
				return cli.Usagef("%s is there already", args[1])
			}
			if err := disk.Create(args[1], []byte(private+"\n"), 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.Stdout, public)
			return err
		},
	}
}

// readCheckpoints reads the checkpoints in files, all signed by one key.
func readCheckpoints(public string, files []string) ([]journal.Checkpoint, error) {
	if len(files) == 0 {
		return nil, nil
	}
	key, err := note.NewVerifier(public)
	if err != nil {
		return nil, cli.Usagef(`--signed-by: give the line that "analyst audit key" printed`)
	}
	checkpoints := make([]journal.Checkpoint, len(files))
	for i, path := range files {
		text, err := disk.ReadFile(path, 1<<20, nil)
		if err != nil {
			return nil, cli.Usagef("--checkpoint: %w", err)
		}
		if checkpoints[i], err = journal.OpenCheckpoint(text, key); err != nil {
			return nil, cli.Failf("somebody else made it, or changed it", "%s: %w", plain.Line(path, 200), err)
		}
	}
	return checkpoints, nil
}
