package disk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jitagent/jitagent/internal/disk"
)

// TestSecret asks about files of root's as another user, as they are when an orchestrator
// hands in a secret.
func TestSecret(t *testing.T) {
	const file, me, group = "DISK_SECRET", 65532, 65531
	if path := os.Getenv(file); path != "" {
		info, err := os.Stat(path)
		if err == nil {
			err = disk.Secret(path, info)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root makes files of others")
	}
	path := filepath.Join(t.TempDir(), "secret")
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
	program := filepath.Join(filepath.Dir(path), "test")
	if out, err := exec.CommandContext(t.Context(), "cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, row := range []struct {
		owner, group int
		mode         os.FileMode
		want         bool
	}{
		{me, me, 0o600, true},
		{me, me, 0o640, false}, // others of the group could have changed it before
		{0, group, 0o440, true},
		{0, me, 0o440, true},
		{0, 0, 0o440, false},
		{0, group, 0o460, false},
		{0, group, 0o444, false},
		{me + 1, group, 0o440, false},
	} {
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, row.owner, row.group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, row.mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run", "^TestSecret$")
		cmd.Dir, cmd.Env = "/", []string{file + "=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: me, Gid: me, Groups: []uint32{group}}}
		if out, err := cmd.CombinedOutput(); (err == nil) != row.want {
			t.Errorf("%d:%d %o: %v, want it accepted: %v: %s", row.owner, row.group, row.mode, err, row.want, out)
		}
	}
}
