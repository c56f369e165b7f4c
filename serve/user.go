package serve

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"strings"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/secret"
)

// A Principal is whom a request comes from.
type Principal struct {
	// ID is ADK's user id: unique among the users of one [Authenticator], stable, and of
	// letters, digits and ".", "_", "@" and "-" only, so that it is one segment of a path.
	ID string
	// Email is an address that is known to be the user's, on whose behalf tasks act; ""
	// where none is.
	Email string
	// Issuer is who vouches for the user; "" for a list of tokens.
	Issuer string
	// Groups are those the user belongs to, as the authenticator has them.
	Groups []string
}

// ErrNoUser says that a token is nobody's: unknown, or not in force.
var ErrNoUser = errors.New("the token is not that of a user")

// An Authenticator knows whose a token is. It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the user of a token, or an error that wraps [ErrNoUser]. Any
	// other error says that it could not be found out, which lets nobody in either.
	Authenticate(ctx context.Context, token secret.String) (Principal, error)
}

type userKey struct{}

// User returns whom the request of a context comes from; false outside of the handlers
// that [New] puts behind authentication.
func User(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(userKey{}).(Principal)
	return p, ok
}

// Hash returns what the file of [TokenFile] has of a token: its SHA-256 in hexadecimal. A
// token must be too long to be guessed, such as 20 random bytes.
func Hash(token secret.String) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:])
}

// TokenFile returns an authenticator by a file of lines "HASH USER [GROUP...]", separated by
// blanks, with HASH as [Hash] has it; what follows "#" is a comment. A user may have several
// lines, for several tokens. USER is the user's id, and the email where it is one. The file
// is read for each token, so that a line that is taken out counts at once. Files that others
// may write to are refused.
func TokenFile(path string) (Authenticator, error) {
	f := tokenFile(path)
	_, err := f.read()
	return f, err
}

// Users returns the users in the file of [TokenFile], once for each of their tokens.
func Users(path string) (users []Principal, err error) {
	list, err := tokenFile(path).read()
	for _, t := range list {
		users = append(users, t.user)
	}
	return users, err
}

// Token returns an authenticator that knows one token, and its user.
func Token(token secret.String, user Principal) Authenticator {
	return oneToken{tokenOf{Hash(token), user}}
}

type tokenFile string

type oneToken struct{ tokenOf }

// A tokenOf is the hash of a token and its user.
type tokenOf struct {
	hash string
	user Principal
}

// maxTokenFile bounds the file of tokens.
const maxTokenFile = 1 << 20

var (
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	idForm   = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)
)

// Authenticate implements [Authenticator].
func (f tokenFile) Authenticate(_ context.Context, token secret.String) (Principal, error) {
	list, err := f.read()
	if err != nil {
		return Principal{}, err
	}
	return whose(list, token)
}

// Authenticate implements [Authenticator].
func (t oneToken) Authenticate(_ context.Context, token secret.String) (Principal, error) {
	return whose([]tokenOf{t.tokenOf}, token)
}

// whose looks at every entry, so that the time it takes says nothing of which one fits.
func whose(list []tokenOf, token secret.String) (found Principal, err error) {
	hash := []byte(Hash(token))
	err = ErrNoUser
	for _, t := range list {
		if subtle.ConstantTimeCompare(hash, []byte(t.hash)) == 1 {
			found, err = t.user, nil
		}
	}
	return found, err
}

// read reads the file.
func (f tokenFile) read() (list []tokenOf, err error) {
	path := string(f)
	text, err := disk.ReadFile(path, maxTokenFile, func(_ string, info fs.FileInfo) error {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("others may write to %s: chmod go-w", path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("serve: tokens: %w", err)
	}
	spelled := map[string]string{} // users by their names in lower case
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || !hashForm.MatchString(words[0]) || !idForm().MatchString(words[1]) {
			return nil, fmt.Errorf("serve: tokens: %s, line %d: want the SHA-256 of a token in lower-case hexadecimal, a user and groups", path, n)
		}
		switch same := strings.ToLower(words[1]); spelled[same] {
		case "", words[1]:
			spelled[same] = words[1]
		default: // one person would be two who decide
			return nil, fmt.Errorf("serve: tokens: %s, line %d: %s is above as %s: write a user always alike", path, n, words[1], spelled[same])
		}
		user := Principal{ID: words[1], Groups: words[2:]}
		if strings.Contains(user.ID, "@") {
			user.Email = user.ID
		}
		list = append(list, tokenOf{words[0], user})
	}
	return list, lines.Err()
}
