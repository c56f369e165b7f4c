// Package peer reads what the other end of a connection says beside its answer:
// how long to wait, why there is no answer, and texts that are to be shown.
//
// Nothing here is decided by a peer's words: a wait is bounded, a text is cleaned
// and cut, and a fault is told from the errors of the network stack alone.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MaxRetryAfter is the longest wait that [RetryAfter] returns. Callers have bounds
// of their own, which are lower.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter returns the wait that a response's Retry-After asks for (RFC 9110,
// section 10.2.3), and whether it says any. It is a number of seconds, here with a
// fraction as well, or a date, which counts from the server's own Date if there is
// one, since clocks differ, and otherwise from received. A date that has passed is
// a wait of 0; what is longer than [MaxRetryAfter], however long, is that.
func RetryAfter(h http.Header, received time.Time) (wait time.Duration, said bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789.") == "" {
		s, err := strconv.ParseFloat(value, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond it lies infinity, which is long
			return 0, false
		}
		return Seconds(s), true
	}
	when, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		received = date
	}
	return min(max(when.Sub(received), 0), MaxRetryAfter), true
}

// Seconds is a number of seconds that a peer named as a wait, from 0 to
// [MaxRetryAfter]; NaN is 0.
func Seconds(s float64) time.Duration {
	if math.IsNaN(s) || s <= 0 {
		return 0
	}
	return time.Duration(min(s, MaxRetryAfter.Seconds()) * float64(time.Second))
}

// A Fault is why an exchange brought no answer, or no whole one.
type Fault uint8

// The faults. The zero Fault is one that is not known, or none.
const (
	Unknown     Fault = iota
	Canceled          // the caller's context was canceled
	TimedOut          // no answer in time, ours or the caller's
	NoSuchHost        // the name cannot be resolved
	Refused           // nobody listens there
	Unreachable       // no connection for another reason
	Untrusted         // the certificate is not trusted, or is another host's
	NoRoots           // the certificates that are trusted here cannot be read
	NotTLS            // what answers there does not speak TLS
	NoProxy           // the proxy is not there, or did not let us through
	BrokenOff         // the connection ended in the middle
)

// String says in a few words, without names and addresses, what happened.
func (f Fault) String() string {
	switch f {
	case Canceled:
		return "it was canceled"
	case TimedOut:
		return "no answer in time"
	case NoSuchHost:
		return "its name cannot be resolved"
	case Refused:
		return "connection refused"
	case Unreachable:
		return "no connection"
	case Untrusted:
		return "its certificate is not trusted"
	case NoRoots:
		return "the certificates that this machine trusts cannot be read"
	case NotTLS:
		return "it does not speak TLS"
	case NoProxy:
		return "the proxy does not connect"
	case BrokenOff:
		return "the connection broke off"
	}
	return "the exchange failed"
}

// Passing reports whether another connection may not have the fault.
func (f Fault) Passing() bool { return f == Refused || f == Unreachable || f == BrokenOff }

// Broke returns why an exchange failed with err, an error of net/http or of what is
// below it. A nil error, and one that it does not know, is [Unknown].
func Broke(err error) Fault {
	op, network := errors.AsType[*net.OpError](err)
	switch {
	case err == nil:
		return Unknown
	case errors.Is(err, context.Canceled):
		return Canceled
	case network && op.Op == "proxyconnect", refusedByProxy(err):
		return NoProxy
	case isType[*net.DNSError](err):
		return NoSuchHost
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timeout(err):
		return TimedOut
	case isType[x509.SystemRootsError](err), isType[x509.UnknownAuthorityError](err) && noRoots(os.Getenv("SSL_CERT_FILE")):
		return NoRoots
	case untrusted(err):
		return Untrusted
	case isType[tls.RecordHeaderError](err), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return NotTLS // net/http hides the type of the second
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case network && op.Op == "dial":
		return Unreachable
	case network, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return BrokenOff
	}
	return Unknown
}

// refusedByProxy reports whether a proxy answered CONNECT with an error: net/http hands
// on the words of its status alone.
func refusedByProxy(err error) bool {
	e, ok := errors.AsType[*url.Error](err)
	for status := 400; ok && status < 600; status++ {
		if text := http.StatusText(status); text != "" && text == e.Err.Error() {
			return true
		}
	}
	return false
}

// NeverSent reports whether err came before any byte of the request could leave.
func NeverSent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	return isType[*tls.CertificateVerificationError](err) || isType[tls.RecordHeaderError](err)
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func timeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// noRoots reports whether a file is named that crypto/x509 passes over without a word: it
// cannot be read, or holds no certificate.
func noRoots(name string) bool {
	if name == "" {
		return false
	}
	text, err := os.ReadFile(name) //nolint:gosec // the person's own, which crypto/x509 reads too
	return err != nil || !x509.NewCertPool().AppendCertsFromPEM(text)
}

func untrusted(err error) bool {
	return isType[*tls.CertificateVerificationError](err) || isType[x509.UnknownAuthorityError](err) ||
		isType[x509.HostnameError](err) || isType[x509.CertificateInvalidError](err)
}
