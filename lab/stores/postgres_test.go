package stores

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// A cluster is a Postgres server of the tests' own. It listens on a socket in a
// private directory and nowhere else.
type cluster struct {
	dir, bin  string
	as        *syscall.SysProcAttr // initdb refuses to run as root
	databases atomic.Int64
}

var server cluster

func TestMain(m *testing.M) {
	if err := server.start(); err != nil {
		fmt.Fprintln(os.Stderr, "stores: Postgres:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := server.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stores: Postgres:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func (c *cluster) start() (err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl") // where Debian has it
	if len(found) == 0 {
		path, err := exec.LookPath("pg_ctl")
		if err != nil {
			return errors.New("it is not installed: apt-get install postgresql")
		}
		found = []string{path}
	}
	c.bin = filepath.Dir(slices.Max(found))
	if c.dir, err = os.MkdirTemp("", "stores"); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		who, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		if err := os.Chown(c.dir, uid, gid); err != nil {
			return err
		}
		c.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if err := c.run("initdb", "--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C", c.data()); err != nil {
		return err
	}
	return c.run("pg_ctl", "--pgdata="+c.data(), "--wait", "--log="+filepath.Join(c.dir, "log"),
		"--options=-c listen_addresses='' -c fsync=off -c max_connections=400 -c unix_socket_directories="+c.dir, "start")
}

func (c *cluster) stop() error {
	return errors.Join(c.run("pg_ctl", "--pgdata="+c.data(), "--mode=immediate", "stop"), os.RemoveAll(c.dir))
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, c.as
	// The server keeps what it inherits open, so it gets a file and no pipe.
	said, err := os.CreateTemp(c.dir, name)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(text))
	}
	return nil
}

// database makes an empty database and returns how to connect to it.
func (c *cluster) database(t *testing.T) gorm.Dialector {
	t.Helper()
	name := fmt.Sprintf("d%d", c.databases.Add(1))
	admin := connect(t, c.dialect("postgres"))
	if err := admin.Exec("CREATE DATABASE " + name).Error; err != nil {
		t.Fatal(err)
	}
	return c.dialect(name)
}

func (c *cluster) dialect(name string) gorm.Dialector {
	return postgres.Open(fmt.Sprintf("host=%s user=tests dbname=%s", c.dir, name))
}

func connect(t *testing.T, d gorm.Dialector) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(d, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
	})
	return db
}
