package faults

import (
	"net"
	"sync/atomic"
)

// A meter is a listener that counts what passes its connections.
type meter struct {
	net.Listener
	up, down atomic.Int64
}

// Accept implements [net.Listener].
func (m *meter) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	return meteredConn{conn, m}, err
}

func (m *meter) read() traffic { return traffic{up: m.up.Load(), down: m.down.Load()} }

type meteredConn struct {
	net.Conn
	m *meter
}

func (c meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.up.Add(int64(n))
	return n, err
}

func (c meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.m.down.Add(int64(n))
	return n, err
}
