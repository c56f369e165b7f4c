//go:build unix

// Package pgtest gives tests a Postgres server of their own, which listens on a socket in
// a private directory and nowhere else. It needs Debian's package postgresql.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A Server is a Postgres server.
type Server struct {
	dir, bin  string
	as        *syscall.SysProcAttr // initdb refuses to run as root
	databases atomic.Int64
}

// ErrMissing says that there is no Postgres to start.
var ErrMissing = errors.New("postgres is not installed: apt-get install postgresql")

// Start starts a server, with connections for a cluster of processes.
func Start() (_ *Server, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl") // where Debian has it
	if len(found) == 0 {
		path, err := exec.LookPath("pg_ctl")
		if err != nil {
			return nil, ErrMissing
		}
		found = []string{path}
	}
	s := &Server{bin: filepath.Dir(slices.Max(found))}
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		who, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return nil, err
		}
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}} //nolint:gosec // they are small
	}
	if err := s.run("initdb", "--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C", s.data()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, s.ctl("start")
}

// Stop stops the server and removes it.
func (s *Server) Stop() error {
	return errors.Join(s.ctl("stop", "--mode=immediate"), os.RemoveAll(s.dir))
}

// Restart kills the server and starts it again.
func (s *Server) Restart() error { return s.ctl("restart", "--mode=immediate") }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) ctl(args ...string) error {
	return s.run("pg_ctl", append(args, "--pgdata="+s.data(), "--wait", "--log="+filepath.Join(s.dir, "log"),
		"--options=-c listen_addresses='' -c fsync=off -c max_connections=400 -c unix_socket_directories="+s.dir)...)
}

func (s *Server) run(name string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...) //nolint:gosec // Postgres' own
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	// The server keeps what it inherits open, so it gets a file and no pipe.
	said, err := os.CreateTemp(s.dir, name)
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

// URL makes an empty database and returns its address.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("d%d", s.databases.Add(1))
	c, err := pgx.Connect(t.Context(), s.address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return s.address(name)
}

// Env returns the variables that name the database of a [Server.URL] to Postgres' own
// programs, and to whoever is told no more than postgres:///.
func Env(t testing.TB, address string) map[string]string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"PGHOST": u.Query().Get("host"), "PGUSER": u.Query().Get("user"), "PGDATABASE": path.Base(u.Path)}
}

func (s *Server) address(name string) string {
	return "postgres:///" + name + "?" + url.Values{"host": {s.dir}, "user": {"tests"}}.Encode()
}

// Cutting returns another address of a database of [Server.URL], and a switch: once it is on,
// the next answer that says that a statement was done, such as "COMMIT" or "DELETE 1", is
// lost with its connection.
func Cutting(t testing.TB, address, done string) (string, *atomic.Bool) {
	t.Helper()
	var cut atomic.Bool
	forward := func(to, from net.Conn, answers bool) {
		defer func() { _, _ = to.Close(), from.Close() }()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil || answers && bytes.Contains(buf[:n], []byte(done+"\x00")) && cut.CompareAndSwap(true, false) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	return Between(t, address, func(client, server net.Conn) {
		go forward(server, client, false)
		forward(client, server, true)
	}), &cut
}

// Between returns another address of a database of [Server.URL]: whoever connects there is
// connected by the function, which runs in a goroutine for each.
func Between(t testing.TB, address string, connect func(client, server net.Conn)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(t.Context(), "unix", u.Query().Get("host")+"/.s.PGSQL.5432")
			if err != nil {
				_ = client.Close()
				continue
			}
			go connect(client, server)
		}
	}()
	return "postgres://" + u.Query().Get("user") + "@" + l.Addr().String() + u.Path + "?sslmode=disable"
}

var shared struct {
	once sync.Once
	s    *Server
	err  error
}

// Shared returns one server for all tests of a package, whose TestMain calls [Main]. Where
// there is no Postgres it skips the test.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.s, shared.err = Start() })
	switch {
	case errors.Is(shared.err, ErrMissing):
		t.Skip(shared.err)
	case shared.err != nil:
		t.Fatal(shared.err)
	}
	return shared.s
}

// Main runs the tests of a package, stops the server of [Shared] and returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.s != nil {
		if err := shared.s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}
